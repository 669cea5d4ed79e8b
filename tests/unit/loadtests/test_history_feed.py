"""Real history as request bodies."""

from pathlib import Path

import pytest

from features.errors import InvalidHistory
from loadtests import history_feed
from loadtests.history_feed import HistoryFeed
from training.arrivals import Arrivals
from training.simulate import simulate


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history of 1,000 transactions."""
    folder = tmp_path_factory.mktemp("history") / "made"
    simulate(folder, transactions=1000, show_progress=False)
    return folder


def all_of(feed: HistoryFeed, count: int) -> list[dict[str, object]]:
    bodies: list[dict[str, object]] = []
    while some := feed.next(count):
        bodies += some
    return bodies


@pytest.mark.parametrize("count", [1, 7, 5000])
def test_every_transaction_comes_once_in_order_with_the_id_that_it_had(
    history: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_feed, "READ_ROWS", 64)
    arrivals = Arrivals.of(history)
    expected = arrivals.rows(0, len(arrivals)).column("transaction_id").to_pylist()
    feed = HistoryFeed(history)
    bodies = all_of(feed, count)
    assert [body["transaction_id"] for body in bodies] == expected
    assert len(feed) == len(expected)
    times = [str(body["timestamp"]) for body in bodies]
    assert times == sorted(times)


def test_no_transaction_is_lost_between_two_requests(history: Path) -> None:
    one_by_one = HistoryFeed(history, 30)
    assert [one_by_one.next(1)[0] for _ in range(30)] == HistoryFeed(history, 30).next(30)


def test_a_limit_ends_it_early_and_after_the_end_there_is_nothing(history: Path) -> None:
    feed = HistoryFeed(history, 10)
    assert len(feed.next(8)) == 8
    assert len(feed.next(8)) == 2
    assert feed.next(8) == []


def test_a_folder_without_history_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidHistory, match=str(tmp_path)):
        HistoryFeed(tmp_path)
