"""A row, what of it breaks a promise, and the table that it stands in."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.chaos.proof import Proof
from loadtests.chaos.report import COLUMNS, cells, markdown, write
from loadtests.chaos.row import Row, broken, row_of
from tests.unit.loadtests.chaos.fakes import asked, attempt

REFUSED = attempt(503, error="overloaded", retry_after=True, ended_s=12.0)
HURT = [asked(REFUSED, attempt(ended_s=13.0), attempt(duplicate=True))]
GOOD = row_of("lr", "kill -9 of a replica", HURT, 10.0, Proof())


def test_a_fault_may_make_clients_repeat_and_a_change_may_not() -> None:
    assert broken(GOOD, may_interrupt=True) == []
    assert broken(GOOD, may_interrupt=False) == ["lr: 1 requests got 503 (overloaded: 1)."]


def test_what_clients_saw_is_named_by_kind() -> None:
    wrong = broken(replace(GOOD, wrong={"500": 2, "404": 1}), may_interrupt=True)
    assert wrong == ["lr: 3 answers were neither a decision nor a 503 with Retry-After (404: 1, 500: 2)."]
    cut = broken(replace(GOOD, busy={}, unanswered={"ReadTimeout": 1}), may_interrupt=False)
    assert cut == ["lr: 1 requests got no answer (ReadTimeout: 1)."]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"failed": 1}, "payments failed"),
        ({"lost": 1}, "decisions were lost"),
        ({"archived_twice": 1}, "archived twice"),
        ({"counted_twice": 1}, "counted twice"),
        ({"uncounted": 1}, "not counted"),
        ({"unremembered": 1}, "not known"),
        ({"told_twice": 1}, "two answers"),
        ({"otherwise": 1}, "otherwise than told"),
        ({"wrong": {"500": 1}}, "neither a decision nor a 503"),
    ],
)
def test_each_broken_promise_is_a_sentence(change: dict[str, object], words: str) -> None:
    [sentence] = broken(replace(GOOD, **change), may_interrupt=True)  # type: ignore[arg-type]
    assert words in sentence


def test_a_row_has_the_figures_of_clients_and_of_the_proof() -> None:
    row = row_of("lr", "", HURT, 10.0, Proof(lost=["a"], otherwise=["b"], counted_twice=3))
    assert (row.requests, row.busy, row.lost, row.otherwise, row.counted_twice) == (1, {"overloaded": 1}, 1, 1, 3)
    assert row.recovered_s == 2.0


def test_the_tables_have_a_line_a_row_and_a_cell_a_column(tmp_path: Path) -> None:
    lines = markdown([GOOD, GOOD]).splitlines()
    assert len(lines) == 4
    assert {line.count("|") for line in lines} == {len(COLUMNS) + 2}
    assert len(cells(GOOD)) == len(COLUMNS)
    write(tmp_path / "out", "faults", [GOOD], {"seed": 1})
    document = json.loads((tmp_path / "out" / "faults.json").read_text())
    assert document["plan"] == {"seed": 1}
    assert Row(**document["rows"][0]) == GOOD
    assert (tmp_path / "out" / "faults.md").read_text() == markdown([GOOD])
