"""The options on costs reach what they are for, from both commands that have them."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import training.evaluate as evaluate_module
import training.train as train_module
from cluster.cli import app
from cluster.cost_options import costs_of
from tests.unit.training.evaluation.results import result
from tests.unit.training.training_reports import training_report
from training.costs import Costs
from training.evaluate import Evaluation
from training.report import TrainingReport

OPTIONS = ("--review-cost", "2.5", "--wrong-block-cost", "80", "--loss-share", "0.6", "--reviews-a-day", "3")
GIVEN = Costs(review_minor=250, wrong_block_minor=8000, loss_share=0.6, reviews_a_day=3)


class FakeWork:
    """Takes the place of training and evaluation, and keeps what costs they were asked for."""

    def __init__(self) -> None:
        self.costs: list[Costs] = []
        self.applied: list[bool] = []

    def train(self, history: Path, **asked: Any) -> TrainingReport:
        assert history.name == "history"
        self.costs.append(asked["costs"])
        self.applied.append(asked["apply_thresholds"])
        return training_report(asked["costs"], apply_thresholds=asked["apply_thresholds"])

    def evaluate(self, history: Path, **asked: Any) -> Evaluation:
        assert history.name == "history"
        self.costs.append(asked["settings"].costs)
        return Evaluation(result(), history, None)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> FakeWork:
    fake = FakeWork()
    monkeypatch.setattr(train_module, "train", fake.train)
    monkeypatch.setattr(evaluate_module, "evaluate_version", fake.evaluate)
    return fake


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "COLUMNS": "200"}
    command = [*arguments, "--history", "history", "--home", str(folder)]
    ran = CliRunner().invoke(app, command, env=environment)
    return ran.exit_code, " ".join(ran.output.split())


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_the_costs_that_are_given_are_those_that_count(command: str, work: FakeWork, tmp_path: Path) -> None:
    code, output = run(tmp_path, command, *OPTIONS)
    assert code == 0, output
    assert work.costs == [GIVEN]


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_without_them_the_stated_assumptions_count(command: str, work: FakeWork, tmp_path: Path) -> None:
    code, output = run(tmp_path, command)
    assert code == 0, output
    assert work.costs == [Costs()]


@pytest.mark.parametrize("command", ["train", "evaluate"])
@pytest.mark.parametrize(
    "option",
    [("--review-cost", "-1"), ("--wrong-block-cost", "-1"), ("--loss-share", "1.5"), ("--reviews-a-day", "-1")],
)
def test_a_cost_that_cannot_be_is_a_usage_error(
    command: str, option: tuple[str, str], work: FakeWork, tmp_path: Path
) -> None:
    code, output = run(tmp_path, command, *option)
    assert code == 2
    assert option[0] in output
    assert work.costs == []


def test_dear_reviews_raise_the_threshold_that_training_tells(work: FakeWork, tmp_path: Path) -> None:
    told = [run(tmp_path, "train", "--review-cost", cost)[1] for cost in ("0", "400")]
    cheap, dear = (training_report(costs).by_cost.choice for costs in work.costs)
    assert dear.review > cheap.review
    for output, choice in zip(told, (cheap, dear), strict=True):
        assert f"review above {choice.review:g}, block above {choice.block:g}" in output


def test_the_capacity_of_the_reviewers_bounds_what_training_tells(work: FakeWork, tmp_path: Path) -> None:
    assert "at most 0 reviews a day" in run(tmp_path, "train", "--reviews-a-day", "0")[1]
    assert "at most 0 reviews a day" not in run(tmp_path, "train")[1]
    assert [costs.reviews_a_day for costs in work.costs] == [0, None]


def test_thresholds_are_applied_only_when_asked_for(work: FakeWork, tmp_path: Path) -> None:
    assert "The bundle has 0.5 and 0.9 (--apply-thresholds takes the cheapest)." in run(tmp_path, "train")[1]
    assert "The bundle has these thresholds." in run(tmp_path, "train", "--apply-thresholds")[1]
    assert work.applied == [False, True]


def test_options_are_in_major_units_and_costs_in_minor_ones() -> None:
    assert costs_of(2.5, 80, 0.6, 3) == GIVEN
