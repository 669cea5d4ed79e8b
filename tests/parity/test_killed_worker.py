"""A worker that is killed in the middle of a fit costs the rounds since the last checkpoint, and nothing else."""

import signal
import threading
from pathlib import Path

import psutil
import pytest

from tests.parity.test_training import filed
from tests.unit.training.bundles import made_up_samples
from training.boosting import BoostingParameters
from training.feature_files import FeatureTable
from training.fit import FittedModels, fit
from training.fit_parameters import FitParameters

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

STRETCH = 10
PARAMETERS = FitParameters(
    step_quantiles=2,
    boosting=BoostingParameters(rounds=80, early_stopping_rounds=80, checkpoint_rounds=STRETCH, max_bin=64),
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureTable, FeatureTable]:
    """Rows to train on and to validate with."""
    folder = tmp_path_factory.mktemp("rows")
    return filed(made_up_samples(3000), folder / "train"), filed(made_up_samples(1000, seed=1), folder / "later")


def fitted(rows: tuple[FeatureTable, FeatureTable], storage: Path) -> FittedModels:
    return fit(*rows, workers=2, parameters=PARAMETERS, storage=storage)


def kill_a_worker_after_a_checkpoint(storage: Path, done: threading.Event, killed: list[int]) -> None:
    """Wait until a checkpoint has been kept, then kill one of the workers of this process's own Ray."""
    while not done.wait(0.01):
        # Ray Train's own list of checkpoints: a file of ours may lie there before it counts as one.
        lists = storage.rglob("checkpoint_manager_snapshot.json")
        if not any("checkpoint_dir_name" in kept.read_text("utf-8") for kept in lists):
            continue
        for process in psutil.Process().children(recursive=True):
            if "RayTrainWorker" in " ".join(process.cmdline()):
                process.send_signal(signal.SIGKILL)
                killed.append(process.pid)
                return


def test_a_killed_worker_resumes_from_the_checkpoint_and_the_models_are_the_same(
    rows: tuple[FeatureTable, FeatureTable], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How often Ray Train looks at its workers; each report waits for the look after it.
    monkeypatch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    undisturbed = fitted(rows, tmp_path)
    assert undisturbed.facts.xgb_resumed_rounds == 0
    assert list(tmp_path.iterdir()) == []
    done, killed = threading.Event(), list[int]()
    killer = threading.Thread(target=kill_a_worker_after_a_checkpoint, args=(tmp_path, done, killed))
    killer.start()
    try:
        disturbed = fitted(rows, tmp_path)
    finally:
        done.set()
        killer.join()
    assert len(killed) == 1
    # Whole stretches were taken over, and so not fitted again; some were left to fit.
    assert STRETCH <= disturbed.facts.xgb_resumed_rounds < PARAMETERS.boosting.rounds
    assert disturbed.facts.xgb_resumed_rounds % STRETCH == 0
    assert disturbed.lr.to_json() == undisturbed.lr.to_json()
    assert disturbed.xgb.booster.save_raw() == undisturbed.xgb.booster.save_raw()
    assert disturbed.facts.xgb_validation_logloss == undisturbed.facts.xgb_validation_logloss
