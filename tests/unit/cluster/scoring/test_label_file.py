"""``tollgate labels``: every row of a file becomes a label, through a service that is sometimes away."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from cluster.scoring.label_file import MAX_WAIT_S, LabelReport, post_labels
from deployments.labels import LabelIntake
from deployments.settings import IngressSettings
from features.errors import InvalidHistory, LabelsNotTaken, OnlineStoreUnavailable
from features.label import LabelBatch, LabelOutcome
from tests.unit.deployments.graph import FeaturesHandle

NOW_S = 1_780_000_000.0  # 2026-05-28
Wrong = Callable[[int], httpx.Response | None]


class Stand(httpx.BaseTransport):
    """A service in this process; ``wrong`` may answer the n-th request in its place, or raise."""

    def __init__(self, wrong: Wrong = lambda _: None) -> None:
        self.features = FeaturesHandle()
        self.sizes: list[int] = []
        self.now_s = 0.0
        self._wrong = wrong
        self._intake = LabelIntake(self._take, IngressSettings, lambda *_: None, lambda: NOW_S)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sizes.append(request.read().count(b"transaction_id"))
        other = self._wrong(len(self.sizes) - 1)
        if other is not None:
            return other
        answer = asyncio.run(self._intake.answer(request.content, request.url.query))
        return httpx.Response(answer.status, content=answer.body)

    def taken(self, column: str) -> list[Any]:
        return [value for batch in self.features.taken for value in getattr(batch, column)]

    def pause(self, seconds: float) -> None:
        self.now_s += seconds

    async def _take(self, labels: LabelBatch) -> list[LabelOutcome]:
        outcomes: list[LabelOutcome] = await self.features.take_labels.remote(labels)
        return outcomes


def run(path: Path, stand: Stand, **options: Any) -> LabelReport:
    return post_labels(
        path,
        url="http://tollgate",
        show_progress=False,
        transport=stand,
        pause=stand.pause,
        clock=lambda: stand.now_s,
        **options,
    )


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("transaction_id,timestamp,merchant_id,is_fraud,known_at,source,amount", *lines)))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(
        tmp_path / "labels.csv",
        "007,2026-05-01T10:00:00Z,shop,1,,chargeback,5",
        "t1,1777629600,shop,true,2026-05-02T10:00:00Z,analyst,5",
        "t2,2026-05-01T10:00:00Z,,False,,analyst,5",
    )


def test_rows_become_labels_in_their_order(file: Path) -> None:
    stand = Stand()
    report = run(file, stand, batch_size=2)
    assert stand.sizes == [2, 1]
    assert stand.taken("transaction_id") == ["007", "t1", "t2"]
    assert stand.taken("merchant_id") == ["shop", "shop", None]
    assert [bool(verdict) for verdict in stand.taken("is_fraud")] == [True, True, False]
    assert stand.taken("event_time_ms") == [1_777_629_600_000] * 3
    assert stand.taken("known_ms") == [1_780_000_000_000, 1_777_716_000_000, 1_780_000_000_000]
    assert (report.taken, report.failed, report.outcomes) == (3, 0, {"new": 3})
    assert "Of these 1 without merchant_id it counts" in report.__rich__()


def test_parquet_has_types_of_its_own(tmp_path: Path) -> None:
    moment = datetime(2026, 5, 1, 10, tzinfo=UTC)
    table = pa.table(
        {
            "transaction_id": [7, 8],
            "timestamp": pa.array([moment, moment], pa.timestamp("ms", tz="UTC")),
            "merchant_id": ["shop", None],
            "is_fraud": pa.array([1, 0], pa.int8()),
            "known_at": pa.array([float("nan"), 1_777_716_000.0]),
        }
    )
    pq.write_table(table, tmp_path / "labels.parquet")
    stand = Stand()
    assert run(tmp_path / "labels.parquet", stand, source="analyst").outcomes == {"new": 2}
    assert stand.taken("transaction_id") == ["7", "8"]
    assert stand.taken("event_time_ms") == [1_777_629_600_000] * 2
    assert stand.taken("known_ms") == [1_780_000_000_000, 1_777_716_000_000]


def test_rows_that_are_no_labels_are_told_by_their_number(tmp_path: Path) -> None:
    bad = [f"b{n},2026-05-01T10:00:00Z,shop,maybe,,analyst,5" for n in range(12)]
    path = write(tmp_path / "labels.csv", "t0,2026-05-01T10:00:00Z,shop,1,,analyst,5", *bad)
    report = run(path, Stand(), batch_size=5)
    assert (report.taken, report.failed) == (1, 12)
    assert report.outcomes == {"new": 1, "invalid_label": 12}
    assert [row for row, _ in report.examples] == list(range(2, 12))
    text = report.__rich__()
    assert "Row 2 was not taken: is_fraud: " in text
    assert "And 2 more." in text


def test_lines_that_are_no_rows_are_told_by_their_number_and_cost_no_other(tmp_path: Path) -> None:
    fine = [f"t{at},2026-05-01T10:00:00Z,shop,1,,chargeback,5" for at in range(7)]
    lines = ["x,y", *fine[:3], 't,2026-05-01T10:00:00Z,"shop,1,,chargeback,5', *fine[3:], "z"]
    stand = Stand()
    report = run(write(tmp_path / "labels.csv", *lines), stand, batch_size=4)
    assert stand.taken("transaction_id") == [f"t{at}" for at in range(7)]
    assert (report.outcomes, report.failed) == ({"new": 7, "no_row": 3}, 3)
    assert [row for row, _ in report.examples] == [1, 5, 10]
    assert "Row 1 was not taken: has 2 cells where the header has 7" in report.__rich__()
    only = run(write(tmp_path / "labels.csv", "x,y"), Stand(), batch_size=4)
    assert (only.taken, only.failed) == (0, 1)


def test_a_service_that_is_away_is_asked_again(file: Path) -> None:
    def wrong(request: int) -> httpx.Response | None:
        if request == 0:
            raise httpx.ReadError("connection lost")
        return httpx.Response(503, json={"error": {}}) if request == 1 else None

    stand = Stand(wrong)
    assert run(file, stand).taken == 3
    assert stand.sizes == [3, 3, 3]
    assert stand.taken("transaction_id") == ["007", "t1", "t2"]


def test_a_request_of_which_a_part_was_taken_is_sent_again(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.csv", *(f"t{n},2026-05-01T10:00:00Z,shop,1,,analyst,5" for n in range(600)))
    stand = Stand()
    stand.features.errors[1] = OnlineStoreUnavailable("gone")
    report = run(path, stand, batch_size=600)
    assert (report.taken, report.failed, stand.sizes) == (600, 0, [600, 600])


def test_a_service_that_stays_away_is_given_up(file: Path) -> None:
    def wrong(_: int) -> httpx.Response:
        raise httpx.ReadError("connection lost")

    stand = Stand(wrong)
    with pytest.raises(LabelsNotTaken, match=r"no answer from http://tollgate.*posting the file again is safe"):
        run(file, stand)
    assert MAX_WAIT_S - 2 < stand.now_s < MAX_WAIT_S


def test_a_service_that_was_never_there_is_not_waited_for(file: Path) -> None:
    def wrong(_: int) -> httpx.Response:
        raise httpx.ConnectError("refused")

    stand = Stand(wrong)
    with pytest.raises(LabelsNotTaken, match="is it up"):
        run(file, stand)
    assert stand.now_s == 0


def test_a_service_that_refuses_is_not_asked_again(file: Path) -> None:
    stand = Stand(lambda _: httpx.Response(404, text="no such route"))
    with pytest.raises(LabelsNotTaken, match="refused 3 labels: 404 no such route"):
        run(file, stand)
    assert len(stand.sizes) == 1


def test_what_is_no_file_of_labels_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidHistory, match="is no file"):
        run(tmp_path, Stand())
    (tmp_path / "labels.csv").write_text("transaction_id,timestamp,is_fraud\nt,2026-05-01,1")
    with pytest.raises(InvalidHistory, match="lacks the column source, or give --source"):
        run(tmp_path / "labels.csv", Stand())
    assert run(tmp_path / "labels.csv", Stand(), source="chargeback").taken == 1
    (tmp_path / "labels.parquet").write_text("no Parquet")
    with pytest.raises(InvalidHistory, match="cannot be read"):
        run(tmp_path / "labels.parquet", Stand(), source="chargeback")
