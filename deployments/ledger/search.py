"""Finds one decision: in the store while a retry would get it, then in the archive."""

import json
import math
import re
from typing import Any, Final

from deployments.decision import DECISION_NAMES
from deployments.ledger.archive import Archive
from deployments.ledger.entry_id import EntryId
from deployments.ledger.record import model_version
from deployments.ledger.standing import Standing
from deployments.ledger.stream import LogStream
from features.errors import DecisionUnknown, InvalidTransaction
from features.transaction import NO_PLACE

DAYS: Final = 31
"""Days of the archive that are looked through, newest first, when no day is given."""
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


class Search:
    """Finds decisions in a log and its archive."""

    def __init__(self, log: LogStream, archive: Archive) -> None:
        self._log = log
        self._archive = archive

    def find(self, transaction_id: str, day: str | None = None) -> dict[str, Any]:
        """Return the decision on a transaction, as GET /decisions/{transaction_id} answers it.

        Raises:
            DecisionUnknown: there is none.
            InvalidTransaction: the day is none.
            OnlineStoreUnavailable: the store did not answer.
        """
        if day is not None and not _DAY.fullmatch(day):
            raise InvalidTransaction("query.day", "must be a day as YYYY-MM-DD")
        row = self._in_store(transaction_id)
        if row is None or day not in (None, EntryId.parse(row["entry"]).day):
            days = self._archive.days()[-DAYS:] if day is None else [day]
            row = self._archive.find(transaction_id, days)
        if row is None:
            raise DecisionUnknown(f"no decision on {transaction_id!r} is on record")
        return self._answer(row)

    def _in_store(self, transaction_id: str) -> dict[str, Any] | None:
        value = self._log.claim(transaction_id)
        standing = None if value is None else Standing.parse(value)
        if standing is None:
            return None
        entry_id = EntryId.parse(standing.entry)
        entry = self._log.entry(entry_id)
        if entry is None:  # It was drained.
            return self._archive.find(transaction_id, [entry_id.day])
        # The id may lie in the entry twice; the fresh row, which is the one that is given, is the decision.
        rows = self._archive.kind.rows_of([entry])
        place = rows["transaction_id"].to_pylist().index(transaction_id)
        row: dict[str, Any] = rows.slice(place, 1).to_pylist()[0]
        return row

    def _answer(self, row: dict[str, Any]) -> dict[str, Any]:
        names = json.loads(self._reference("features", row["fingerprint"]))
        return {
            "transaction": {
                "transaction_id": row["transaction_id"],
                "timestamp": row["event_time_ms"] / 1000,
                "customer_id": row["customer_id"],
                "merchant_id": row["merchant_id"],
                "amount": row["amount_minor"] / 100,
                "currency": row["currency"],
                "merchant_category": row["merchant_category"],
                "transaction_type": row["transaction_type"],
                "device_id": row["device_id"],
                "geo_location": row["geo_location"],
                "lat": _degrees(row["lat_udeg"]),
                "long": _degrees(row["long_udeg"]),
            },
            "prediction": "FRAUD" if row["is_fraud"] else "LEGIT",
            "decision": DECISION_NAMES[row["decision"]],
            "fraud_probability": _number(row["probability"]),
            "model_scores": {"lr": _number(row["lr"]), "xgb": _number(row["xgb"])},
            "rules": row["rules"],
            "explanation": row["reasons"],
            "model_version": model_version(row["lr_version"], row["xgb_version"]),
            "degraded": row["degraded"],
            "features": dict(zip(names, row["features"], strict=True)),
            "decided_at": row["decided_at_ms"] / 1000,
            "latency_ms": row["latency_ms"],
            "entry": row["entry"],
            "fingerprint": row["fingerprint"],
            "policy": json.loads(self._reference("policies", row["policy"])),
        }

    def _reference(self, kind: str, digest: str) -> str:
        text = self._log.references([digest]).get(digest)
        return self._archive.reference(kind, digest) if text is None else text


def _degrees(udeg: int) -> float | None:
    return None if udeg == NO_PLACE else udeg / 1e6


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
