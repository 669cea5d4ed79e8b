from datetime import UTC, date, datetime
from typing import Any, Literal

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InvalidHistory
from features.transaction import event_time_ms
from training.ingestion.event_times import parse_event_times
from training.ingestion.mapping import TimestampFormat


def parsed(cells: list[Any], kind: pa.DataType | None = None, **settings: Any) -> list[str | None]:
    time_ms, known = parse_event_times(pa.array(cells, kind), TimestampFormat(**settings), "when")
    texts = [datetime.fromtimestamp(ms / 1000, UTC).isoformat() for ms in time_ms.tolist()]
    return [text if ok else None for text, ok in zip(texts, known.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2018-04-01 00:00:31", "2018-04-01T00:00:31+00:00"),
        ("2018-04-01T00:00:31Z", "2018-04-01T00:00:31+00:00"),
        ("2018-04-01T00:00:31+05:30", "2018-03-31T18:30:31+00:00"),
        ("2018-04-01T00:00:31.1239", "2018-04-01T00:00:31.123000+00:00"),
        ("2018-04-01T00:00:31.123456789Z", "2018-04-01T00:00:31.123000+00:00"),
        ("2018-04-01", "2018-04-01T00:00:00+00:00"),
        ("now", None),
        ("2018", None),
        ("20180401", None),
        ("2018-02-31", None),
        ("2018-04-01T25:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_iso_8601_is_read_and_nothing_else(text: str | None, time: str | None) -> None:
    assert parsed([text], pa.string()) == [time]


def test_cells_of_many_forms_stand_side_by_side() -> None:
    cells = ["2018-04-01T12:00:00Z", "x", "2018-04-01 12:00:00", None, "2018-04-01T12:00:00.1234567891+02:00"]
    noon = "2018-04-01T12:00:00+00:00"
    assert parsed(cells) == [noon, None, noon, None, "2018-04-01T10:00:00.123000+00:00"]


def test_times_without_offset_are_local_to_the_zone_of_the_mapping() -> None:
    cells = ["2018-07-01 12:00:00", "2018-07-01T12:00:00Z"]
    assert parsed(cells, timezone="Europe/Paris") == ["2018-07-01T10:00:00+00:00", "2018-07-01T12:00:00+00:00"]


def test_hours_that_the_clock_change_skips_or_repeats_are_no_times() -> None:
    assert parsed(["2018-03-25 02:30:00", "2018-10-28 02:30:00"], timezone="Europe/Paris") == [None, None]


def test_an_own_format_is_followed() -> None:
    assert parsed(["01/02/2018 10:10", "2018-02-01"], format="%d/%m/%Y %H:%M") == [
        "2018-02-01T10:10:00+00:00",
        None,
    ]
    assert parsed(["01/02/18 10:10 +0200"], format="%d/%m/%y %H:%M %z") == ["2018-02-01T08:10:00+00:00"]


def test_timestamp_types_of_any_unit_and_zone_are_read() -> None:
    noon = datetime(2018, 7, 1, 12, tzinfo=UTC)
    expected = ["2018-07-01T12:00:00+00:00", None]
    assert parsed([noon, None], pa.timestamp("ns", tz="Asia/Tokyo")) == expected
    assert parsed([noon, None], pa.timestamp("s", tz="UTC")) == expected
    naive = [noon.replace(tzinfo=None), None]
    assert parsed(naive, pa.timestamp("us")) == expected
    assert parsed(naive, pa.timestamp("us"), timezone="Europe/Paris") == ["2018-07-01T10:00:00+00:00", None]
    assert parsed([date(2018, 7, 1)]) == ["2018-07-01T00:00:00+00:00"]


@pytest.mark.parametrize(
    ("unit", "number"), [("s", 1_530_446_400), ("ms", 1_530_446_400_000), ("ns", 1_530_446_400_000_000_000)]
)
def test_epoch_numbers_are_read_in_their_unit(unit: Literal["s", "ms", "us", "ns"], number: int) -> None:
    expected = ["2018-07-01T12:00:00+00:00", None]
    assert parsed([number, None], unit=unit) == expected
    assert parsed([str(number), "soon"], unit=unit) == expected


def test_numbers_beyond_all_time_are_no_times() -> None:
    assert parsed([2**62, -(2**63), 2**63 - 1], unit="s") == [None] * 3
    assert parsed([float("nan"), float("inf"), 1e300], unit="s") == [None] * 3


@given(st.floats(0, 4e9))
def test_epoch_seconds_agree_with_the_door(seconds: float) -> None:
    time_ms, known = parse_event_times(pa.array([seconds]), TimestampFormat(unit="s"), "when")
    assert known.all()
    assert time_ms[0] == event_time_ms(datetime.fromtimestamp(round(seconds * 1e6) / 1e6, UTC))


@pytest.mark.parametrize(
    ("cells", "settings", "message"),
    [
        (pa.array([1]), {}, "column when is int64: set timestamp.unit"),
        (pa.array(["x"]), {"format": "%Q"}, "column when: timestamp.format %Q cannot be used"),
        (pa.array([True]), {"unit": "s"}, "column when is bool, where numbers are needed"),
    ],
)
def test_a_column_that_cannot_be_times_is_refused_by_name(
    cells: pa.Array, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidHistory, match=message):
        parse_event_times(cells, TimestampFormat(**settings), "when")
