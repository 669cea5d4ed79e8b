"""`tollgate train` splits a history where it is asked to."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

import training.train as train_module
from tests.unit.cluster.test_cost_options import run
from tests.unit.training.training_reports import training_report
from training.report import TrainingReport

DAYS = ("since", "until", "test_days", "validation_days", "gap_days", "protocol")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What training is asked for; it is not done."""
    found: list[dict[str, Any]] = []

    def train(_: Path, **options: Any) -> TrainingReport:
        found.append({name: options[name] for name in DAYS})
        return training_report(options["costs"])

    monkeypatch.setattr(train_module, "train", train)
    return found


def test_the_days_that_are_given_bound_the_split(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    days = (
        "--since",
        "2025-02-01",
        "--until",
        "2025-04-01",
        "--test-days",
        "7",
        "--validation-days",
        "5",
        "--gap-days",
        "30",
    )
    code, output = run(tmp_path, "train", *days)
    assert code == 0, output
    assert asked == [dict(zip(DAYS, (date(2025, 2, 1), date(2025, 4, 1), 7, 5, 30, None), strict=True))]


def test_without_them_the_split_bounds_itself(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    code, output = run(tmp_path, "train")
    assert code == 0, output
    assert asked == [dict.fromkeys(DAYS) | {"gap_days": 7}]


def test_a_protocol_has_days_of_its_own(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    assert run(tmp_path, "train", "--protocol", "last-week")[0] == 0
    assert asked == [dict.fromkeys(DAYS) | {"gap_days": 7, "protocol": "last-week"}]
    code, output = run(tmp_path, "train", "--protocol", "last-week", "--test-days", "7")
    assert (code, len(asked)) == (2, 1)
    assert "a protocol has its own days" in output


@pytest.mark.parametrize(
    "option", [("--test-days", "0"), ("--validation-days", "-1"), ("--gap-days", "6"), ("--since", "spring")]
)
def test_days_that_cannot_be_are_a_usage_error(
    option: tuple[str, str], asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    code, output = run(tmp_path, "train", *option)
    assert code == 2
    assert option[0] in output
    assert asked == []
