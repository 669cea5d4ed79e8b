"""The backfill, on a real Valkey."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import redis

from features.definitions import DAY_MS, DAY_QUARTER_MS, LABEL_DELAY_MS
from features.errors import InvalidHistory, OnlineStoreUnavailable
from features.formulas import feature_matrix
from features.history import history_to_batch
from features.offline import offline_matrix
from features.online import OnlineStore, key_prefix
from tests.parity.histories import MONDAY, history_table
from tests.parity.oracle import DAY, Event
from tests.unit.training.written_histories import (
    day,
    out_of_order,
    two_months,
    with_recorded_labels,
    write_history,
)
from training.arrivals import Arrivals
from training.backfill import BackfillMark, BackfillReport, backfill

EVENTS = two_months()


@pytest.fixture
def client(valkey_socket: str) -> Iterator["redis.Redis"]:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_history(tmp_path_factory.mktemp("backfill") / "history", history_table(EVENTS))


def run(history: Path, client: "redis.Redis", until: float | None = None, **options: object) -> BackfillReport:
    moment = None if until is None else day(0, 24 * until)
    return backfill(history, redis_url=url(client), until=moment, show_progress=False, **options)  # type: ignore[arg-type]


def url(client: "redis.Redis") -> str:
    return f"unix://{client.connection_pool.connection_kwargs['path']}"


def content(client: "redis.Redis") -> dict[bytes, bytes | None]:
    return {key: client.get(key) for key in client.scan_iter()}  # type: ignore[misc]


@pytest.mark.parametrize("until", [3.5, 30, 55])
def test_after_a_backfill_the_next_transactions_have_their_full_windows(
    history: Path, client: "redis.Redis", until: float
) -> None:
    run(history, client, until)
    # Of the same quarter of a day: at its end the windows reach labels that only a replay would give the store.
    times = np.array([event.time for event in EVENTS])
    first, end = np.searchsorted(times, [MONDAY + until * DAY, MONDAY + until * DAY + DAY_QUARTER_MS])
    rows = slice(int(first), int(end))
    assert end > first
    online = feature_matrix(OnlineStore(client).observe(history_to_batch(history_table(EVENTS[rows]))))
    np.testing.assert_array_equal(online, offline_matrix(history_table(EVENTS))[rows])


@pytest.mark.parametrize("until", [30, 41.25, 55])
def test_labels_count_from_when_the_history_says_that_they_were_known(
    tmp_path: Path, client: "redis.Redis", until: float
) -> None:
    events = with_recorded_labels(EVENTS)
    run(write_history(tmp_path / "labelled", history_table(events)), client, until)
    first = next(i for i, event in enumerate(events) if event.time >= MONDAY + until * DAY)
    online = feature_matrix(
        OnlineStore(client).observe(history_to_batch(history_table(events[first : first + 1])))
    )
    expected = offline_matrix(history_table(events))[first : first + 1]
    np.testing.assert_array_equal(online, expected)
    # And it does matter when: with the label delay alone, the features are others.
    assert (expected != offline_matrix(history_table(EVENTS))[first : first + 1]).any()


def test_rows_are_loaded_in_order_of_arrival(tmp_path: Path, client: "redis.Redis") -> None:
    table = out_of_order(EVENTS)
    late = write_history(tmp_path / "late", table)
    arrivals = Arrivals.of(late)
    first = arrivals.first_at(day(40))
    run(late, client, 40)
    # Of the same quarter of a day, as above.
    rows = arrivals.rows(first, max(arrivals.first_at(day(40, 6)), first + 1))
    online = feature_matrix(OnlineStore(client).observe(history_to_batch(rows)))
    ids = table.column("transaction_id").to_pylist()
    expected = offline_matrix(table)[[ids.index(i) for i in rows.column("transaction_id").to_pylist()]]
    np.testing.assert_array_equal(online, expected)


def test_a_second_run_changes_nothing(history: Path, client: "redis.Redis") -> None:
    first = run(history, client)
    before = content(client)
    second = run(history, client)
    assert content(client) == before
    assert (second.loaded, second.already_loaded, second.labels) == (0, first.loaded, 0)
    assert second.too_old == first.too_old > 0


def test_a_run_that_ended_before_its_mark_was_written_is_not_counted_twice(
    history: Path, client: "redis.Redis"
) -> None:
    run(history, client)
    before = content(client)
    # As if the machine had stopped after a batch, with the mark of the batch before.
    BackfillMark(client, Arrivals.of(history)).set(EVENTS[-300].id)
    assert run(history, client).loaded == 299
    assert content(client) == before


def test_a_later_run_adds_what_is_new(history: Path, client: "redis.Redis") -> None:
    run(history, client)
    at_once = content(client)
    client.flushall()
    first, second = run(history, client, 40), run(history, client)
    assert first.loaded + second.loaded + second.too_old >= len(EVENTS)
    matrices = [feature_matrix(OnlineStore(client).observe(history_to_batch(history_table(after()))))]
    client.flushall()
    for key, value in at_once.items():
        client.set(key, value or b"")
    matrices.append(feature_matrix(OnlineStore(client).observe(history_to_batch(history_table(after())))))
    np.testing.assert_array_equal(matrices[0], matrices[1])


def after() -> list[Event]:
    """Return payments of the day after the history."""
    return [replace(event, id=f"after{event.id}", time=MONDAY + 62 * DAY) for event in EVENTS[:30]]


def test_only_labels_known_by_then_are_applied_and_each_once(history: Path, client: "redis.Redis") -> None:
    def known(until: int) -> int:
        frauds = [event.time for event in EVENTS if event.fraud and event.merchant]
        oldest = MONDAY + (until - 48) * DAY_MS
        return sum(oldest <= time <= MONDAY + until * DAY_MS - LABEL_DELAY_MS for time in frauds)

    assert run(history, client, 30).labels == known(30) > 0
    assert run(history, client, 31).labels == known(31) - known(30) > 0


def test_of_a_whole_history_labels_known_after_its_end_are_loaded_too(
    tmp_path: Path, client: "redis.Redis"
) -> None:
    known = ((MONDAY + DAY, True), (int(time.time() + 3600) * 1000, False))
    events = [
        Event("paid", MONDAY, 100, "ann", "shop", labels=known),
        Event("last", MONDAY + 1, 100, "bob", "shop"),
    ]
    history = write_history(tmp_path / "history", history_table(events))
    assert run(history, client, 0.5).labels == 0
    assert run(history, client).labels == 1, "what will be known in an hour is not known now"
    later = history_to_batch(history_table([Event("later", MONDAY + 9 * DAY, 1, "eve", "shop")]))
    assert OnlineStore(client).observe(later)["merchant_delayed_frauds_7d"] == [1]


def test_rows_that_no_window_reaches_are_left_out_and_counted(history: Path, client: "redis.Redis") -> None:
    report = run(history, client, 60)
    assert report.too_old == sum(event.time < MONDAY + 12 * DAY for event in EVENTS) > 0
    assert report.loaded == sum(MONDAY + 12 * DAY <= event.time < MONDAY + 60 * DAY for event in EVENTS)


def test_since_leaves_out_what_came_before(history: Path, client: "redis.Redis") -> None:
    report = run(history, client, 30, since=day(20))
    assert report.loaded == sum(MONDAY + 20 * DAY <= event.time < MONDAY + 30 * DAY for event in EVENTS)
    assert run(history, client, 30, since=day(31)).loaded == 0


def test_clear_deletes_the_keys_of_these_definitions_alone(history: Path, client: "redis.Redis") -> None:
    client.set("tg:0000aaaa:c:ann", "of other definitions")
    client.set(key_prefix() + b"c:ann", "old")
    assert run(history, client, 30, clear=True).cleared == 1
    assert client.get("tg:0000aaaa:c:ann") == b"of other definitions"
    assert client.get(key_prefix() + b"c:ann") is None


def test_the_report_reads_as_sentences(history: Path, client: "redis.Redis") -> None:
    text = run(history, client, 60).__rich__()
    assert "as of 2025-07-04 00:00 UTC" in text
    assert "older than any window reaches" in text


@pytest.mark.parametrize(
    "address", ["unix:///nowhere/valkey.sock", "redis://127.0.0.1:1/0", "valkey.example:6379"]
)
def test_a_store_that_is_not_there_is_named(history: Path, address: str) -> None:
    with pytest.raises(OnlineStoreUnavailable, match=r"did not answer|is no address"):
        backfill(history, redis_url=address, show_progress=False)


def test_a_folder_without_history_is_named(tmp_path: Path, client: "redis.Redis") -> None:
    with pytest.raises(InvalidHistory, match="holds no day="):
        run(tmp_path, client)
