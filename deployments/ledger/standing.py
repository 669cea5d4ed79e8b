"""What the online store keeps of a decision for a retry: claim, place in the log, and the decision, in text.

The value of a claim key is the claim alone until there is a decision; then, in lines: the claim, the id of the log
entry, and the decision as a JSON array.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import to_json

from deployments.decision import Decisions, Earlier, Reason
from deployments.ledger.record import Header
from features.claims import differences

_FLAGS: Final = ("0", "1")


@dataclass(frozen=True, slots=True)
class Standing:
    """The value of a claim key that holds a decision.

    Attributes:
        claim: the body that was decided, as :mod:`features.claims` has it.
        entry: id of the log entry that holds the decision.
        decision: what was decided, as a JSON array.
    """

    claim: bytes
    entry: str
    decision: bytes

    @classmethod
    def parse(cls, value: bytes) -> "Standing | None":
        """Return what a value says; None where it is a claim without a decision."""
        claim, _, rest = value.partition(b"\n")
        if not rest:
            return None
        entry, _, decision = rest.partition(b"\n")
        return cls(claim, entry.decode(), decision)


def decision_texts(decisions: Decisions, header: Header) -> list[bytes]:
    """Return the decision on each of n rows as a JSON array; most rows end alike, and share that text."""
    n = len(decisions.decision)
    version = f"{_json(decisions.model_version)},{_json(decisions.degraded)}]"
    tails = [f",[],[],{version}"] * n
    for row in {*decisions.rules, *decisions.reasons}:
        reasons = [[reason.source, reason.code, reason.text] for reason in decisions.reasons.get(row, ())]
        tails[row] = f",{_json(decisions.rules.get(row, []))},{_json(reasons)},{version}"
    head = f"[{header.decided_at_ms},"
    numbers = (_numbers(column.tolist()) for column in (decisions.probability, decisions.lr, decisions.xgb))
    return [
        f"{head}{decision},{_FLAGS[is_fraud]},{probability},{lr},{xgb}{tail}".encode()
        for decision, is_fraud, probability, lr, xgb, tail in zip(
            decisions.decision.tolist(), decisions.is_fraud.tolist(), *numbers, tails, strict=True
        )
    ]


def keep(decisions: Decisions, claims: Sequence[bytes], found: Sequence[tuple[int, bytes]]) -> None:
    """Put what was decided before in the place of what was decided now.

    Args:
        claims: (n,) of the rows.
        found: rows whose id was taken, each with the value of its claim key.
    """
    if found:
        # They may lie in what came over a link, which cannot be written.
        for name in ("probability", "lr", "xgb", "decision", "is_fraud"):
            setattr(decisions, name, getattr(decisions, name).copy())
    for row, value in found:
        claim = value.partition(b"\n")[0]
        if claim != claims[row]:
            decisions.conflicts[row] = differences(claim, claims[row])
            continue
        standing = Standing.parse(value)
        assert standing is not None  # commit.lua reports no value without a decision.
        _restore(decisions, row, json.loads(standing.decision))


def _restore(decisions: Decisions, row: int, values: list[Any]) -> None:
    _, decision, is_fraud, probability, lr, xgb, rules, reasons, version, degraded = values
    decisions.decision[row], decisions.is_fraud[row] = decision, bool(is_fraud)
    for column, value in ((decisions.probability, probability), (decisions.lr, lr), (decisions.xgb, xgb)):
        column[row] = math.nan if value is None else value
    decisions.rules.pop(row, None)
    decisions.reasons.pop(row, None)
    if rules:
        decisions.rules[row] = rules
    if reasons:
        decisions.reasons[row] = [Reason(*reason) for reason in reasons]
    decisions.earlier[row] = Earlier(version, tuple(degraded))


def _numbers(values: list[float]) -> list[str]:
    return to_json(values, inf_nan_mode="null")[1:-1].decode().split(",")


def _json(value: Any) -> str:
    return to_json(value).decode()
