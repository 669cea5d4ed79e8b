"""What waits in the spool, by id: the first stands, and memory is bounded."""

from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

from deployments.ledger.standing import Standing
from deployments.ledger.waiting import Waiting
from features.claims import claims
from tests.unit.deployments.ledger.entries import entry_of_ids

NOWHERE: Final = Path("nowhere")
_NUMBERS: Final = count()


def waiting_of(*batches: tuple[str, ...], max_rows: int = 100) -> Waiting:
    waiting = Waiting(max_rows)
    for number, ids in enumerate(batches):
        entry = entry_of_ids(*ids, score=number / 10)
        waiting.add(entry, entry.to_bytes(), claims(entry.batch), NOWHERE)
    return waiting


def test_the_decision_on_an_id_is_given() -> None:
    waiting = waiting_of(("a", "b"), ("c", "d"))
    [(row, value)] = waiting.values(["x", "b"])
    standing = Standing.parse(value)
    assert row == 1
    assert standing is not None
    assert standing.decision.startswith(b"[1770000001000,0,0,0.0")


def test_the_batches_of_some_ids_are_given_once_each() -> None:
    waiting = waiting_of(("a", "b"), ("c",))
    assert len(waiting.entries(["a", "b"])) == 1
    assert len(waiting.entries(["a", "c", "x"])) == 2
    assert waiting.entries(["x"]) == []


def test_what_is_recorded_is_forgotten() -> None:
    waiting = waiting_of(("a", "b"))
    waiting.forget(["a", "unknown"])
    assert waiting.values(["a"]) == []
    assert len(waiting) == 1


def test_the_oldest_are_forgotten_first_when_there_are_too_many() -> None:
    waiting = waiting_of(("a", "b"), ("c", "d"), max_rows=3)
    assert len(waiting) == 3
    assert [row for row, _ in waiting.values(["a", "b", "c", "d"])] == [1, 2, 3]


def test_to_forget_the_oldest_costs_no_more_when_many_were_forgotten_before() -> None:
    waiting = waiting_of(names(50_000), max_rows=50_000)
    before_s = [seconds_to_add(waiting, names(100)) for _ in range(15)]
    seconds_to_add(waiting, names(30_000))
    after_s = [seconds_to_add(waiting, names(100)) for _ in range(15)]
    # Looking for the oldest behind all that were forgotten made it ten times as much.
    assert median(after_s) < 3 * median(before_s)


def names(many: int) -> tuple[str, ...]:
    return tuple(f"t{next(_NUMBERS)}" for _ in range(many))


def seconds_to_add(waiting: Waiting, ids: tuple[str, ...]) -> float:
    entry = entry_of_ids(*ids, score=0.1)
    data, own_claims = entry.to_bytes(), claims(entry.batch)
    begun = perf_counter()
    waiting.add(entry, data, own_claims, NOWHERE)
    return perf_counter() - begun
