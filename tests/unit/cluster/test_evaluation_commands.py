from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster.cli import app
from tests.parity.histories import history_table
from tests.unit.training.written_histories import two_months, write_history
from training.costs import Costs
from training.evaluation.results import EvaluationResult

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
PROTOCOL = "{test_since: [2025-06-26], train_days: 28, known_days: 1, title: Made up}"


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history") / "history"
    return write_history(folder, history_table(two_months(rows=3000)))


def run(*arguments: str, folder: Path) -> tuple[int, str]:
    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "COLUMNS": "150"}
    result = CliRunner().invoke(app, ["evaluate", "--home", str(folder), *arguments], env=environment)
    return result.exit_code, result.output


def test_published_features_under_a_protocol_give_table_json_and_page(history: Path, tmp_path: Path) -> None:
    protocol = tmp_path / "made-up.yaml"
    protocol.write_text(PROTOCOL, encoding="utf-8")
    options = ["--protocol", str(protocol), "--features", "published", "--no-log", "--out", str(tmp_path / "out")]
    options += ["--replicates", "10", "--top-k", "3", "--review-cost", "2.5", "--reviews-a-day", "1"]
    code, output = run("--history", str(history), *options, folder=tmp_path)
    assert code == 0, output
    for words in ("Made up", "baselines of the handbook", "CP@3", "10 bootstrap samples"):
        assert words in output
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"evaluation.html", "evaluation.json"}
    found = EvaluationResult.model_validate_json((tmp_path / "out" / "evaluation.json").read_bytes())
    assert found.settings.costs == Costs(review_minor=250, reviews_a_day=1)
    for table in found.thresholds.values():
        assert table.cheapest.most_reviews_a_day <= 1
        assert table.served.review_cost_minor == 250 * table.served.reviews
    assert "at most 1 reviews on any day" in (tmp_path / "out" / "evaluation.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--protocol", "handbok"), "There is no protocol 'handbok'"),
        (("--protocol", "handbook", "--no-log"), "is not within the history"),
        (("--model", "champion"), "There is no registry at"),
    ],
)
def test_what_cannot_be_evaluated_is_one_sentence_and_exit_code_1(
    history: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    code, output = run("--history", str(history), *options, folder=tmp_path)
    assert code == 1
    assert words in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    "options",
    [
        ("--features", "published"),
        ("--protocol", "handbook", "--since", "2025-06-01"),
        ("--protocol", "handbook", "--model", "1", "--until", "2025-06-01"),
    ],
)
def test_options_that_do_not_go_together_are_a_usage_error(
    history: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    code, _ = run("--history", str(history), *options, folder=tmp_path)
    assert code == 2


def test_the_protocols_are_listed() -> None:
    result = CliRunner().invoke(app, ["protocols"], env={"COLUMNS": "150"})
    assert result.exit_code == 0
    assert "handbook-long-earlier" in result.output
    assert "the last 4 of the history" in result.output
