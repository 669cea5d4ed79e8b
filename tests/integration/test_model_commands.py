"""``tollgate models`` on a real registry; what the comparison says is given, where it is not the subject."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import pytest
from typer.testing import CliRunner

from cluster.cli import app
from tests.unit.training.bundles import small_bundle
from tests.unit.training.evaluation.results import judged_fold, result
from training.bundle import Period
from training.evaluation import compare_versions as module
from training.evaluation.bootstrap import Estimate
from training.evaluation.compare_versions import Comparison
from training.evaluation.metrics import METRIC_NAMES, MetricSettings
from training.evaluation.paired import Difference, worse_in
from training.evaluation.protocols import Fold
from training.experiment import open_experiment
from training.model_card import ModelCard, model_card
from training.registry import Registry

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
DAY = datetime(2025, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder whose registry has two versions; each test brings the alias where it wants it."""
    folder = tmp_path_factory.mktemp("models")
    registry = Registry(f"sqlite:///{folder}/mlflow.db")
    experiment = open_experiment(registry.tracking_uri)
    for seed in (1, 2):
        small_bundle(seed).save(folder / str(seed))
        run = mlflow.MlflowClient(registry.tracking_uri).create_run(experiment)
        registry.publish(folder / str(seed), run.info.run_id, tags={"test_average_precision": f"0.{seed}"})
    return folder


@pytest.fixture
def registry(folder: Path) -> Registry:
    registry = Registry(f"sqlite:///{folder}/mlflow.db")
    registry.promote("1")
    return registry


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "COLUMNS": "200"}
    ran = CliRunner().invoke(app, ["models", *arguments, "--home", str(folder)], env=environment)
    return ran.exit_code, " ".join(ran.output.split())


def judged(monkeypatch: pytest.MonkeyPatch, registry: Registry, low: float, high: float) -> None:
    """Let every comparison find this interval of the difference in average precision."""
    difference = Difference(0.7, 0.7 + high, Estimate((low + high) / 2, low, high))
    same = Difference(0.5, 0.5, Estimate(0, 0, 0))
    differences = {name: difference if name == "average_precision" else same for name in METRIC_NAMES}
    period = Period(since=DAY, until=DAY + timedelta(days=7))

    def compare(history: Path, champion: str, candidate: str, **_: object) -> Comparison:
        assert history.is_dir()
        versions = (registry.resolve(champion), registry.resolve(candidate))
        fold = Fold("made up", period, period, period, None)
        return Comparison(*versions, fold, 100, 5, differences, MetricSettings(), worse_in(differences))

    monkeypatch.setattr(module, "compare_versions", compare)


def test_the_list_shows_the_newest_first_with_alias_and_figures(folder: Path, registry: Registry) -> None:
    code, output = run(folder, "list")
    assert code == 0
    assert output.index("2 0.200") < output.index("1 champion 0.100")
    assert registry.aliases() == {"champion": "1"}


def test_a_candidate_that_is_not_worse_is_promoted_and_rolled_back(
    folder: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch, registry, -0.02, 0.05)
    code, output = run(folder, "promote", "2", "--history", str(folder))
    assert code == 0, output
    assert "'champion' is version 2. It was version 1" in output
    assert registry.aliases() == {"champion": "2"}
    code, output = run(folder, "rollback")
    assert (code, registry.aliases()) == (0, {"champion": "1"})
    assert "'champion' is version 1 again" in output


def test_a_candidate_that_is_worse_beyond_noise_is_refused(
    folder: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch, registry, -0.2, -0.1)
    code, output = run(folder, "promote", "2", "--history", str(folder))
    assert code == 1
    assert "Version 2 is worse than version 1 beyond noise, in average precision. It was not promoted" in output
    assert registry.aliases() == {"champion": "1"}


def test_a_forced_promotion_needs_a_reason_and_keeps_it(folder: Path, registry: Registry) -> None:
    code, output = run(folder, "promote", "2", "--force")
    assert code == 1
    assert "--force needs a --reason" in output
    code, output = run(folder, "promote", "2", "--force", "--reason", "version 1 leaks")
    assert (code, registry.aliases()) == (0, {"champion": "2"})
    assert "version 1 leaks" in run(folder, "list")[1]


def test_without_a_history_a_champion_is_not_replaced(folder: Path, registry: Registry) -> None:
    code, output = run(folder, "promote", "2")
    assert code == 1
    assert "Name a --history" in output
    assert registry.aliases() == {"champion": "1"}


def test_a_first_champion_needs_no_comparison(folder: Path, registry: Registry) -> None:
    code, output = run(folder, "promote", "2", "--alias", "first")
    assert code == 0, output
    assert registry.aliases() == {"champion": "1", "first": "2"}


def test_the_champion_itself_is_no_news(folder: Path, registry: Registry) -> None:
    code, output = run(folder, "promote", "1")
    assert (code, output) == (0, "Version 1 is 'champion' already.")
    assert registry.aliases()["champion"] == "1"


def test_a_comparison_shows_both_figures_the_interval_and_a_verdict(
    folder: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch, registry, -0.02, 0.05)
    code, output = run(folder, "compare", "champion", "2", "--history", str(folder))
    assert code == 0
    for words in (
        "100 payments, 5 frauds",
        "version 1",
        "-0.020 to 0.050",
        "not worse than version 1 beyond noise",
    ):
        assert words in output


def test_a_version_without_a_card_says_so(folder: Path, registry: Registry) -> None:
    assert registry.aliases()["champion"] == "1"
    code, output = run(folder, "show", "1")
    assert code == 1
    assert "Version 1 is of a release that made no model cards" in output


def test_the_card_of_a_version_is_shown_as_table_and_as_json(folder: Path, registry: Registry) -> None:
    card = model_card(small_bundle().manifest, judged_fold().fold, result())
    replace(small_bundle(), card=json.loads(card.model_dump_json())).save(folder / "carded")
    created = mlflow.MlflowClient(registry.tracking_uri).create_run(open_experiment(registry.tracking_uri))
    version = registry.publish(folder / "carded", created.info.run_id, "carded")
    assert version.version == "1"
    code, output = run(folder, "show", "1", "--model-name", "carded")
    assert code == 0, output
    assert "Version 1" in output
    assert "Limits" in output
    code, output = run(folder, "show", "1", "--model-name", "carded", "--json")
    assert code == 0
    assert ModelCard.model_validate_json(output).model_dump_json() == card.model_dump_json()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("promote", "99", "--force", "--reason", "x"), "no version '99'"),
        (("rollback", "--alias", "nobody"), "no alias 'nobody'"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    folder: Path, registry: Registry, arguments: tuple[str, ...], words: str
) -> None:
    code, output = run(folder, *arguments)
    assert code == 1
    assert words in output
    assert "Traceback" not in output
    assert registry.aliases()["champion"] == "1"
