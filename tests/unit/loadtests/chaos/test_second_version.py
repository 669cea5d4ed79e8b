"""The other version that changes under load are made with must show where it is mixed with the first."""

from pathlib import Path

from features.definitions import fingerprint
from loadtests.chaos.second_version import other_scores
from tests.unit.training.bundles import small_bundle, some_rows
from training.bundle import Bundle


def test_both_models_give_every_payment_another_score(tmp_path: Path) -> None:
    bundle, rows = small_bundle(), some_rows()
    other_scores(bundle).save(tmp_path)
    other = Bundle.load(tmp_path, fingerprint())
    assert (other.lr.probability(rows) != bundle.lr.probability(rows)).all()
    assert (abs(other.xgb.probability(rows) - bundle.xgb.probability(rows)) > 1e-5).all()
