"""Where steps are learned: the quantiles of the frauds of all workers, whatever worker holds a row."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from features.definitions import FEATURES
from features.formulas import Matrix
from tests.unit.training.bundles import made_up_samples
from tests.unit.training.ranks import Ranks
from training.models import Floats
from training.samples import Samples
from training.steps import STEPPED, StepPlaces, Steps, learn_places

COLUMNS = (0, 2)


def naive_places(
    matrix: Matrix, labels: Floats, quantiles: int, columns: Sequence[int]
) -> list[tuple[int, float]]:
    """Return (column, place) by sorting all rows in one process."""
    places = []
    for j in columns:
        frauds = sorted((matrix[labels == 1, j] + 0.0).tolist())
        ranks = [-(-len(frauds) * q // quantiles) for q in range(1, quantiles)]
        wanted = {frauds[rank - 1] for rank in ranks} if frauds else set()
        places += [(j, place) for place in sorted(wanted) if (matrix[:, j] > place).any()]
    return places


def as_pairs(places: StepPlaces) -> list[tuple[int, float]]:
    return list(zip(places.feature.tolist(), places.above.tolist(), strict=True))


numbers = st.floats(-1e300, 1e300) | st.sampled_from([0.0, -0.0, 1.0, 5e-324, -5e-324])
matrices = hnp.arrays(np.float64, st.tuples(st.integers(0, 30), st.just(3)), elements=numbers)


@given(matrices, st.data(), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_places_are_the_quantiles_of_the_frauds(matrix: Matrix, data: st.DataObject, quantiles: int) -> None:
    labels = data.draw(hnp.arrays(np.float64, len(matrix), elements=st.sampled_from([0.0, 1.0])))
    places = learn_places(Samples(matrix, labels), quantiles=quantiles, columns=COLUMNS)
    assert as_pairs(places) == naive_places(matrix, labels, quantiles, COLUMNS)


@pytest.mark.parametrize("bounds", [[150], [5, 290], [0, 100]], ids=["halves", "uneven", "one empty"])
def test_every_worker_finds_the_places_that_one_would_find(bounds: list[int]) -> None:
    samples = made_up_samples(300)
    alone = learn_places(samples, quantiles=10)
    ranks = Ranks(len(bounds) + 1)
    shards = zip(np.split(samples.matrix, bounds), np.split(samples.labels, bounds), strict=True)
    with ThreadPoolExecutor(len(bounds) + 1) as pool:
        found = [
            pool.submit(learn_places, Samples(matrix, labels), quantiles=10, allreduce=ranks.allreduce(rank))
            for rank, (matrix, labels) in enumerate(shards)
        ]
        for places in found:
            assert as_pairs(places.result()) == as_pairs(alone)


def test_one_part_and_no_fraud_mean_no_steps() -> None:
    samples = made_up_samples(100)
    assert len(learn_places(samples, quantiles=1)) == 0
    assert len(learn_places(Samples(samples.matrix, np.zeros(100)), quantiles=10)) == 0


def test_features_of_two_values_get_no_steps() -> None:
    names = {FEATURES[j].name for j in STEPPED}
    assert "amount" in names
    assert names.isdisjoint({"is_night", "is_weekend", "has_history", "merchant_has_history"})


def test_a_value_at_a_place_is_not_above_it() -> None:
    places = StepPlaces(np.array([1, 1]), np.array([2.0, 3.0]))
    assert places.indicators(np.array([[9.0, 2.0], [9.0, 2.5], [9.0, 4.0]])).tolist() == [
        [False, False],
        [True, False],
        [True, True],
    ]


@given(matrices.filter(len))
@settings(max_examples=30, deadline=None)
def test_the_contributions_of_steps_are_the_written_out_sum(matrix: Matrix) -> None:
    steps = Steps(
        np.array([0, 2, 2]), np.array([0.5, -1.0, 7.0]), np.array([0.25, 0.5, 0.125]), np.array([2.0, -1.0, 4.0])
    )
    naive = [
        [2 * ((row[0] > 0.5) - 0.25), 0.0, -((row[2] > -1) - 0.5) + 4 * ((row[2] > 7) - 0.125)]
        for row in cast("list[list[float]]", matrix.tolist())
    ]
    np.testing.assert_allclose(steps.contributions(matrix), naive, rtol=0, atol=1e-12)
