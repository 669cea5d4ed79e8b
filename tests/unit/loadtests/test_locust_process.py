"""Locust as a subprocess, with a command that behaves like it in its place."""

import os
import sys
from pathlib import Path

import psutil
import pytest

from loadtests import locust_process
from loadtests.locust_process import Watched, busiest, locust_command, run_locust, used_s_of
from loadtests.results import LoadTestFailed


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.fixture(autouse=True)
def _watch_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locust_process, "WATCH_S", 0.02)


def test_its_output_is_kept_and_time_is_told_while_it_runs(tmp_path: Path) -> None:
    told: list[float] = []
    # It ends when this process has told the time, so that the test waits for nothing else.
    code = (
        f"import os, time; print('hello')\nwhile not os.path.exists({str(tmp_path / 'seen')!r}): time.sleep(.01)"
    )

    def each_second(elapsed_s: float) -> None:
        told.append(elapsed_s)
        (tmp_path / "seen").touch()

    watched = run_locust(python(code), tmp_path, 60, each_second)
    assert (tmp_path / "locust.log").read_text() == "hello\n"
    assert told
    assert 0 <= watched.cpu_share <= watched.busy_share <= 1
    assert watched.processes == 1


def test_an_error_is_reported_with_the_last_words_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(LoadTestFailed, match="ended with 3: no such scenario"):
        run_locust(python("print('no such scenario'); raise SystemExit(3)"), tmp_path, 60, lambda _: None)


def test_one_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locust_process, "GRACE_S", 0.0)
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(LoadTestFailed, match="did not end"):
        run_locust(python("import threading; threading.Event().wait()"), tmp_path, 0, lambda _: None)
    assert {child.pid for child in psutil.Process().children()} <= before


def test_what_the_watcher_raises_ends_it_too(tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process().children()}

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_locust(python("import threading; threading.Event().wait()"), tmp_path, 60, interrupt)
    assert {child.pid for child in psutil.Process().children()} <= before


def test_the_busiest_process_counts() -> None:
    before = {1: (5.0, 4.0), 2: (0.0, 0.0)}
    assert busiest(before, {1: (5.1, 4.1), 2: (1.8, 0.6), 3: (9.0, 9.0)}, 2.0) == (0.9, 0.3)
    assert busiest({}, {}, 1.0) == (0, 0)


def test_a_process_is_busy_for_at_least_the_time_that_it_was_on_a_core() -> None:
    busy_s, cpu_s = used_s_of(psutil.Process())[os.getpid()]
    assert 0 < cpu_s <= busy_s


def test_it_says_who_was_the_limit() -> None:
    assert "so it was not the limit" in Watched(0.5, 0.4, 1).sentence()
    assert "itself the limit" in Watched(0.95, 0.9, 1).sentence()
    assert "busiest of 4 locust processes" in Watched(0.95, 0.9, 4).sentence()
    assert "machine was the limit" in Watched(0.95, 0.2, 1).sentence()
    assert not Watched(0.85, 0.85, 1).is_the_limit


def test_a_run_is_headless_and_leaves_csv_files_and_a_report(tmp_path: Path) -> None:
    command = locust_command([Path("a.py"), Path("b.py")], tmp_path, ["--users", "3"])
    assert command[:5] == [sys.executable, "-m", "locust", "-f", "a.py,b.py"]
    assert {"--headless", "--csv-full-history"} <= set(command)
    assert command[command.index("--csv") + 1] == str(tmp_path / "locust")
    assert command[command.index("--html") + 1] == str(tmp_path / "report.html")
    assert command[-2:] == ["--users", "3"]


def test_rounding_does_not_leave_more_on_a_core_than_was_busy() -> None:
    before, now = {1: (0.1 + 0.2, 0.3)}, {1: (0.5, 0.5)}
    busy, cpu = busiest(before, now, 0.7)
    assert busy < (0.5 - 0.3) / 0.7
    assert cpu == busy
