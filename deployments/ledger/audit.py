"""The audit: makes every decision of a day again, from archive and registry alone, and tells what differs."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from deployments.active_policy import explain_above, rules_of
from deployments.decision import Reason, decide, fired_rules
from deployments.explanation import reasons
from deployments.ledger.archive import Archive
from deployments.ledger.policy import LoggedPolicy
from deployments.ledger.record import SCHEMA, Entry, Header, entry_of
from deployments.model_scores import ModelScores, explained, suspects
from features.definitions import FEATURE_NAMES, fingerprint
from features.formulas import feature_matrix
from features.without_history import without_history
from training.registry import Bundle

TOLERANCE: Final = 1e-6
"""How far a score may be from the one made again: ONNX adds trees up in float32, in an order of its own."""
OWN_FEATURES: Final = ("amount", "hour_of_day", "day_of_week", "is_night", "is_weekend")
"""Features that come from the transaction alone; all others need a history, which the log does not hold."""

Bundles = Callable[[str, str, str], Bundle]
"""Gives the bundle of a model's name, version and fingerprint."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that does not come out as it was logged."""

    transaction_id: str
    what: str
    logged: Any
    again: Any


@dataclass(slots=True)
class Audit:
    """What an audit of a day found.

    Attributes:
        transactions: that were made again.
        foreign: that were not, as they belong to feature definitions of another release, by fingerprint.
        repeated: transactions that the archive holds more than once, and how often.
    """

    day: str
    transactions: int = 0
    foreign: Counter[str] = field(default_factory=Counter)
    repeated: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the day is archived."""
        return not self.transactions and not self.foreign

    @property
    def ok(self) -> bool:
        """Whether decisions were made again, and each came out the same and is there once."""
        return bool(self.transactions) and not self.differences and not self.repeated


def audit(archive: Archive, day: str, bundles: Bundles, progress: Callable[[int], None] = lambda _: None) -> Audit:
    """Return what an audit of a day finds.

    Args:
        progress: hears how many rows are done, again and again.

    Raises:
        BundleRefused, RegistryUnavailable: a model that decided cannot be loaded.
    """
    found = Audit(day)
    seen: Counter[str] = Counter()
    for table in archive.tables(day):
        seen.update(table.column("transaction_id").to_pylist())
        for entry in _groups(table):
            if entry.header.fingerprint != fingerprint():
                found.foreign[entry.header.fingerprint] += len(entry.batch)
            else:
                found.transactions += len(entry.batch)
                policy = LoggedPolicy.model_validate_json(archive.reference("policies", entry.header.policy))
                found.differences += _differences(entry, policy, bundles)
            progress(len(entry.batch))
    found.repeated = {name: count for name, count in seen.items() if count > 1}
    return found


def _groups(table: pa.Table) -> Iterator[Entry]:
    """Give the rows of a file in groups that share a header, but for the time of the decision."""
    names = ["lr_version", "xgb_version", "degraded", "policy", "fingerprint", "has_history"]
    keys = list(zip(*(table.column(name).to_pylist() for name in names), strict=True))
    groups: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        groups.setdefault(repr(key), []).append(row)
    for rows in groups.values():
        part = table.take(rows).combine_chunks()
        shared = {name: part.column(name)[0].as_py() for name in names}
        header = Header(decided_at_ms=0, latency_ms=0, **shared)
        [columns] = part.select(SCHEMA.names).to_batches()
        yield entry_of(header, columns)


def _differences(entry: Entry, policy: LoggedPolicy, bundles: Bundles) -> Iterator[Difference]:
    header, batch, logged = entry.header, entry.batch, entry.decisions
    matrix = entry.matrix
    ids = batch.transaction_id
    rules, without = rules_of(policy.rules, policy.rules_without_history)
    fired = fired_rules(rules if header.has_history else (*rules, *without), matrix, batch)
    suspect, above = suspects(fired, len(batch)), explain_above(policy.thresholds, policy.calibration)
    replies: list[ModelScores | None] = []
    own = feature_matrix(without_history(batch))
    for name in OWN_FEATURES:
        position = FEATURE_NAMES.index(name)
        yield from _unequal(ids, name, matrix[:, position], own[:, position], 0.0)
    for name, version, scores in (("lr", header.lr_version, logged.lr), ("xgb", header.xgb_version, logged.xgb)):
        reply = None
        if version:
            model = getattr(bundles(policy.model, version, header.fingerprint), name)
            yield from _unequal(ids, f"{name} score", scores, model.probability(matrix), TOLERANCE)
            reply = explained(model, scores, matrix, suspect, above)
        replies.append(reply)
    again = decide(
        logged.lr,
        logged.xgb,
        policy.weights,
        policy.thresholds,
        fired,
        logged.model_version,
        logged.degraded,
        policy.calibration,
    )
    yield from _unequal(ids, "probability", logged.probability, again.probability, 1e-12)
    yield from _unequal(ids, "decision", logged.decision, again.decision, 0.0)
    yield from _unequal(ids, "is_fraud", logged.is_fraud, again.is_fraud, 0.0)
    yield from _others(ids, "rules", logged.rules, again.rules)
    if policy.max_reasons is not None:
        told = reasons(again, replies, matrix, policy.weights, (*rules, *without), policy.max_reasons)
        yield from _others(ids, "reasons", _codes(logged.reasons), _codes(told))


def _unequal(ids: list[str], what: str, logged: Any, again: Any, tolerance: float) -> Iterator[Difference]:
    equal = np.isclose(
        np.asarray(logged, np.float64), np.asarray(again, np.float64), 0.0, tolerance, equal_nan=True
    )
    for row in np.flatnonzero(~equal).tolist():
        yield Difference(ids[row], what, logged[row].item(), again[row].item())


def _others(
    ids: list[str], what: str, logged: Mapping[int, list[str]], again: Mapping[int, list[str]]
) -> Iterator[Difference]:
    for row in sorted({*logged, *again}):
        before, now = logged.get(row, []), again.get(row, [])
        if before != now:
            yield Difference(ids[row], what, before, now)


def _codes(found: Mapping[int, list[Reason]]) -> dict[int, list[str]]:
    """Return the reasons by their codes; another release may put them into other words."""
    return {row: [f"{reason.source} {reason.code}" for reason in told] for row, told in found.items()}
