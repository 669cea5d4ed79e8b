"""Labels that are not known yet change no feature, neither of the product nor of those published."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest

from features.definitions import DAY_MS, LABEL_DELAY_MS
from features.formulas import Matrix
from features.offline import offline_matrix
from tests.parity.histories import history_table
from tests.parity.oracle import Event
from tests.unit.training.written_histories import two_months
from training.evaluation.published_features import published_matrix

Features = Callable[[pa.Table], Matrix]


def permuted(events: list[Event], after_ms: int, seed: int) -> list[Event]:
    """Return the events with the labels of those after a moment dealt out anew among them."""
    later = [i for i, event in enumerate(events) if event.time > after_ms]
    dealt = np.random.default_rng(seed).permutation([events[i].fraud for i in later])
    changed = list(events)
    for i, fraud in zip(later, dealt.tolist(), strict=True):
        changed[i] = replace(events[i], fraud=fraud)
    return changed


@pytest.mark.parametrize("features", [offline_matrix, published_matrix])
@pytest.mark.parametrize("day", [20, 40, 55])
def test_permuting_all_labels_that_become_known_after_t_changes_no_feature_up_to_t(
    features: Features, day: int
) -> None:
    events = two_months()
    t = events[0].time + day * DAY_MS
    changed = permuted(events, t - LABEL_DELAY_MS, seed=day)
    assert changed != events
    until = sum(event.time <= t for event in events)
    before, after = (features(history_table(one)) for one in (events, changed))
    np.testing.assert_array_equal(before[:until], after[:until])
    # The labels do matter later on, so the test can fail.
    assert not np.array_equal(before[until:], after[until:])
