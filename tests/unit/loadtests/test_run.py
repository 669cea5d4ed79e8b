"""The one command: what it tells locust, and what it makes of the results."""

import subprocess
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from loadtests import locust_process
from loadtests import run as run_module
from loadtests.locust_process import Watched
from loadtests.results import LoadTestFailed
from loadtests.run import USERS, Load, Scenario, Traffic, main
from tests.unit.loadtests.locust_files import write_run


def load(**changes: object) -> Load:
    usual: dict[str, object] = {"scenario": Scenario.STEADY, "traffic": Traffic.SINGLE, "host": "http://a"}
    return Load(**usual | changes)  # type: ignore[arg-type]


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


@pytest.mark.parametrize("traffic", Traffic)
@pytest.mark.parametrize("scenario", Scenario)
def test_each_scenario_and_traffic_is_two_files_and_the_users_in_them(
    scenario: Scenario, traffic: Traffic, tmp_path: Path
) -> None:
    history = tmp_path if traffic in (Traffic.REPLAY, Traffic.REPLAY_BULK) else None
    stages = "5x3" if scenario is Scenario.STAGED else ""
    command = load(scenario=scenario, traffic=traffic, history=history, stages=stages).command(tmp_path)
    files = [Path(file) for file in option(command, "-f").split(",")]
    assert all(file.is_file() for file in files)
    assert files[1].stem == scenario
    users = USERS[traffic][1]
    assert tuple(command[-len(users) :]) == users


def test_users_and_length_are_told_to_locust(tmp_path: Path) -> None:
    command = load(users=7, duration_s=90.0, think_time_ms=12.5, batch_size=50, processes=2).command(tmp_path)
    told = {name: option(command, f"--{name}") for name in ("users", "run-time", "think-time-ms", "batch-size")}
    assert told == {"users": "7", "run-time": "90s", "think-time-ms": "12.5", "batch-size": "50"}
    assert option(command, "--processes") == "2"


def test_a_staged_run_is_as_long_as_its_stages_and_no_other_is(tmp_path: Path) -> None:
    assert "--run-time" not in load(scenario=Scenario.STAGED, stages="5x3").command(tmp_path)
    for contradiction in (load(stages="5x3"), load(scenario=Scenario.STAGED)):
        with pytest.raises(LoadTestFailed, match="--stages"):
            contradiction.command(tmp_path)


def test_a_replay_needs_a_history_and_one_process(tmp_path: Path) -> None:
    with pytest.raises(LoadTestFailed, match="--history"):
        load(traffic=Traffic.REPLAY).command(tmp_path)
    with pytest.raises(LoadTestFailed, match="--history"):
        load(history=tmp_path).command(tmp_path)
    with pytest.raises(LoadTestFailed, match="one process"):
        load(traffic=Traffic.REPLAY, history=tmp_path, processes=2).command(tmp_path)


@pytest.fixture
def locust_that_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of locust: writes the files of a run with two failures of a hundred requests."""

    def fake(_: list[str], results: Path, plan_s: float, each_second: object) -> Watched:
        assert callable(each_second)
        each_second(plan_s)
        write_run(results)
        return Watched(0.5, 0.4, 1)

    monkeypatch.setattr(run_module, "run_locust", fake)


@pytest.mark.usefixtures("locust_that_wrote")
@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["--max-failed-share", "0.02"], 0, "Aggregated"),
        ([], 1, "max-failed-share: 2.0000% of the requests failed (2 of 100)"),
        (["--max-failed-share", "1", "--max-p99-ms", "80"], 1, "max-p99-ms: p99 was 90 ms, more than 80 ms."),
        (["--max-failed-share", "1", "--min-rps", "51"], 1, "min-rps: 50.0 requests/s were made, fewer than 51."),
    ],
)
def test_the_exit_code_says_whether_the_thresholds_were_met(
    arguments: list[str], exit_code: int, words: str, tmp_path: Path
) -> None:
    app = Typer()
    app.command()(main)
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["step", "--results", str(tmp_path / "r"), *arguments])
    assert result.exit_code == exit_code, result.output
    assert words in result.output
    assert "Locust was busy for 50% of the time" in result.output


def test_a_wrong_plan_is_a_sentence_and_no_trace(tmp_path: Path) -> None:
    app = Typer()
    app.command()(main)
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["staged", "--stages", "5", "--results", str(tmp_path)])
    assert result.exit_code == 1
    assert "20x4,30x64" in result.output
    assert not any(tmp_path.iterdir())


def test_results_go_where_locust_is_told_whatever_its_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Path] = []

    def popen(command: list[str], **_: object) -> object:
        told.extend(Path(command[command.index(name) + 1]) for name in ("--csv", "--html"))
        raise subprocess.SubprocessError("not here")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(locust_process.psutil, "Popen", popen)
    with pytest.raises(subprocess.SubprocessError):
        run_module.run(load(), Path("out"), show_progress=False)
    assert told == [tmp_path / "out" / "locust", tmp_path / "out" / "report.html"]
