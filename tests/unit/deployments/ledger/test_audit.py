"""The audit: finds nothing in what was decided here, and every thing that was changed afterwards."""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from deployments.active_policy import explain_above, rules_of
from deployments.decision import decide, fired_rules
from deployments.explanation import reasons
from deployments.ledger.archive import Archive
from deployments.ledger.audit import Audit, audit
from deployments.ledger.entry_id import EntryId
from deployments.ledger.kinds import DECISIONS
from deployments.ledger.policy import LoggedPolicy
from deployments.ledger.record import Entry, Header
from deployments.model_scores import explained, suspects
from deployments.settings import Rule, Thresholds, Weights
from features.definitions import FEATURE_NAMES, fingerprint
from features.formulas import feature_matrix
from features.without_history import without_history
from tests.unit.deployments.ledger.entries import stored, transactions
from training.registry import LogisticModel

DAY = "2024-10-04"
FIRST = EntryId(20_000 * 86_400_000, 0)
POLICY = LoggedPolicy(
    model="tollgate",
    weights=Weights(lr=0.3, xgb=0.7),
    thresholds=Thresholds(block=0.8, review=0.4, fraud=0.5),
    rules=(Rule(id="huge", when="amount > 900", action="BLOCK", reason="it is huge"),),
    rules_without_history=(Rule(id="blind", when="amount > 100", action="REVIEW", reason="nothing is known"),),
    calibration=None,
    max_reasons=3,
)


class Model:
    """Scores by the amount."""

    def __init__(self, share: float) -> None:
        self._share = share

    def probability(self, matrix: Any) -> Any:
        return np.minimum(self._share * matrix[:, 0] / 1000, 1.0)

    def contributions(self, matrix: Any) -> Any:
        """Return that the hour speaks for fraud, more so by this model's share, and the amount against it."""
        return np.outer(np.ones(len(matrix)), [-1.0, self._share, 0.6, *np.zeros(len(FEATURE_NAMES) - 3)])


class Models:
    """Stands for a bundle."""

    lr, xgb = Model(0.5), Model(1.0)


def bundles(name: str, version: str, digest: str) -> Any:
    assert (name, version, digest) == ("tollgate", "7", fingerprint())
    return Models()


def day_of(folder: Path, **header: Any) -> Archive:
    """Archive decisions on amounts of all sizes, made as the graph makes them."""
    batch = transactions(*({"transaction_id": f"t{n}", "amount": 50 * n + 1} for n in range(25)))
    values = {
        "decided_at_ms": 1,
        "latency_ms": 1.0,
        "lr_version": "7",
        "xgb_version": "7",
        "degraded": (),
        "policy": POLICY.reference().digest,
        "fingerprint": fingerprint(),
        "has_history": True,
    }
    made = Header(**values | header)
    matrix = feature_matrix(without_history(batch))
    rules, without = rules_of(POLICY.rules, POLICY.rules_without_history)
    fired = fired_rules(rules if made.has_history else (*rules, *without), matrix, batch)
    nothing = np.full(len(batch), np.nan)
    suspect, above = suspects(fired, len(batch)), explain_above(POLICY.thresholds, POLICY.calibration)
    replies = [
        explained(cast("LogisticModel", model), model.probability(matrix), matrix, suspect, above)
        if version
        else None
        for model, version in ((Models.lr, made.lr_version), (Models.xgb, made.xgb_version))
    ]
    lr, xgb = (nothing if reply is None else reply.scores for reply in replies)
    decisions = decide(lr, xgb, POLICY.weights, POLICY.thresholds, fired, "7", made.degraded)
    decisions.reasons = reasons(decisions, replies, matrix, POLICY.weights, (*rules, *without), 3)
    table = DECISIONS.rows_of([stored(FIRST, Entry(made, batch, matrix, decisions))])
    archive = Archive(folder)
    names = {fingerprint(): json.dumps(FEATURE_NAMES), POLICY.reference().digest: POLICY.reference().text}
    assert archive.write(table, FIRST, FIRST, names)
    return archive


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"has_history": False, "degraded": ("feature_store",)},
        {"lr_version": "", "degraded": ("lr",)},
        {"lr_version": "", "xgb_version": "", "degraded": ("lr", "xgb")},
    ],
)
def test_what_was_decided_comes_out_again(tmp_path: Path, header: dict[str, Any]) -> None:
    found = audit(day_of(tmp_path, **header), DAY, bundles)
    assert found == Audit(DAY, transactions=25)
    assert found.ok


