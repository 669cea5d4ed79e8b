"""Tables, remarks, JSON and the plot."""

import io
import json
from pathlib import Path

from rich.console import Console

from loadtests.compare.figures import Measurement
from loadtests.compare.plot import write_plot
from loadtests.compare.report import Result, remarks, tables, write_json
from tests.unit.loadtests.compare.examples import measurement, result, silent

RUN = [
    *(measurement("tollgate", c, r, 1000 * (r + 1)) for c in (1, 64) for r in range(2)),
    *(measurement("litserve", c, r, 500 * (r + 1)) for c in (1, 64) for r in range(2)),
    *(measurement("tollgate_json_bulk", 16, r, 20 * (r + 1), rows=500) for r in range(2)),
    *(measurement("tollgate_arrow_bulk", 16, r, 40 * (r + 1), rows=500) for r in range(2)),
]


def printed(found: Result) -> list[str]:
    console = Console(file=io.StringIO(), width=160)
    for table in tables(found):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def line(lines: list[str], start: str) -> str:
    [found] = [one for one in lines if one.startswith(f"│ {start}")]
    return found


def test_a_line_holds_rate_ratio_and_latencies() -> None:
    found = [one for one in printed(result(RUN)) if one.startswith("│ LitServe")]
    assert len(found) == 2
    assert "750 (500-1,000)" in found[1]
    assert "2.00 (2.00-2.00)" in found[1]  # Tollgate / LitServe, decisions a second
    assert "0.50 (0.50-0.50)" in found[1]  # Tollgate / LitServe, p50


def test_bulk_is_compared_with_single_and_arrow_with_json() -> None:
    lines = printed(result(RUN))
    assert "10.0 (10.0-10.0)" in line(lines, "JSON bulk / single")
    assert "2.00 (2.00-2.00)" in line(lines, "Arrow bulk / JSON bulk")


def test_a_system_with_failures_is_marked_and_its_failures_are_shown() -> None:
    found = result([measurement("tollgate", 1, 0, 10), measurement("bentoml", 1, 0, 10, failed=1234)])
    assert "1,234" in line(printed(found), "! BentoML")
    assert any("marked with !" in remark for remark in remarks(found))
    assert not [one for one in printed(found) if one.startswith("│ ! Tollgate")]


def test_a_turn_without_any_success_is_said_to_be_silent() -> None:
    found = result([measurement("tollgate", 1, 0, 10), silent("bentoml", 1, 0)])
    assert "1 turns silent" in line(printed(found), "! BentoML")


def test_what_was_not_measured_is_named_with_its_reason() -> None:
    found = result(RUN, {"mlserver": "not installed: No matching distribution found for mlserver"})
    assert "No matching distribution found" in line(printed(found), "MLServer")


def test_a_heavy_client_and_a_busy_machine_are_said() -> None:
    quiet = result([measurement("tollgate", 1, 0, 10, client=0.4, other=0.1)])
    assert remarks(quiet) == []
    heavy = remarks(result([measurement("tollgate", 1, 0, 10, client=0.6), measurement("echo", 1, 0, 10)]))
    assert len(heavy) == 1
    assert "up to 0.60 of 2 cores" in heavy[0]
    assert "Tollgate, single" in heavy[0]
    assert "echo" not in heavy[0]
    busy = remarks(result([measurement("tollgate", 1, 0, 10, other=0.3), measurement("echo", 1, 0, 10)]))
    assert "in 1 of 2 turns" in busy[0]


def test_json_holds_every_sample_and_every_reason(tmp_path: Path) -> None:
    path = tmp_path / "compare.json"
    write_json(result([*RUN, silent("bentoml", 1, 0)], {"mlflow": "a reason"}), path)
    content = json.loads(path.read_text())
    assert len(content["measurements"]) == len(RUN) + 1
    assert content["measurements"][0]["sample"]["requests_per_s"] == 1000
    assert content["measurements"][-1]["service_cores"] is None
    assert content["unavailable"] == {"mlflow": "a reason"}
    assert {system["name"] for system in content["systems"]} >= {"tollgate", "mlflow"}
    assert all(system["settings"] for system in content["systems"])


def test_the_plot_is_a_png(tmp_path: Path) -> None:
    def written(measurements: list[Measurement]) -> bytes:
        write_plot(result(measurements), tmp_path / "compare.png")
        return (tmp_path / "compare.png").read_bytes()

    both, one = written([*RUN, silent("bentoml", 64, 0)]), written(RUN[:4])
    assert both.startswith(b"\x89PNG")
    assert both != one
