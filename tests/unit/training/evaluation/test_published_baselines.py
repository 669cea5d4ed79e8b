from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]
from xgboost import XGBClassifier

from features.definitions import DAY_MS
from tests.parity.histories import history_table
from tests.unit.training.written_histories import two_months, write_history
from training.arrivals import milliseconds
from training.evaluation.protocols import Protocol, folds_of
from training.evaluation.published_baselines import Baselines, PublishedRows
from training.evaluation.published_features import PUBLISHED_NAMES
from training.split import count_days


def test_the_baselines_are_scikit_learn_and_xgboost_with_the_defaults_of_the_handbook() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.gamma(2.0, 30.0, (600, len(PUBLISHED_NAMES)))
    labels = (rng.random(600) < matrix[:, 0] / 400).astype(np.float64)
    found = Baselines.fit(matrix, labels).scores(matrix)
    linear = make_pipeline(StandardScaler(), LogisticRegression(random_state=0)).fit(matrix, labels)
    boosted = XGBClassifier(tree_method="exact", base_score=0.5, random_state=0, n_jobs=1).fit(matrix, labels)
    np.testing.assert_allclose(found["lr"], linear.predict_proba(matrix)[:, 1], rtol=1e-12)
    np.testing.assert_allclose(found["xgb"], boosted.predict_proba(matrix)[:, 1], rtol=1e-6)
    np.testing.assert_allclose(found["ensemble"], (found["lr"] + found["xgb"]) / 2, rtol=1e-12)


def test_a_fold_is_fitted_on_its_training_days_and_judged_on_customers_that_are_not_known(tmp_path: Path) -> None:
    # The made-up history begins on 2025-05-05.
    history = write_history(tmp_path / "history", history_table(two_months(rows=3000)))
    protocol = Protocol(test_since=(date(2025, 6, 26),), train_days=28, known_days=1, validation_days=7)
    (fold,) = folds_of(protocol, count_days(history))
    rows = PublishedRows.of(history, None)
    judged = rows.judge(fold)
    assert judged.train_rows == pytest.approx(3000 * 28 / 61, rel=0.1)
    assert 0 < len(judged.rows) < 3000 * 7 / 61
    assert judged.left_out > 0
    assert len(judged.scores["lr"]) == len(judged.rows)
    assert set(judged.importance["xgb"]) == set(PUBLISHED_NAMES)
    assert judged.rows.groupings["merchant"].names[0] == "with known frauds"


def test_baselines_learn_what_was_known_as_the_test_began(tmp_path: Path) -> None:
    protocol = Protocol(test_since=(date(2025, 6, 26),), train_days=28, remove_known=False)
    events = two_months(rows=3000)
    late = [
        replace(event, labels=((event.time + 60 * DAY_MS, True),)) if event.fraud and at % 3 == 0 else event
        for at, event in enumerate(events)
    ]
    judged = []
    for name, some in (("known", events), ("late", late)):
        history = write_history(tmp_path / name, history_table(some))
        (fold,) = folds_of(protocol, count_days(history))
        judged.append(PublishedRows.of(history, None).judge(fold))
    known, unknown = judged
    left_out = sum(
        event.labels is not None and milliseconds(fold.train.since) <= event.time < milliseconds(fold.train.until)
        for event in late
    )
    assert left_out > 10
    assert known.train_rows - unknown.train_rows == known.train_frauds - unknown.train_frauds == left_out
    np.testing.assert_array_equal(known.rows.labels, unknown.rows.labels)