def changed(archive: Archive, column: str, change: Any) -> Archive:
    """Change one value of the transaction t20 in the archive."""
    [path] = archive.folder.glob("day=*/*.parquet")
    table = pq.read_table(path)
    rows = table.to_pylist()
    [row] = [row for row in rows if row["transaction_id"] == "t20"]
    row[column] = change(row[column])
    schema = DECISIONS.schema.with_metadata(table.schema.metadata)
    pq.write_table(schema.empty_table().from_pylist(rows, schema=schema), path)
    return archive


@pytest.mark.parametrize(
    ("column", "change", "what"),
    [
        ("lr", lambda score: score + 1e-5, {"lr score", "probability"}),
        ("xgb", lambda score: score - 1e-5, {"xgb score", "probability"}),
        ("probability", lambda score: score + 1e-9, {"probability"}),
        ("decision", lambda _: 0, {"decision"}),
        ("is_fraud", lambda flag: not flag, {"is_fraud"}),
        ("rules", lambda _: [], {"rules"}),
        ("rules", lambda rules: [*rules, "blind"], {"rules"}),
        ("reasons", lambda _: [], {"reasons"}),
        ("reasons", lambda told: told[:-1], {"reasons"}),
        ("reasons", lambda told: [told[0], told[2], told[1]], {"reasons"}),
        ("reasons", lambda told: [told[0] | {"code": "another"}, *told[1:]], {"reasons"}),
        ("amount_minor", lambda amount: amount + 1, {"amount"}),
        ("event_time_ms", lambda time_ms: time_ms + 3_600_000, {"hour_of_day"}),
    ],
)
def test_what_was_changed_is_found(tmp_path: Path, column: str, change: Any, what: set[str]) -> None:
    found = audit(changed(day_of(tmp_path), column, change), DAY, bundles)
    assert {(one.transaction_id, one.what) for one in found.differences} == {("t20", name) for name in what}
    assert not found.ok


def test_a_transaction_that_is_there_twice_is_found(tmp_path: Path) -> None:
    archive = changed(day_of(tmp_path), "transaction_id", lambda _: "t3")
    found = audit(archive, DAY, bundles)
    assert found.repeated == {"t3": 2}
    assert not found.ok


def test_decisions_by_other_feature_definitions_are_counted_apart(tmp_path: Path) -> None:
    found = audit(day_of(tmp_path, fingerprint="another"), DAY, bundles)
    assert (found.transactions, found.foreign, found.ok) == (0, {"another": 25}, False)


def test_a_day_without_decisions_has_nothing_to_find(tmp_path: Path) -> None:
    assert audit(day_of(tmp_path), "2001-01-01", bundles) == Audit("2001-01-01")


def test_reasons_in_other_words_are_the_same_reasons(tmp_path: Path) -> None:
    archive = changed(day_of(tmp_path), "reasons", lambda told: [one | {"text": "reworded"} for one in told])
    assert audit(archive, DAY, bundles).ok


def test_a_log_that_does_not_say_how_many_reasons_there_may_be_is_not_held_to_them(tmp_path: Path) -> None:
    archive = changed(day_of(tmp_path), "reasons", lambda _: [])
    [policy] = archive.folder.rglob(f"{POLICY.reference().digest}.json")
    text = json.loads(policy.read_text())
    assert text.pop("max_reasons") == 3
    policy.write_text(json.dumps(text))
    assert audit(archive, DAY, bundles).ok
