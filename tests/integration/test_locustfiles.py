"""The files that locust itself reads, each in a process of its own: importing locust patches the interpreter."""

import json
import subprocess
import sys

import pytest

from loadtests.locust_process import FOLDER

TICKS = """
import json
from types import SimpleNamespace
from loadtests import shapes

def ticks(kind, at, **options):
    shape = kind()
    shape.runner = SimpleNamespace(environment=SimpleNamespace(parsed_options=SimpleNamespace(**options)))
    found = []
    for second in at:
        shape.get_run_time = lambda second=second: second
        found.append(shape.tick())
    return found

usual = {"num_users": 40, "run_time": 100}
print(json.dumps({
    "steady": ticks(shapes.Steady, (0, 99, 100), **usual),
    "step": ticks(shapes.Step, (0, 20, 99), **usual),
    "spike": ticks(shapes.Spike, (0, 40, 60), **usual),
    "soak": ticks(shapes.Soak, (0, 50), **usual),
    "staged": ticks(shapes.Staged, (0, 5, 15), stages="5x3,10x7"),
    "default": ticks(shapes.Steady, (0, 59, 60), num_users=None, run_time=None),
}))
"""


def output_of(*arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=FOLDER.parent, timeout=120
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_shapes_tell_locust_the_users_of_their_plan_and_when_it_is_over() -> None:
    assert json.loads(output_of("-c", TICKS)) == {
        "steady": [[40, 1000], [40, 1000], None],
        "step": [[8, 1000], [16, 1000], [40, 1000]],
        "spike": [[5, 1000], [40, 1000], [5, 1000]],
        "soak": [[4, 1000], [40, 1000]],
        "staged": [[3, 1000], [7, 1000], None],
        "default": [[32, 1000], [32, 1000], None],
    }


@pytest.mark.parametrize(
    ("file", "users"),
    [
        ("locustfile.py", {"PaymentBackend", "BulkClient"}),
        ("replayfile.py", {"HistoryReplay", "HistoryBulkReplay"}),
    ],
)
def test_each_locustfile_stands_alone(file: str, users: set[str]) -> None:
    listed = output_of("-m", "locust", "-f", str(FOLDER / file), "--list")
    assert {line.strip() for line in listed.splitlines()[1:]} == users
