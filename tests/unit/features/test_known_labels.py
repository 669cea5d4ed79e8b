"""The recorded labels of a history: which verdicts change something, and from when until when they count."""

from dataclasses import replace
from random import Random

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.definitions import DAY_MS, LABEL_DELAY_MS
from features.errors import InvalidHistory
from features.history import HISTORY_SCHEMA
from features.known_labels import (
    UNDECIDED,
    LabelChanges,
    Verdicts,
    is_recorded,
    label_changes,
    recorded_frauds,
)
from features.transaction import Int64s
from tests.parity.histories import MONDAY, history_table, labelled_histories
from tests.parity.oracle import Event

Labels = list[tuple[int, int]]


def history(*labels: Labels | None) -> pa.Table:
    cells = [
        None if one is None else [{"known_at": when, "is_fraud": fraud} for when, fraud in one] for one in labels
    ]
    return pa.table({"known_labels": pa.array(cells, HISTORY_SCHEMA.field("known_labels").type)})


def changes_of(table: pa.Table) -> list[tuple[int, int, int]]:
    changes = label_changes(table)
    return list(zip(changes.row.tolist(), changes.known_ms.tolist(), changes.change.tolist(), strict=True))


def test_only_what_differs_from_the_verdict_before_is_a_change() -> None:
    table = history([(5, 1), (6, 1), (7, 0), (8, 1)], None, [], [(3, 0)], [(4, 1)])
    assert changes_of(table) == [(0, 5, 1), (0, 7, -1), (0, 8, 1), (4, 4, 1)]
    assert is_recorded(table).tolist() == [True, False, True, True, True]


def test_verdicts_are_taken_by_time_and_of_one_moment_in_their_order() -> None:
    assert changes_of(history([(9, 0), (2, 1)], [(4, 1), (4, 0)])) == [
        (0, 2, 1),
        (0, 9, -1),
        (1, 4, 1),
        (1, 4, -1),
    ]


@pytest.mark.parametrize("table", [history(), history(None, None), history([], [])])
def test_without_verdicts_there_is_no_change(table: pa.Table) -> None:
    assert changes_of(table) == []


def test_a_history_of_several_chunks_is_one() -> None:
    parts = [history(None, [(1, 1)]), history([(2, 1)]), history(None, [(3, 1)]).slice(1)]
    assert changes_of(pa.concat_tables(parts)) == [(1, 1, 1), (2, 2, 1), (3, 3, 1)]


def known(event: Event, as_of_ms: int) -> int:
    """Return what was known of an event at a moment, by its labels so far or the label delay."""
    if event.labels is None:
        return int(event.fraud) if not event.fraud or event.time + LABEL_DELAY_MS <= as_of_ms else UNDECIDED
    so_far = [is_fraud for known_ms, is_fraud in event.labels if known_ms <= as_of_ms]
    if so_far:
        return int(so_far[-1])
    return UNDECIDED if event.labels or event.fraud else 0


@given(labelled_histories(), st.floats(-1, 60))
def test_what_is_known_is_the_last_verdict_so_far_and_nothing_before_the_first(
    events: list[Event], day: float
) -> None:
    as_of_ms = MONDAY + int(day * DAY_MS)
    verdicts = Verdicts.of(history_table(events))
    assert verdicts.known_by(as_of_ms).tolist() == [known(event, as_of_ms) for event in events]


@given(labelled_histories(), st.floats(-1, 60), st.randoms(use_true_random=False))
def test_what_was_said_later_could_be_anything_without_a_change_of_what_was_known(
    events: list[Event], day: float, random: Random
) -> None:
    """But that something was said, which leaves a row out that nobody had a verdict on before."""
    as_of_ms = MONDAY + int(day * DAY_MS)

    def otherwise(event: Event) -> Event:
        if event.labels is None:
            return event
        later = [(when, random.random() < 0.5 if when > as_of_ms else fraud) for when, fraud in event.labels]
        return replace(event, labels=tuple(later))

    before, after = (Verdicts.of(history_table(one)) for one in (events, [otherwise(event) for event in events]))
    np.testing.assert_array_equal(before.known_by(as_of_ms), after.known_by(as_of_ms))


def counted(codes: list[int], days: list[float], *changes: tuple[int, float, int]) -> list[int]:
    """Return the frauds of 7 days of rows at some days, when the changes are (row, day of knowing, change)."""
    row, known, change = (np.array(column) for column in zip(*changes, strict=True))
    known_ms = (known * DAY_MS).astype(np.int64)
    times: Int64s = (np.array(days) * DAY_MS).astype(np.int64)
    frauds = recorded_frauds(np.array(codes), times, LabelChanges(row, known_ms, change))
    return [int(count) for count in frauds["merchant_delayed_frauds_7d"]]


def test_a_change_counts_for_its_merchant_from_when_the_windows_reach_it_until_they_leave_it() -> None:
    codes, days = [3, 3, 3, 3, 5, -1], [0.5, 7.7, 7.75, 14.75, 9, 9]
    assert counted(codes, days, (0, 0.6, 1)) == [0, 0, 1, 0, 0, 0]
    assert counted(codes[:3], days[:3], (0, 0.6, 1)) == [0, 0, 1]


def test_a_late_change_counts_after_it_became_known_and_one_too_late_never() -> None:
    codes, days = [0, 0, 0, 0], [0.5, 10, 10.5, 15]
    assert counted(codes, days, (0, 10, 1)) == [0, 0, 1, 0]
    assert counted(codes, days, (0, 15, 1)) == [0, 0, 0, 0]
    assert counted(codes[:2], days[:2], (0, 10, 1)) == counted(codes[:2], days[:2], (0, 10.1, 1)) == [0, 0]
    assert counted(codes, days, (0, 10, 1), (0, 10.2, -1)) == [0, 0, 0, 0]


def test_labels_of_rows_without_a_merchant_count_nowhere() -> None:
    assert counted([-1, 0], [0.5, 9], (0, 1, 1)) == [0, 0]


def test_too_many_merchants_over_too_long_a_time_are_refused_and_not_mixed_up() -> None:
    with pytest.raises(InvalidHistory, match="use more partitions"):
        counted([0, 2**40], [0.5, 30_000], (0, 1, 1))
