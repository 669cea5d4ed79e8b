"""The contract of a label, and which labels no window reaches."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from features.definitions import DAY_MS, DAY_QUARTER_MS
from features.errors import InvalidLabel
from features.known_labels import LabelChanges, recorded_frauds
from features.label import Label, LabelBatch, check_label, is_out_of_reach

NOW = datetime(2026, 5, 28, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
GOOD = {
    "transaction_id": "t1",
    "timestamp": "2026-02-06T02:30:00Z",
    "merchant_id": "shop",
    "is_fraud": True,
    "source": "chargeback",
}


def label(**changes: object) -> Label:
    return Label.model_validate_json(json.dumps(GOOD | changes))


def test_a_label_becomes_a_row_known_now_unless_it_says_when() -> None:
    batch = LabelBatch.of([label(), label(known_at=1_770_000_000.5, is_fraud=False, merchant_id=None)], NOW_MS)
    assert batch.event_time_ms.tolist() == [1_770_345_000_000] * 2
    assert batch.known_ms.tolist() == [NOW_MS, 1_770_000_000_500]
    assert batch.is_fraud.tolist() == [True, False]
    assert batch.merchant_id == ["shop", None]
    assert len(LabelBatch.of([], NOW_MS)) == 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"transaction_id": ""}, "transaction_id"),
        ({"transaction_id": "x" * 65}, "transaction_id"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"merchant_id": 7}, "merchant_id"),
        ({"is_fraud": 1}, "is_fraud"),
        ({"is_fraud": "true"}, "is_fraud"),
        ({"is_fraud": None}, "is_fraud"),
        ({"known_at": "soon"}, "known_at"),
        ({"source": "rumour"}, "source"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_no_label_is_refused_by_the_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        label(**changes)
    assert [error["loc"][0] for error in refused.value.errors()] == [field]


@pytest.mark.parametrize("missing", ["transaction_id", "timestamp", "is_fraud", "source"])
def test_a_label_needs_its_transaction_its_verdict_and_its_source(missing: str) -> None:
    with pytest.raises(ValidationError):
        Label.model_validate({name: value for name, value in GOOD.items() if name != missing})


@pytest.mark.parametrize("field", ["timestamp", "known_at"])
@pytest.mark.parametrize("time", [datetime(1999, 12, 31, tzinfo=UTC), NOW + timedelta(days=1, seconds=1)])
def test_absurd_dates_are_refused_by_the_field(field: str, time: datetime) -> None:
    with pytest.raises(InvalidLabel, match=f"^{field}: must lie between 2000-01-01 and a day from now"):
        check_label(label(**{field: time.isoformat()}), NOW_MS)
    check_label(label(), NOW_MS)


@given(st.integers(0, 3 * DAY_MS), st.sampled_from((0, 7, 37, 38, 39)), st.integers(-1, DAY_MS + 1))
def test_a_label_is_out_of_reach_when_it_counts_at_no_later_moment(time_ms: int, days: int, more_ms: int) -> None:
    event_time_ms, known_ms = np.array([time_ms]), np.array([time_ms + days * DAY_MS + more_ms])
    # A fraud counts for whole quarters of a day, so their edges and the moment after the label tell it all.
    edges = (known_ms // DAY_QUARTER_MS + np.arange(1, 161)) * DAY_QUARTER_MS
    moments = np.concatenate([event_time_ms, known_ms + 1, edges])
    change = LabelChanges(np.array([0]), known_ms, np.array([1]))
    frauds = recorded_frauds(np.zeros(len(moments), np.int64), moments, change)["merchant_delayed_frauds_30d"]
    assert is_out_of_reach(event_time_ms, known_ms).tolist() == [not frauds[1:].any()]
