"""Who is measured when, what is frozen meanwhile, and what a turn records."""

import math
from pathlib import Path

import pytest

from loadtests.compare.figures import Measurement
from loadtests.compare.measure import Plan, Target, run, turns
from loadtests.compare.processes import Processes
from loadtests.compare.systems import select
from tests.unit.loadtests.compare.http_server import answering
from tests.unit.loadtests.fake_wrk import fake_wrk, logged


class FakeProcesses(Processes):
    """Keeps a diary in place of sending signals."""

    def __init__(self, name: str, diary: list[str]) -> None:
        super().__init__(Path(name), "")
        self._diary = diary

    def freeze(self) -> None:
        self._diary.append(f"freeze {self.home}")

    def thaw(self) -> None:
        self._diary.append(f"thaw {self.home}")

    def cpu_s(self) -> float:
        return 0.0


def targets(*names: str) -> list[Target]:
    return [Target(system, f"http://{system.name}", None, Path("bodies")) for system in select(names)]


def plan(wrk: Path, connections: int = 1, warm_up_s: int = 0) -> Plan:
    return Plan((connections,), 1, warm_up_s, 1, 7, str(wrk))


def test_every_system_has_its_turn_at_each_number_of_connections() -> None:
    three = targets("tollgate", "echo", "plain")
    for repetition in range(4):
        found = turns(three, (1, 16), repetition)
        assert [level for _, level in found] == [1, 1, 1, 16, 16, 16]
        assert all(
            {t.system.name for t, level in found if level == c} == {"tollgate", "echo", "plain"} for c in (1, 16)
        )


def test_the_order_differs_from_one_repetition_to_the_next() -> None:
    three = targets("tollgate", "echo", "plain")
    orders = [tuple(t.system.name for t, _ in turns(three, (1,), repetition)) for repetition in range(3)]
    assert len(set(orders)) == 3
    assert len({order[0] for order in orders}) > 1


def test_every_other_repetition_goes_backwards() -> None:
    six = targets("tollgate", "echo", "textbook", "plain", "tuned_1", "litserve")
    even, odd = ([t.system.name for t, _ in turns(six, (1,), repetition)] for repetition in (0, 1))
    # Seen as rings, one is the other turned around: who follows whom in one goes before in the other.
    followed = set(zip(even, [*even[1:], even[0]], strict=True))
    assert set(zip(odd, [*odd[1:], odd[0]], strict=True)) == {(b, a) for a, b in followed}


def test_bulk_has_its_turn_at_its_own_number_of_connections() -> None:
    found = turns(targets("tollgate", "tollgate_json_bulk"), (1, 64), 0)
    assert sorted((t.system.name, level) for t, level in found) == [
        ("tollgate", 1),
        ("tollgate", 64),
        ("tollgate_json_bulk", 1),
        ("tollgate_json_bulk", 16),
    ]


def test_only_the_system_under_test_runs_and_it_answers_before_and_after(tmp_path: Path) -> None:
    diary: list[str] = []

    def answer(_: bytes) -> tuple[int, bytes]:
        diary.append("answers")
        return 200, b"{}"

    with answering(answer) as url:
        both = [Target(one, url, FakeProcesses(one.name, diary), None) for one in select(["echo", "plain"])]
        measured = run(plan(fake_wrk(tmp_path)), both, None, lambda: diary.append("store"), lambda _: None)
        diary.extend(f"measured {turn.system}" for turn in measured)
    own = ["thaw echo", "answers", "measured echo", "answers", "freeze echo"]
    other = [entry.replace("echo", "plain") for entry in own]
    assert diary == ["freeze echo", "freeze plain", "store", *own, *other, "thaw echo", "thaw plain"]


def test_whatever_happens_nothing_stays_frozen(tmp_path: Path) -> None:
    diary: list[str] = []
    one = [Target(system, "http://a", FakeProcesses(system.name, diary), None) for system in select(["echo"])]

    def broken() -> None:
        raise OSError("the store is gone")

    with pytest.raises(OSError, match="gone"):
        list(run(plan(fake_wrk(tmp_path)), one, None, broken, lambda _: None))
    assert diary[-1] == "thaw echo"


def test_each_turn_is_warmed_up_with_the_same_load(tmp_path: Path) -> None:
    warm = plan(fake_wrk(tmp_path), connections=64, warm_up_s=1)
    list(run(warm, targets("tollgate"), None, lambda: None, lambda _: None))
    assert logged(tmp_path) == [["-c64", "http://tollgate", "--", "7"]] * 2


def test_a_warm_up_without_an_answer_is_no_silent_turn(tmp_path: Path) -> None:
    slow = plan(fake_wrk(tmp_path, fails_first=True), warm_up_s=1)
    [found] = run(slow, targets("tollgate"), None, lambda: None, lambda _: None)
    assert found.sample
    assert len(logged(tmp_path)) == 2


def test_bodies_that_are_made_beforehand_come_from_a_file(tmp_path: Path) -> None:
    list(run(plan(fake_wrk(tmp_path)), targets("litserve"), None, lambda: None, lambda _: None))
    assert logged(tmp_path) == [["-c1", "http://litserve", "--", "bodies", "application/json"]]


def test_a_system_that_answers_nothing_does_not_end_the_run(tmp_path: Path) -> None:
    silent = fake_wrk(tmp_path, requests=5, status=5)
    found: list[Measurement] = list(
        run(plan(silent), targets("echo", "plain"), None, lambda: None, lambda _: None)
    )
    assert [m.sample for m in found] == [None, None]
    assert "no request with a success" in found[0].problem
    assert found[0].decisions_per_s == 0


def test_the_cpu_of_processes_that_are_not_known_is_not_made_up(tmp_path: Path) -> None:
    [found] = run(plan(fake_wrk(tmp_path)), targets("echo"), None, lambda: None, lambda _: None)
    assert math.isnan(found.service_cores)
    assert math.isnan(found.other_cores)
