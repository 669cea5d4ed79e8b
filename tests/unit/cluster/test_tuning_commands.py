from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster.cli import app
from tests.parity.histories import history_table
from tests.unit.training.written_histories import two_months, write_history


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history") / "history"
    return write_history(folder, history_table(two_months(rows=3000)))


def run(*arguments: str, folder: Path) -> tuple[int, str]:
    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "COLUMNS": "150"}
    result = CliRunner().invoke(app, [*arguments, "--home", str(folder)], env=environment)
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--protocol", "last-week"), "is held back for the figures that are reported"),
        (("--protocol", "handbok"), "There is no protocol 'handbok'"),
        (("--objective", "ensemble.brier"), "There is no objective 'ensemble.brier'"),
        (("--objective", "auc"), "There is no objective 'auc'"),
        (("--space", "none.yaml"), "There is no file none.yaml"),
        (("--parameters", "none.json"), "There is no parameter file none.json"),
    ],
)
def test_what_cannot_be_searched_is_one_sentence_and_exit_code_1(
    options: tuple[str, ...], words: str, history: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, output = run("tune", "--history", str(history), "--out", str(out), *options, folder=tmp_path)
    assert code == 1
    assert words in output
    assert "Traceback" not in output
    assert not out.exists()


@pytest.mark.parametrize("command", [("train",), ("evaluate", "--protocol", "handbook")])
def test_parameters_with_an_unknown_key_are_refused(
    command: tuple[str, ...], history: Path, tmp_path: Path
) -> None:
    file = tmp_path / "parameters.json"
    file.write_text('{"parameters": {"colour": 1}}', encoding="utf-8")
    code, output = run(*command, "--history", str(history), "--parameters", str(file), folder=tmp_path)
    assert code == 1
    assert "parameters.colour: Extra inputs" in output


def test_parameters_are_not_of_a_registered_version(history: Path, tmp_path: Path) -> None:
    code, output = run("evaluate", "--history", str(history), "--parameters", "any.json", folder=tmp_path)
    assert code == 2
    assert "--parameters are of models that are trained here" in output
