from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest

from features.errors import InvalidHistory
from training.ingestion.numbers import parse_numbers
from training.ingestion.texts import replace_values, to_text


@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        (pa.array(["a", None, ""]), ["a", None, ""]),
        (pa.array([7, None], pa.int32()), ["7", None]),
        (pa.array([7.0, None, float("nan"), 2.5]), ["7", None, None, "2.5"]),
        (pa.array([True, False, None]), ["true", "false", None]),
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
        (pa.array([3, 4], pa.int64()).dictionary_encode(), ["3", "4"]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_cells_become_the_text_they_show(cells: pa.Array, texts: list[str | None]) -> None:
    assert to_text(cells, "id").to_pylist() == texts


def test_a_list_is_no_text() -> None:
    with pytest.raises(InvalidHistory, match="column id is list"):
        to_text(pa.array([[1]]), "id")


def test_named_cells_are_replaced_and_others_stay() -> None:
    replaced = replace_values(pa.array(["0", "1", "2", None]), {"0": None, "1": "one"})
    assert replaced.to_pylist() == [None, "one", "2", None]


@pytest.mark.parametrize("text", ["1,5", "0x10", " 5", "nan", "inf", "", "1e", "1_000", "ten", "--1"])
def test_text_that_is_no_number_is_nan(text: str) -> None:
    assert np.isnan(parse_numbers(pa.array([text]), "n"))[0]


@pytest.mark.parametrize(
    ("cell", "number"),
    [("25.50", 25.5), ("+3", 3), ("-.5", -0.5), ("1e3", 1000), (Decimal("12.34"), 12.34), (7, 7)],
)
def test_numbers_are_read_from_text_decimals_and_integers(cell: Any, number: float) -> None:
    assert parse_numbers(pa.array([cell]), "n")[0] == number


def test_one_bad_cell_leaves_its_neighbours_alone() -> None:
    numbers = parse_numbers(pa.array(["1", "x", None, "2"]), "n")
    assert np.array_equal(numbers, [1, np.nan, np.nan, 2], equal_nan=True)
