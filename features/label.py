"""The label: what became known of a transaction, its contract at the door (one object) and its columns (a batch).

What of it counts, and when, is said in docs/adr/0010-labels.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Final, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from features.definitions import DAY_QUARTER_MS, LABEL_DELAY_MS, RISK_WINDOWS
from features.errors import InvalidLabel
from features.transaction import EARLIEST_EVENT_TIME_MS, MAX_CLOCK_SKEW_MS, Int64s, event_time_ms

Bools = npt.NDArray[np.bool_]

_Id = Annotated[str, Field(min_length=1, max_length=64)]

LABEL_LOG_KEY: Final = b"tg:labels"
"""The stream of the store that has every label which changed a verdict, until it is drained."""
LABELS_A_CALL: Final = 256
"""Labels that one call of the store takes at most: it keeps the store from its other clients for some 5 ms."""

_LONGEST_MS: Final = max(window.duration_ms for window in RISK_WINDOWS)


class Label(BaseModel):
    """One verdict on one transaction, as a client sends it. Unknown fields and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, val_temporal_unit="seconds", frozen=True)

    transaction_id: _Id = Field(description="The labelled transaction.")
    timestamp: datetime = Field(
        strict=False,
        description="Event time of the transaction: ISO 8601 or epoch seconds. Without an offset it is UTC. Its "
        "quarter of the UTC day counts.",
    )
    merchant_id: _Id | None = Field(
        None, description="Merchant of the transaction. A label without one counts in no merchant's risk."
    )
    is_fraud: bool = Field(description="true: fraud. false: no fraud, which corrects an earlier fraud.")
    known_at: datetime | None = Field(
        None,
        strict=False,
        description="When the verdict became known; now when absent. Transactions after this moment see it.",
    )
    source: Literal["chargeback", "analyst"] = Field(description="Who says so.")


class LabelOutcome(IntEnum):
    """What the store made of a label; the numbers are those of ``labels.lua``."""

    NEW = 0
    """The first verdict on the transaction."""
    REPEATED = 1
    """The verdict that stands already."""
    CORRECTED = 2
    """It takes the place of the opposite verdict."""
    SUPERSEDED = 3
    """A verdict with a later ``known_at`` stands."""
    CONFLICT = 4
    """An earlier label says that the transaction has another merchant or quarter of a day; nothing was changed."""


def check_label(label: Label, now_ms: int) -> None:
    """Check what a schema cannot say: both dates are plausible.

    Raises:
        InvalidLabel: naming the field.
    """
    for field, time in (("timestamp", label.timestamp), ("known_at", label.known_at)):
        if time is not None and not EARLIEST_EVENT_TIME_MS <= event_time_ms(time) <= now_ms + MAX_CLOCK_SKEW_MS:
            raise InvalidLabel(field, "must lie between 2000-01-01 and a day from now (ISO 8601 or epoch seconds)")


@dataclass(frozen=True, slots=True, eq=False)
class LabelBatch:
    """n labels as columns, in the order in which they are to be taken.

    Attributes:
        transaction_id: n ids.
        merchant_id: n ids or None.
        event_time_ms: (n,) of the transactions.
        known_ms: (n,) when each label became known.
        is_fraud: (n,) the verdicts.
        source: n, who says so; None: a history, which has these labels on record.
    """

    transaction_id: list[str]
    merchant_id: list[str | None]
    event_time_ms: Int64s
    known_ms: Int64s
    is_fraud: Bools
    source: list[str] | None = None

    def __len__(self) -> int:
        return len(self.transaction_id)

    def to_json(self) -> bytes:
        """Return the columns as one JSON object: an entry of the log of labels."""
        return to_json(
            {
                "transaction_id": self.transaction_id,
                "merchant_id": self.merchant_id,
                "event_time_ms": self.event_time_ms.tolist(),
                "known_ms": self.known_ms.tolist(),
                "is_fraud": self.is_fraud.tolist(),
                "source": self.source,
            }
        )

    @classmethod
    def of(cls, labels: Sequence[Label], now_ms: int) -> Self:
        """Return validated labels as columns; an absent ``known_at`` is ``now_ms``."""
        known = [now_ms if label.known_at is None else event_time_ms(label.known_at) for label in labels]
        return cls(
            [label.transaction_id for label in labels],
            [label.merchant_id for label in labels],
            np.array([event_time_ms(label.timestamp) for label in labels], np.int64),
            np.array(known, np.int64),
            np.array([label.is_fraud for label in labels], np.bool_),
            [label.source for label in labels],
        )


def ready_ms(event_time_ms: Int64s) -> Int64s:
    """Return the time (n,) from which the delayed windows hold the quarter of a day of each event (n,)."""
    return (event_time_ms // DAY_QUARTER_MS + 1) * DAY_QUARTER_MS + LABEL_DELAY_MS


def is_out_of_reach(event_time_ms: Int64s, known_ms: Int64s) -> Bools:
    """Return where (n,) no window at or after ``known_ms`` reaches the event any more."""
    return known_ms + 1 >= ready_ms(event_time_ms) + _LONGEST_MS
