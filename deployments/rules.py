"""Policy rules: expressions that analysts write, compiled once, evaluated on a whole batch at a time.

A rule is an expression over the feature names and the transaction's words, for example::

    amount_ratio > 3
    is_night and amount > 2000
    merchant_category in ["crypto", "gambling"] and not has_history
    1 <= count_last_1h <= 2 or currency != "EUR"

It knows ``and or not``, comparisons (chained too), ``in`` and ``not in`` with a list, ``+ - * /``, numbers,
strings, True and False. An absent word is equal to nothing and in nothing. Nothing else parses: no calls, no
attributes, no subscripts.
"""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from deployments.settings import Action, Rule
from features.definitions import FEATURE_NAMES
from features.errors import InvalidRule
from features.formulas import Matrix
from features.transaction import TransactionBatch

WORDS: Final = (
    "customer_id",
    "merchant_id",
    "device_id",
    "currency",
    "merchant_category",
    "transaction_type",
    "geo_location",
)

Bools = npt.NDArray[np.bool_]
_Column = Any  # An array (n,) or a scalar, as NumPy broadcasts them.
_Evaluate = Callable[["_Row"], _Column]

_COMPARE: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda a, b: np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b != 0),
}


class _Row:
    """The columns of a batch by name; words become arrays only when a rule asks for them."""

    def __init__(self, matrix: Matrix, batch: TransactionBatch) -> None:
        self._matrix = matrix
        self._batch = batch

    def number(self, position: int) -> npt.NDArray[np.float64]:
        return self._matrix[:, position]

    def word(self, name: str) -> npt.NDArray[np.object_]:
        return np.array(getattr(self._batch, name), dtype=object)


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule that is ready to be evaluated."""

    id: str
    action: Action
    reason: str
    evaluate: _Evaluate

    def fires(self, matrix: Matrix, batch: TransactionBatch) -> Bools:
        """Return (n,) bool: where the rule fires in a batch of n transactions."""
        with np.errstate(all="ignore"):
            result = np.asarray(self.evaluate(_Row(matrix, batch)), np.bool_)
        return np.broadcast_to(result, (len(batch),))


def compile_rules(rules: Sequence[Rule]) -> tuple[CompiledRule, ...]:
    """Return the rules, compiled.

    Raises:
        InvalidRule: naming the rule and the part of its expression that is not understood.
    """
    return tuple(CompiledRule(r.id, r.action, r.reason, _compile(r)) for r in rules)


def _compile(rule: Rule) -> _Evaluate:
    try:
        tree = ast.parse(rule.when, mode="eval")
    except (SyntaxError, ValueError) as error:
        raise InvalidRule(f"rule {rule.id}: {rule.when!r} does not parse: {error}") from error
    try:
        kind, evaluate = _node(tree.body)
    except InvalidRule as error:
        raise InvalidRule(f"rule {rule.id}: {error}") from error
    if kind == "word":
        raise InvalidRule(f"rule {rule.id}: {rule.when!r} is a word, not a condition")
    return evaluate


_Typed = tuple[str, _Evaluate]
"""The kind of a part, "number" or "word", and how to compute it."""


def _node(node: ast.expr) -> _Typed:
    match node:
        case ast.BoolOp(op=op, values=values):
            return _bool_op(op, [_number(value) for value in values])
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _number(operand)
            return "number", lambda row: ~np.asarray(inner(row), np.bool_)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _number(operand)
            return "number", lambda row: -inner(row)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return _arithmetic(_ARITHMETIC[type(op)], _number(left), _number(right))
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            return _compare(left, ops, comparators)
        case ast.Name(id=name):
            return _name(name)
        case ast.Constant(value=bool() | int() | float() as value):
            return "number", lambda _: np.float64(value)
        case ast.Constant(value=str() as value):
            return "word", lambda _: value
        case _:
            raise InvalidRule(f"{ast.unparse(node)!r} is not part of the rule language")


def _number(node: ast.expr) -> _Evaluate:
    kind, evaluate = _node(node)
    if kind != "number":
        raise InvalidRule(f"{ast.unparse(node)!r} is a word where a number or a condition belongs")
    return evaluate


def _name(name: str) -> _Typed:
    if name in FEATURE_NAMES:
        position = FEATURE_NAMES.index(name)
        return "number", lambda row: row.number(position)
    if name in WORDS:
        return "word", lambda row: row.word(name)
    raise InvalidRule(f"{name!r} is neither a feature nor one of {', '.join(WORDS)}")


def _bool_op(op: ast.boolop, parts: list[_Evaluate]) -> _Typed:
    combine = np.logical_and if isinstance(op, ast.And) else np.logical_or

    def evaluate(row: _Row) -> _Column:
        result = parts[0](row)
        for part in parts[1:]:
            result = combine(result, part(row))
        return result

    return "number", evaluate


def _arithmetic(apply: Callable[[Any, Any], Any], left: _Evaluate, right: _Evaluate) -> _Typed:
    return "number", lambda row: apply(left(row), right(row))


def _compare(left: ast.expr, ops: list[ast.cmpop], comparators: list[ast.expr]) -> _Typed:
    links: list[_Evaluate] = []
    for op, right in zip(ops, comparators, strict=True):
        links.append(_link(left, op, right))
        left = right
    return _bool_op(ast.And(), links) if len(links) > 1 else ("number", links[0])


def _link(left: ast.expr, op: ast.cmpop, right: ast.expr) -> _Evaluate:
    if isinstance(op, ast.In | ast.NotIn):
        return _membership(left, right, isinstance(op, ast.NotIn))
    if type(op) not in _COMPARE:
        raise InvalidRule(f"{ast.unparse(ast.Compare(left, [op], [right]))!r}: use == or !=")
    compare = _COMPARE[type(op)]
    (left_kind, a), (right_kind, b) = _node(left), _node(right)
    if left_kind != right_kind:
        raise InvalidRule(f"{ast.unparse(left)!r} and {ast.unparse(right)!r} cannot be compared")
    if left_kind == "word":
        if not isinstance(op, ast.Eq | ast.NotEq):
            raise InvalidRule(f"words such as {ast.unparse(left)!r} are compared by == and != alone")
        return lambda row: np.asarray(compare(a(row), b(row)), np.bool_)
    return lambda row: compare(a(row), b(row))


def _membership(left: ast.expr, right: ast.expr, negate: bool) -> _Evaluate:
    if not isinstance(right, ast.List | ast.Tuple | ast.Set):
        raise InvalidRule(f'{ast.unparse(right)!r}: \'in\' needs a list such as ["a", "b"]')
    kind, a = _node(left)
    values: list[Any] = []
    for element in right.elts:
        if not isinstance(element, ast.Constant) or isinstance(element.value, str) != (kind == "word"):
            raise InvalidRule(f"{ast.unparse(element)!r} does not belong in a list of {kind}s")
        values.append(element.value)
    if kind == "word":
        allowed = frozenset(values)
        return lambda row: np.array([(value in allowed) != negate for value in a(row)], np.bool_)
    return lambda row: np.isin(a(row), values, invert=negate)
