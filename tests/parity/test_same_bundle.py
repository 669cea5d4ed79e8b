"""The same data, seed and number of workers give the same bundle, bit for bit."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import pytest

from training.boosting import BoostingParameters
from training.bundle import CARD_FILE, MANIFEST_FILE, MODEL_FILES
from training.fit_parameters import FitParameters
from training.simulate import simulate
from training.train import train

pytestmark = [
    pytest.mark.ray,
    pytest.mark.usefixtures("local_ray"),
    # MLflow's own tables use what SQLAlchemy 2.1 deprecates.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),
]

CREATED_AT = datetime(2025, 6, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Made:
    """The files of a bundle by name."""

    files: dict[str, bytes]


def made(folder: Path, history: Path, seed: int = 0) -> Made:
    """Train in a registry of its own, and return the registered bundle."""
    uri = f"sqlite:///{folder}/mlflow.db"
    report = train(
        history,
        tracking_uri=uri,
        workers=2,
        parameters=FitParameters(
            seed=seed,
            step_quantiles=4,
            boosting=BoostingParameters(rounds=12, early_stopping_rounds=12, checkpoint_rounds=6),
        ),
        created_at=CREATED_AT,
        show_progress=False,
    )
    bundle = mlflow.MlflowClient(uri).download_artifacts(report.version.run_id, "bundle", str(folder))
    return Made({path.name: path.read_bytes() for path in Path(bundle).iterdir()})


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("same") / "history"
    simulate(folder, transactions=5_000, days=60, fraud_rate=0.15, show_progress=False)
    return folder


def test_two_runs_leave_the_same_bytes_in_every_file(
    history: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first, second = (made(tmp_path_factory.mktemp("run"), history) for _ in range(2))
    assert set(first.files) == {MANIFEST_FILE, CARD_FILE, *MODEL_FILES}
    assert set(second.files) == set(first.files)
    assert [name for name in first.files if first.files[name] != second.files[name]] == []
