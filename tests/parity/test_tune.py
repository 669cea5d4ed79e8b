"""A search on real Ray and real MLflow, killed and gone on with."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from training.bundle import Thresholds
from training.evaluation.fold_models import fit_fold
from training.evaluation.own_features import FeatureRows
from training.parameter_file import load_parameters
from training.simulate import simulate
from training.split import count_days
from training.tune import Tuning, tune
from training.tuning.allowed_folds import tuning_folds
from training.tuning.study import OUTCOMES_FILE, STUDY_FILE

pytestmark = [
    pytest.mark.ray,
    pytest.mark.usefixtures("local_ray"),
    # MLflow's own tables use what SQLAlchemy 2.1 deprecates.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),
]

PROTOCOL = "{title: Two weeks, folds: 2, leave_out: 1, train_days: 21, known_days: 1}"
SPACE = "{l2: {low: 0.1, high: 100, scale: log}, boosting.max_depth: {choices: [2, 3]}}"
DEFAULTS = '{"parameters": {"step_quantiles": 2, "boosting": {"rounds": 10, "max_depth": 2}}}'
TRIALS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune")
    simulate(folder / "history", transactions=10_000, days=60, fraud_rate=0.05, show_progress=False)
    for name, text in (("weeks.yaml", PROTOCOL), ("space.yaml", SPACE), ("defaults.json", DEFAULTS)):
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def undisturbed(local_ray: None, folder: Path) -> Tuning:
    assert local_ray is None
    return search(folder, folder / "undisturbed")


def search(folder: Path, out: Path) -> Tuning:
    return tune(
        folder / "history",
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
        protocol=str(folder / "weeks.yaml"),
        space=folder / "space.yaml",
        defaults=load_parameters(folder / "defaults.json").parameters,
        trials=TRIALS,
        folder=out,
        show_progress=False,
    )


def found(tuning: Tuning) -> dict[str, Any]:
    """Return all of a result but times."""
    tree = tuning.result.model_dump(mode="json", exclude={"created_at"})
    for trial in tree["trials"]:
        for outcome in trial["outcomes"]:
            del outcome["duration_s"]
    return tree


def runs_of(folder: Path, out: Path) -> list[Any]:
    """Return the runs of a search in MLflow."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    study = json.loads((out / STUDY_FILE).read_text(encoding="utf-8"))["id"]
    experiment = client.get_experiment_by_name("tollgate")
    return list(client.search_runs([experiment.experiment_id], f"tags.`tollgate.study` = '{study}'"))


def test_each_trial_is_a_run_under_one_parent_with_parameters_and_metrics_a_test(
    undisturbed: Tuning, folder: Path
) -> None:
    runs = runs_of(folder, undisturbed.folder)
    (parent,) = [run for run in runs if run.info.run_id == undisturbed.run_id]
    trials = {run.data.tags["tollgate.trial"]: run for run in runs if run is not parent}
    assert set(trials) == {str(number) for number in range(TRIALS)}
    assert all(run.data.tags["mlflow.parentRunId"] == parent.info.run_id for run in trials.values())
    assert {run.info.status for run in runs} == {"FINISHED"}
    winner = undisturbed.result.winner
    run = trials[str(winner.number)]
    assert float(run.data.params["l2"]) == winner.parameters.l2
    value = winner.outcomes[-1].value("ensemble", "average_precision")
    assert run.data.metrics["ensemble_average_precision"] == pytest.approx(value)
    assert parent.data.metrics["mean/ensemble_average_precision"] == pytest.approx(
        winner.mean("ensemble", "average_precision")
    )


def test_a_trial_reaches_what_one_worker_of_ray_train_reaches(
    undisturbed: Tuning, folder: Path, tmp_path: Path
) -> None:
    history = folder / "history"
    fold = tuning_folds(str(folder / "weeks.yaml"), count_days(history))[0]
    chosen = load_parameters(undisturbed.best_file).parameters
    rows = FeatureRows.of(history, fold.whole, tmp_path)
    bundle = fit_fold(rows, fold, workers=1, parameters=chosen, thresholds=Thresholds())
    judged = rows.judge(fold, bundle)
    outcome = undisturbed.result.winner.outcomes[0]
    assert outcome.fold == fold.name
    for score, metrics in judged.metrics(0.5).items():
        # Rows come in another order there, and sums of floats with them.
        assert outcome.value(score, "average_precision") == pytest.approx(metrics.average_precision, abs=0.01)
        assert outcome.value(score, "roc_auc") == pytest.approx(metrics.roc_auc, abs=0.01)


def test_killed_it_goes_on_in_the_same_runs_and_finds_the_same(undisturbed: Tuning, folder: Path) -> None:
    out = folder / "killed"
    code = (
        "from pathlib import Path; from tests.parity.test_tune import search;"
        f" search(Path({str(folder)!r}), Path({str(out)!r}))"
    )
    # Its Ray is gone with it. Features come from the other search: what is killed here is between fits.
    (out / "rows").mkdir(parents=True)
    for file in (undisturbed.folder / "rows").iterdir():
        (out / "rows" / file.name).hardlink_to(file)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_lines(out / OUTCOMES_FILE, 2, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = (out / OUTCOMES_FILE).read_bytes()
    assert found(search(folder, out)) == found(undisturbed)
    assert (out / OUTCOMES_FILE).read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    assert len(runs_of(folder, out)) == 1 + TRIALS


def wait_for_lines(file: Path, count: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a file has some lines, or the process that writes it has ended."""
    while process.poll() is None:
        if file.is_file() and file.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.05)  # Polls a file; whoever writes it gives no notice.
