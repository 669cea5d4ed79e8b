"""Customers already known as defrauded: their cards are blocked, so they are no test of a model."""

import numpy as np
import numpy.typing as npt

from features.definitions import DAY_MS
from features.transaction import Int64s
from training.arrivals import milliseconds
from training.evaluation.protocols import LABEL_DELAY_DAYS, Fold
from training.models import Floats

_NEVER = np.iinfo(np.int64).max


def judged_rows(fold: Fold, event_time_ms: Int64s, customer: Int64s, labels: Floats) -> npt.NDArray[np.bool_]:
    """Return which rows (n,) of a history the test of a fold judges.

    These are the rows of the test period, less those of every customer with a fraud between ``known_since`` and
    the end of training, and on each test day d less those with a fraud on day d - 8 or before: such a label is
    7 days old when d begins (Fraud Detection Handbook, chapter 3, ``get_train_test_set``).

    Args:
        event_time_ms: (n,) all of ``fold.whole``.
        customer: (n,) codes 0, 1, ...
        labels: (n,) 1 for a fraud.
    """
    test = (event_time_ms >= milliseconds(fold.test.since)) & (event_time_ms < milliseconds(fold.test.until))
    if fold.known_since is None:
        return test
    counts = (labels == 1) & (event_time_ms >= milliseconds(fold.known_since))
    day = event_time_ms // DAY_MS
    first_fraud = np.full(int(customer.max(initial=-1)) + 1, _NEVER)
    np.minimum.at(first_fraud, customer[counts], day[counts])
    # A gap is no shorter than the delay, so this covers the frauds of the training period on every test day.
    known_until = day - LABEL_DELAY_DAYS - 1
    return test & (first_fraud[customer] > known_until)
