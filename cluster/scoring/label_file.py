"""Posts the labels of a file to the live service: ``tollgate labels``.

The rows go in their order, some hundred a request. A request that the service could not take is sent again, and so
may be the whole file: a label that stands already changes nothing.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import httpx
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from cluster.scoring.client import UNREACHABLE, UNREACHED
from features.errors import InvalidHistory, LabelsNotTaken
from features.label import Label
from training.api_key import key_headers
from training.ingestion.csv_files import is_csv
from training.ingestion.sources import column_names, rows_of_file
from training.progress import progress_bar

TIMEOUT_S: Final = 60.0
MAX_WAIT_S: Final = 300.0
"""How long a busy or absent service is asked again before the command gives up."""
PAUSE_S: Final = 1.0
NO_ROW: Final = "no_row"
"""Outcome of a line of a CSV file that is no row."""
EXAMPLES: Final = 10
"""Rows that were not taken of which the report says why."""

_FIELDS: Final = tuple(Label.model_fields)
_TEXT: Final = ("transaction_id", "merchant_id", "source")
_VERDICTS: Final = {"1": True, "true": True, "0": False, "false": False}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LabelReport:
    """What became of the labels of a file.

    Attributes:
        outcomes: outcome or error code -> number of rows.
        taken: rows that the service took, whatever they changed.
        failed: rows that it did not.
        examples: (row number from 1, reason) of the first of those.
        notes: why labels count in no window -> number of rows.
        duration_s: how long it took, in seconds.
    """

    outcomes: dict[str, int]
    taken: int
    failed: int
    examples: tuple[tuple[int, str], ...]
    notes: dict[str, int]
    duration_s: float

    def __rich__(self) -> str:
        """Return the report in sentences."""
        counts = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(self.outcomes.items())) or "none"
        lines = [f"Labels: {counts}, in {self.duration_s:.1f} s."]
        lines += [f"Of these {count:,} {note}." for note, count in self.notes.items()]
        lines += [f"Row {row:,} was not taken: {reason}" for row, reason in self.examples]
        if self.failed > len(self.examples):
            lines.append(f"And {self.failed - len(self.examples):,} more.")
        return "\n".join(lines)


def post_labels(
    path: Path,
    *,
    url: str,
    source: str | None = None,
    batch_size: int = 500,
    show_progress: bool = True,
    transport: httpx.BaseTransport | None = None,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> LabelReport:
    """Post every row of a CSV or Parquet file as a label, and report what became of them.

    Args:
        path: columns are called as the fields of a label; other columns are not sent.
        url: of the service.
        source: of every row, in a file that does not say.
        batch_size: labels a request.
        transport: what carries the requests; None: the network.

    Raises:
        InvalidHistory: the file cannot be read, or lacks a column.
        LabelsNotTaken: the service refuses a request as a whole, or does not answer for ``MAX_WAIT_S``.
    """
    began = time.perf_counter()
    names = _checked_names(path, source)
    outcomes: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    examples: list[tuple[int, str]] = []
    failed = rows = 0
    reached = False
    with (
        httpx.Client(base_url=url, headers=key_headers(), timeout=TIMEOUT_S, transport=transport) as http,
        progress_bar(show=show_progress) as progress,
    ):
        task = progress.add_task(path.name, total=_total(path))
        for some in _some_rows(path, names, source, batch_size):
            items = [item for _, item in some if not isinstance(item, str)]
            results = iter(_post(http, items, pause, clock, reached=reached) if items else ())
            reached = reached or bool(items)
            for row, item in some:
                no_row: Json = {"error": {"code": NO_ROW, "message": item}}
                result = no_row if isinstance(item, str) else next(results)
                error = result.get("error")
                outcomes[result["outcome"] if error is None else error["code"]] += 1
                if error is not None:
                    failed += 1
                    if len(examples) < EXAMPLES:
                        examples.append((row, error["message"]))
                elif result["note"]:
                    notes[result["note"]] += 1
            rows += len(some)
            progress.update(task, completed=rows)
    return LabelReport(
        dict(outcomes), rows - failed, failed, tuple(examples), dict(notes), time.perf_counter() - began
    )


def _checked_names(path: Path, source: str | None) -> list[str]:
    """Return the columns of the file that are fields of a label."""
    if path.is_dir() or not path.exists():
        raise InvalidHistory(f"{path} is no file; give one CSV or Parquet file")
    have = column_names(path)
    needed = [name for name, field in Label.model_fields.items() if field.is_required()]
    if source is not None:
        needed.remove("source")
    for name in needed:
        if name not in have:
            advice = ", or give --source" if name == "source" else ""
            raise InvalidHistory(f"{path} lacks the column {name}{advice}; it has {', '.join(have[:20])}")
    return [name for name in _FIELDS if name in have]


def _total(path: Path) -> int | None:
    """Return the number of rows, None where only reading tells."""
    return None if is_csv(path) else int(pq.read_metadata(path).num_rows)


def _some_rows(
    path: Path, names: list[str], source: str | None, batch_size: int
) -> Iterator[list[tuple[int, Json | str]]]:
    """Yield the rows of the file in order: the number of each, and the item of a request or why it is no row."""
    for number, cells, malformed in rows_of_file(path, names):
        rows: list[tuple[int, Json | str]] = [
            (row, _item(item, source))
            for row, item in zip(number.tolist(), pa.table(cells).to_pylist(), strict=True)
        ]
        rows = sorted([*rows, *((line.row, line.reason) for line in malformed)], key=itemgetter(0))
        yield from (rows[at : at + batch_size] for at in range(0, len(rows), batch_size))


def _item(row: Json, source: str | None) -> Json:
    """Return one row as the API takes it; what is no label goes as it is, and the service says what is wrong."""
    item: Json = {} if source is None else {"source": source}
    for name, value in row.items():
        # NaN is how pandas writes an absent number.
        if value is None or value != value:
            continue
        if name in _TEXT:
            item[name] = str(value)
        elif isinstance(value, datetime):
            item[name] = value.isoformat()
        elif name == "is_fraud":
            item[name] = _VERDICTS.get(str(value).lower(), value)
        else:
            item[name] = value
    return item


def _post(
    http: httpx.Client,
    items: list[Json],
    pause: Callable[[float], None],
    clock: Callable[[], float],
    *,
    reached: bool,
) -> list[Json]:
    """Return what became of each item; what a busy or absent service did not take is sent again, in order.

    Args:
        reached: whether the service has answered before. One that never did is not waited for.
    """
    until = clock() + MAX_WAIT_S
    while True:
        try:
            results, told = _sent(http, items)
        except UNREACHABLE as error:
            told = f"no answer from {http.base_url}: {error}"
            if not reached:
                raise LabelsNotTaken(f"{told}. {UNREACHED}") from error
            results = None
        else:
            reached = True
        if results is not None:
            return results
        if clock() + PAUSE_S >= until:
            raise LabelsNotTaken(f"{told}. Labels that were taken stay; posting the file again is safe.")
        pause(PAUSE_S)


def _sent(http: httpx.Client, items: list[Json]) -> tuple[list[Json] | None, str]:
    """Return the results of a request, or None and why it is to be sent again."""
    try:
        response = http.post("/labels", json=items)
    except UNREACHABLE:
        raise
    except httpx.TransportError as error:
        return None, f"no answer from {http.base_url}: {error or type(error).__name__}"
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return None, f"{http.base_url} does not take labels: {response.text[:200]}"
    try:
        results: list[Json] = response.raise_for_status().json()["results"]
    except (httpx.HTTPStatusError, ValueError, KeyError, TypeError) as error:
        raise LabelsNotTaken(
            f"{http.base_url} refused {len(items)} labels: {response.status_code} {response.text[:200]}"
        ) from error
    if any(result.get("error", {}).get("code") in ("overloaded", "unavailable") for result in results):
        # What was taken before it failed is repeated by the next attempt, which changes nothing.
        return None, f"{http.base_url} took some of the labels only"
    return results, ""
