"""Policy rules: expressions that analysts write, compiled once, evaluated on a whole batch at a time.

A rule is an expression over the feature names and the transaction's words, for example::

    amount_ratio > 3
    is_night and amount > 2000
    merchant_category in ["crypto", "gambling"] and not has_history
    1 <= count_last_1h <= 2 or currency != "EUR"
    (amount > 500) + is_night + (count_last_1h > 5) >= 2

It knows ``and or not``, comparisons (chained too), ``in`` and ``not in`` with a list, ``+ - * /``, numbers,
strings, True and False; a condition counts as 1 or 0 in arithmetic. Nothing else parses: no calls, no
attributes, no subscripts.

An absent word is equal to nothing and in nothing. A division by zero has no value, and a condition on it
neither holds nor fails, like NULL in SQL: a rule fires only where it holds, whatever the missing value were.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from deployments.settings import Action, Rule
from features.definitions import FEATURE_NAMES
from features.errors import InvalidRule
from features.formulas import Matrix
from features.transaction import TEXT_COLUMNS, TransactionBatch

WORDS: Final = TEXT_COLUMNS
"""The words of a transaction that a rule may name."""
MAX_DEPTH: Final = 64
"""Nesting of an expression: what a person can read, and far from Python's recursion limit."""

Bools = npt.NDArray[np.bool_]
_Column = Any  # An array (n,) or a scalar, as NumPy broadcasts them.
_Truth = tuple[_Column, _Column]
"""Where a condition holds, and where it fails; neither where a value is missing."""
_Evaluate = Callable[["_Columns"], Any]
_Typed = tuple[str, _Evaluate]
"""The kind of a part, "number" or "condition", and how to compute it: a float64 column, or a ``_Truth``."""


def _differ(a: _Column, b: _Column) -> _Column:
    return (a < b) | (a > b)  # False with NaN, which != is not.


def _divide(a: _Column, b: _Column) -> _Column:
    return np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b != 0)


_Compare = Callable[[Any, Any], Any]
_COMPARE: Final[Mapping[type[ast.cmpop], tuple[_Compare, _Compare]]] = {
    ast.Lt: (operator.lt, operator.ge),
    ast.LtE: (operator.le, operator.gt),
    ast.Gt: (operator.gt, operator.le),
    ast.GtE: (operator.ge, operator.lt),
    ast.Eq: (operator.eq, _differ),
    ast.NotEq: (_differ, operator.eq),
}
"""How a comparison of numbers holds, and how it fails; with NaN it does neither."""
_ARITHMETIC: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _divide,
}


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of a batch, as rules ask for them."""

    matrix: Matrix
    batch: TransactionBatch

    def number(self, position: int) -> npt.NDArray[np.float64]:
        return self.matrix[:, position]

    def word(self, name: str) -> list[str | None]:
        words: list[str | None] = getattr(self.batch, name)
        return words


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule that is ready to be evaluated."""

    id: str
    action: Action
    reason: str
    evaluate: Callable[[_Columns], _Truth]

    def fires(self, matrix: Matrix, batch: TransactionBatch) -> Bools:
        """Return (n,) bool: where the rule fires in a batch of n transactions."""
        [rows] = where_rules_fire((self,), matrix, batch)
        return rows


def where_rules_fire(rules: Sequence[CompiledRule], matrix: Matrix, batch: TransactionBatch) -> list[Bools]:
    """Return, for each rule, (n,) bool: where it fires in a batch of n transactions."""
    columns = _Columns(matrix, batch)
    with np.errstate(all="ignore"):
        held = [rule.evaluate(columns)[0] for rule in rules]
    # A rule of constants alone holds everywhere or nowhere; np.broadcast_to would take 2 us for every rule.
    shape = (len(batch),)
    return [holds if holds.shape == shape else np.full(shape, holds) for holds in held]


