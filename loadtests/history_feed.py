"""A history as request bodies, in the order in which the scorer met it; each with the id that it had."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from training.arrivals import Arrivals
from training.requests import request_bodies

READ_ROWS: Final = 5_000
"""Rows read at a time: some 10 ms of work, in which locust sends nothing."""


class HistoryFeed:
    """Hands the transactions of a history out, each once, in order of arrival.

    Args:
        history: a folder as ``tollgate ingest`` writes it.
        limit: hand out at most so many; None: all.

    Raises:
        InvalidHistory: the folder holds no history.
    """

    def __init__(self, history: Path, limit: int | None = None) -> None:
        self._arrivals = Arrivals.of(history)
        self._rows = len(self._arrivals) if limit is None else min(limit, len(self._arrivals))
        self._bodies = self._read()

    def __len__(self) -> int:
        """Return how many transactions it hands out in all."""
        return self._rows

    def next(self, count: int) -> list[dict[str, Any]]:
        """Return the bodies of the next ``count`` transactions; fewer at the end, and none after it."""
        return list(islice(self._bodies, count))

    def _read(self) -> Iterator[dict[str, Any]]:
        for start in range(0, self._rows, READ_ROWS):
            yield from request_bodies(self._arrivals.rows(start, min(start + READ_ROWS, self._rows)))
