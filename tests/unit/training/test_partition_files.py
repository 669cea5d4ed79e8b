"""Rows between tasks: each reader gets its own, in the order in which they were written."""

from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.partition_files import read_partition, write_partitions


@given(st.lists(st.lists(st.integers(0, 4), max_size=20), min_size=1, max_size=3))
def test_a_reader_gets_its_rows_of_every_file_in_order(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    written = []
    for number, partitions in enumerate(files):
        words = [f"{number}-{row}" if row % 3 else None for row in range(len(partitions))]
        rows = pa.table({"word": pa.array(words, pa.string())})
        write_partitions(folder / str(number), rows, np.array(partitions, np.int16), 5)
        written += list(zip(partitions, words, strict=True))
    paths = [str(folder / str(number)) for number in range(len(files))]
    for partition in range(5):
        found = read_partition(paths, partition).column("word").to_pylist()
        assert found == [word for own, word in written if own == partition]


def test_lists_and_several_chunks_are_kept(tmp_path: Path) -> None:
    labels = pa.chunked_array([[[1, 2], None], [[], [3]]], pa.list_(pa.int64()))
    write_partitions(tmp_path / "rows", pa.table({"labels": labels}), np.array([1, 0, 1, 0], np.int16), 2)
    assert read_partition([str(tmp_path / "rows")], 0).column("labels").to_pylist() == [None, [3]]
    assert read_partition([str(tmp_path / "rows")], 1).column("labels").to_pylist() == [[1, 2], []]
