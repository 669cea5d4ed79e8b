"""Decided micro-batches for the tests of the decision log."""

from typing import Any

import numpy as np

from deployments.decision import Decisions, Reason
from deployments.ledger.entry_id import EntryId
from deployments.ledger.policy import PolicyReference
from deployments.ledger.record import Entry, Header
from deployments.ledger.stream import StoredEntry
from features.definitions import FEATURE_NAMES, fingerprint
from features.transaction import Transaction, TransactionBatch

POLICY = PolicyReference("0123456789abcdef", '{"model":"tollgate"}')


def stored(entry_id: EntryId, entry: Entry) -> StoredEntry:
    """Return an entry as the log gives it, with every row decided by it."""
    return StoredEntry(entry_id, np.ones(len(entry.batch), np.bool_), entry.to_bytes())


def transactions(*bodies: dict[str, Any]) -> TransactionBatch:
    """Return bodies as a batch; what they leave out is usual."""
    usual = {"timestamp": 1_770_000_000, "amount": 10, "customer_id": "ann"}
    return TransactionBatch.of([Transaction.model_validate(usual | body) for body in bodies])


def entry_of_ids(*ids: str, score: float = 0.25, **header: Any) -> Entry:
    """Return the decisions on usual transactions of these ids."""
    return decided(transactions(*({"transaction_id": i} for i in ids)), score, **header)


def decided(batch: TransactionBatch, score: float = 0.25, **header: Any) -> Entry:
    """Return decisions on a batch: by a score of LR, and by a rule for the first row."""
    n = len(batch)
    scores = np.full(n, score)
    decisions = Decisions(
        probability=scores.copy(),
        lr=scores.copy(),
        xgb=np.full(n, np.nan),
        decision=np.full(n, int(score > 0.5), np.int8),
        is_fraud=scores > 0.5,
        rules={0: ["a_rule"]} if n else {},
        model_version="7",
        degraded=("xgb",),
        reasons={0: [Reason("rule", "a_rule", 'it has "quotes",\nlines and é')]} if n else {},
    )
    values: dict[str, Any] = {
        "decided_at_ms": 1_770_000_001_000,
        "latency_ms": 6.5,
        "lr_version": "7",
        "xgb_version": "",
        "degraded": ("xgb",),
        "policy": POLICY.digest,
        "fingerprint": fingerprint(),
        "has_history": True,
    }
    matrix = np.arange(n * len(FEATURE_NAMES), dtype=np.float64).reshape(n, len(FEATURE_NAMES)) / 7
    return Entry(Header(**values | header), batch, matrix, decisions)
