"""What trials and fits learn from: the rows of a period as they were known when the test began."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest

from features.definitions import FEATURE_NAMES
from features.history import HISTORY_SCHEMA
from features.known_labels import KNOWN_LABELS
from training.bundle import Period
from training.evaluation.own_features import FeatureRows, held_out
from training.evaluation.protocols import Fold
from training.feature_files import EVENT_TIME, LABEL, joined, write_features
from training.feature_rows import to_labels, to_matrix
from training.fit_parameters import FitParameters
from training.tuning.kept_rows import KeptRows, keep
from training.tuning.trial import samples

START = datetime(2025, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
AMOUNT = FEATURE_NAMES.index("amount")
TRAIN = Period(since=START, until=START + 6 * DAY)
FOLD = Fold("week", TRAIN, TRAIN, Period(since=START + 14 * DAY, until=START + 21 * DAY), None)

KNOWN = {0: [(3, 1)], 3: [(14, 1)], 4: [(15, 1)], 6: [(2, 1), (9, 0)], 8: [(2, 1), (15, 0)], 9: []}
"""Of rows a day apart by twos: days at which verdicts on them became known."""
FRAUDS = {0, 3, 4, 9, 10}
"""As the history has it. Of 10 nothing is recorded: it is known a week later."""
LEARNED = {0: 1, 1: 0, 2: 0, 3: 1, 5: 0, 6: 0, 7: 0, 8: 1, 10: 1, 11: 0}
"""What is learned: 4 became known too late, 9 never."""


@pytest.fixture
def rows(tmp_path: Path) -> FeatureRows:
    """Twelve rows in two files, in turn, whose amount is their number."""
    (tmp_path / "rows").mkdir()
    parts = [write_features(tmp_path / "rows" / f"{odd}.arrow", table(range(odd, 12, 2))) for odd in (1, 0)]
    whole = joined(parts)
    return FeatureRows(tmp_path / "rows", whole, whole, held_out(whole))


def table(numbers: range) -> pa.Table:
    cells = [
        [{"known_at": START + when * DAY, "is_fraud": fraud} for when, fraud in KNOWN[n]] if n in KNOWN else None
        for n in numbers
    ]
    columns = {
        EVENT_TIME: pa.array([START + n * DAY / 2 for n in numbers], pa.timestamp("ms", tz="UTC")),
        LABEL: pa.array([int(n in FRAUDS) for n in numbers], pa.int8()),
        KNOWN_LABELS: pa.array(cells, HISTORY_SCHEMA.field(KNOWN_LABELS).type),
        "customer_id": pa.array([f"c{n}" for n in numbers]),
        "fraud_pattern": pa.nulls(len(numbers), pa.string()),
    }
    features = {name: np.zeros(len(numbers)) for name in FEATURE_NAMES}
    return pa.table(columns | features | {"amount": np.array(numbers, np.float64)})


def test_fits_learn_what_was_known_as_the_test_began(rows: FeatureRows) -> None:
    blocks = list(rows.learned(TRAIN, FOLD.test).blocks())
    learned = {
        int(amount): int(label)
        for block in blocks
        for amount, label in zip(to_matrix(block)[:, AMOUNT], to_labels(block), strict=True)
    }
    assert learned == LEARNED
    np.testing.assert_array_equal(sorted(np.flatnonzero(rows.rows.labels)), sorted(position(rows, FRAUDS)))


def test_trials_learn_the_same(rows: FeatureRows, tmp_path: Path) -> None:
    keep(rows, tmp_path)
    kept = KeptRows.open(tmp_path)
    learned = samples(kept, TRAIN, FOLD, FitParameters())
    numbers = learned.matrix[:, AMOUNT].astype(int).tolist()
    assert dict(zip(numbers, learned.labels.astype(int).tolist(), strict=True)) == LEARNED
    assert numbers == sorted(numbers)
    assert set(np.flatnonzero(kept.rows.labels).tolist()) == FRAUDS


def position(rows: FeatureRows, numbers: set[int]) -> list[int]:
    """Return where rows of some numbers lie in the table."""
    order = np.concatenate([to_matrix(block)[:, AMOUNT] for block in rows.table.blocks()]).astype(int).tolist()
    return [order.index(n) for n in numbers]
