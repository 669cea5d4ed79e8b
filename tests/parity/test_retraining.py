"""A version that is trained beside a champion takes its place unless it is worse."""

from pathlib import Path

import pytest

from training.boosting import BoostingParameters
from training.fit_parameters import FitParameters
from training.registry import Registry
from training.report import TrainingReport
from training.simulate import simulate
from training.train import train

pytestmark = [
    pytest.mark.ray,
    pytest.mark.usefixtures("local_ray"),
    # MLflow's own tables use what SQLAlchemy 2.1 deprecates.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),
]


def test_a_version_that_is_worse_is_registered_and_the_champion_stays(tmp_path: Path) -> None:
    simulate(tmp_path / "history", transactions=5_000, days=60, fraud_rate=0.15, show_progress=False)
    uri = f"sqlite:///{tmp_path}/mlflow.db"

    def trained(**boosting: float) -> TrainingReport:
        parameters = FitParameters(
            step_quantiles=4,
            l2=1e9 if boosting else 1.0,
            boosting=BoostingParameters.model_validate({"rounds": 6, "checkpoint_rounds": 6, **boosting}),
        )
        return train(tmp_path / "history", tracking_uri=uri, workers=1, parameters=parameters, show_progress=False)

    first, worse, again = trained(), trained(eta=1e-6), trained()
    assert (first.alias, first.against) == ("champion", "")
    assert worse.alias is None
    assert worse.against.startswith("it is worse than version 1 beyond noise")
    assert (again.alias, again.version.version) == ("champion", "3")
    assert Registry(uri).resolve("champion").version == "3"