def compile_rules(rules: Sequence[Rule]) -> tuple[CompiledRule, ...]:
    """Return the rules, compiled.

    Raises:
        InvalidRule: naming the rule and the part of its expression that is not understood.
    """
    return tuple(CompiledRule(r.id, r.action, r.reason, _compile(r)) for r in rules)


def _compile(rule: Rule) -> Callable[[_Columns], _Truth]:
    try:
        tree = ast.parse(rule.when.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        raise InvalidRule(f"rule {rule.id}: {rule.when!r} does not parse: {error}") from error
    except (RecursionError, MemoryError) as error:
        # What Python's parser raises for an expression that is nested thousands of times.
        raise InvalidRule(f"rule {rule.id}: the expression is nested too deeply") from error
    try:
        _check_depth(tree.body)
        return _condition(tree.body)
    except InvalidRule as error:
        raise InvalidRule(f"rule {rule.id}: {error}") from error


def _check_depth(expression: ast.expr) -> None:
    level: list[ast.AST] = [expression]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise InvalidRule(f"the expression is nested more than {MAX_DEPTH} times")


def _node(node: ast.expr) -> _Typed:
    match node:
        case ast.BoolOp(op=op, values=values):
            return "condition", _join(op, [_condition(value) for value in values])
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _condition(operand)
            return "condition", lambda columns: inner(columns)[::-1]
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            return "condition", _compare(left, ops, comparators)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            number = _number(operand)
            return "number", lambda columns: -number(columns)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return "number", _both(_ARITHMETIC[type(op)], _number(left), _number(right))
        case ast.Name(id=name) if name in FEATURE_NAMES:
            position = FEATURE_NAMES.index(name)
            return "number", lambda columns: columns.number(position)
        case ast.Constant(value=bool() | int() | float()):
            constant = np.float64(_constant(node))
            return "number", lambda _: constant
        case ast.Name(id=name) if name not in WORDS:
            raise InvalidRule(f"{name!r} is neither a feature nor one of {', '.join(WORDS)}")
    if _is_word(node):
        raise InvalidRule(f"{ast.unparse(node)!r} is a word where a number or a condition belongs")
    raise InvalidRule(f"{ast.unparse(node)!r} is not part of the rule language")


def _condition(node: ast.expr) -> Callable[[_Columns], _Truth]:
    """Return how to compute a condition; a number holds unless it is 0."""
    kind, evaluate = _node(node)
    if kind == "condition":
        return evaluate

    def not_zero(columns: _Columns) -> _Truth:
        value = evaluate(columns)
        return _differ(value, 0), value == 0

    return not_zero


def _number(node: ast.expr) -> _Evaluate:
    """Return how to compute a number; a condition is 1 where it holds and 0 where it fails."""
    kind, evaluate = _node(node)
    if kind == "number":
        return evaluate

    def one_or_zero(columns: _Columns) -> _Column:
        holds, fails = evaluate(columns)
        return np.where(holds, 1.0, np.where(fails, 0.0, np.nan))

    return one_or_zero


def _constant(node: ast.expr) -> float:
    """Return the value of a number that is written out, with or without a minus before it."""
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_constant(operand)
        case ast.Constant(value=bool() | int() | float() as value):
            if abs(value) <= 1e300 and not math.isnan(value):
                return float(value)
            raise InvalidRule(f"{ast.unparse(node)[:40]!r} is too large a number")
    raise InvalidRule(f"{ast.unparse(node)!r} does not belong in a list of numbers")


def _is_word(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name):
            return name in WORDS
        case ast.Constant(value=value):
            return isinstance(value, str)
    return False


def _both(apply: Callable[[Any, Any], Any], left: _Evaluate, right: _Evaluate) -> _Evaluate:
    return lambda columns: apply(left(columns), right(columns))


def _join(op: ast.boolop, parts: list[Callable[[_Columns], _Truth]]) -> Callable[[_Columns], _Truth]:
    def both(a: _Truth, b: _Truth) -> _Truth:
        return a[0] & b[0], a[1] | b[1]

    def either(a: _Truth, b: _Truth) -> _Truth:
        return a[0] | b[0], a[1] & b[1]

    combine = both if isinstance(op, ast.And) else either
    return lambda columns: reduce(combine, (part(columns) for part in parts))


def _compare(left: ast.expr, ops: list[ast.cmpop], comparators: list[ast.expr]) -> Callable[[_Columns], _Truth]:
    links: list[Callable[[_Columns], _Truth]] = []
    for op, right in zip(ops, comparators, strict=True):
        links.append(_link(left, op, right))
        left = right
    return links[0] if len(links) == 1 else _join(ast.And(), links)


def _link(left: ast.expr, op: ast.cmpop, right: ast.expr) -> Callable[[_Columns], _Truth]:
    if isinstance(op, ast.In | ast.NotIn):
        return _membership(left, right, isinstance(op, ast.NotIn))
    if type(op) not in _COMPARE:
        raise InvalidRule(f"{ast.unparse(ast.Compare(left, [op], [right]))!r}: use == or !=")
    if _is_word(left) and _is_word(right):
        if not isinstance(op, ast.Eq | ast.NotEq):
            raise InvalidRule(f"words such as {ast.unparse(left)!r} are compared by == and != alone")
        return _same_word(left, right, isinstance(op, ast.NotEq))
    if _is_word(left) != _is_word(right):
        raise InvalidRule(f"{ast.unparse(left)!r} and {ast.unparse(right)!r} cannot be compared")
    holds, fails = _COMPARE[type(op)]
    a, b = _number(left), _number(right)

    def compare(columns: _Columns) -> _Truth:
        x, y = a(columns), b(columns)
        return holds(x, y), fails(x, y)

    return compare


def _membership(left: ast.expr, right: ast.expr, negate: bool) -> Callable[[_Columns], _Truth]:
    if not isinstance(right, ast.List | ast.Tuple | ast.Set):
        raise InvalidRule(f'{ast.unparse(right)!r}: \'in\' needs a list such as ["a", "b"]')
    if _is_word(left):
        return _one_of(left, frozenset(_text(element) for element in right.elts), negate)
    value = _number(left)
    listed = [_constant(element) for element in right.elts]

    def among(columns: _Columns) -> _Truth:
        x = value(columns)
        is_in = np.isin(x, listed)
        is_not_in = ~is_in & ~np.isnan(x)
        return (is_not_in, is_in) if negate else (is_in, is_not_in)

    return among


def _same_word(left: ast.expr, right: ast.expr, negate: bool) -> Callable[[_Columns], _Truth]:
    match left, right:
        case ast.Name(id=a), ast.Name(id=b):
            return _words(
                lambda columns: [
                    x == y and x is not None for x, y in zip(columns.word(a), columns.word(b), strict=True)
                ],
                negate,
            )
        case ast.Name(), _:
            return _one_of(left, frozenset([_text(right)]), negate)
    return _one_of(right, frozenset([_text(left)]), negate)


def _one_of(column: ast.expr, allowed: frozenset[str], negate: bool) -> Callable[[_Columns], _Truth]:
    if not isinstance(column, ast.Name):
        raise InvalidRule(f"{ast.unparse(column)!r} is compared with a constant: name one of {', '.join(WORDS)}")
    name = column.id
    return _words(lambda columns: [word in allowed for word in columns.word(name)], negate)


def _words(holds: Callable[[_Columns], list[bool]], negate: bool) -> Callable[[_Columns], _Truth]:
    def evaluate(columns: _Columns) -> _Truth:
        is_true = np.array(holds(columns), np.bool_)
        return (~is_true, is_true) if negate else (is_true, ~is_true)

    return evaluate


def _text(element: ast.expr) -> str:
    if isinstance(element, ast.Constant) and isinstance(element.value, str):
        return element.value
    raise InvalidRule(f"{ast.unparse(element)!r} does not belong in a list of words")
