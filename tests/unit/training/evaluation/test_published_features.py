from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from features.formulas import Matrix
from tests.parity.histories import history_table
from tests.unit.training.written_histories import two_months
from training.evaluation.published_features import PUBLISHED_FEATURES, PUBLISHED_NAMES, published_matrix


def naive(frame: pd.DataFrame) -> Matrix:
    """Return the handbook's features by their words: for each row, filter the whole frame for each window."""
    rows = []
    for row in frame.itertuples():
        values = [
            row.amount,
            float(row.time.weekday() >= 5),
            float(row.time.hour <= 6),
        ]
        for days in (1, 7, 30):
            span = timedelta(days=days)
            mine = frame[frame["customer"] == row.customer]
            window = mine[(mine["time"] > row.time - span) & (mine["time"] <= row.time)]
            known = row.time - timedelta(days=7)
            theirs = frame[frame["merchant"] == row.merchant]
            delayed = theirs[(theirs["time"] > known - span) & (theirs["time"] <= known)]
            risk = delayed["fraud"].mean() if len(delayed) else 0.0
            values += [len(window), window["amount"].mean(), len(delayed), risk]
        rows.append(values)
    return np.array(rows, np.float64)


def test_the_published_features_equal_a_naive_pandas_implementation() -> None:
    events = two_months(rows=400, seed=3)
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime([event.time for event in events], unit="ms", utc=True),
            "amount": [event.amount / 100 for event in events],
            "customer": [event.customer for event in events],
            # No merchant equals none, as NaN does: such a payment has no risk.
            "merchant": [event.merchant or float("nan") for event in events],
            "fraud": [float(bool(event.fraud)) for event in events],
        }
    )
    found = published_matrix(history_table(events))
    np.testing.assert_allclose(found, naive(frame), rtol=1e-12)
    assert found.std(axis=0).min() > 0


def test_the_fifteen_features_have_the_names_of_the_handbook() -> None:
    assert len(PUBLISHED_NAMES) == len(set(PUBLISHED_NAMES)) == 15
    names = {feature.published_name for feature in PUBLISHED_FEATURES}
    assert {"TX_AMOUNT", "CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW", "TERMINAL_ID_RISK_30DAY_WINDOW"} <= names


def test_a_label_younger_than_its_delay_changes_no_feature() -> None:
    events = two_months(rows=300, seed=4)
    last = events[-1].time
    changed = [
        replace(event, fraud=not event.fraud) if event.time > last - 7 * 86_400_000 else event for event in events
    ]
    before, after = (published_matrix(history_table(one))[-1] for one in (events, changed))
    assert before.tolist() == pytest.approx(after.tolist(), abs=0)
