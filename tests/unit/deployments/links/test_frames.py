"""Messages on a stream, whatever pieces it comes in."""

import asyncio
import pickle
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.links import frames
from deployments.links.frames import Frames, Kind
from deployments.links.sockets import PeerNotOurs


class Pipe:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closing = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def get_extra_info(self, name: str) -> "Pipe":
        assert name == "socket"
        return self

    def fileno(self) -> int:
        return -1

    def is_closing(self) -> bool:
        return self.closing


@pytest.fixture(autouse=True)
def _peers_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe has nobody at its other end whom the kernel knows."""
    monkeypatch.setattr(frames, "check_peer", lambda _: None)


class Collector(Frames):
    """Keeps what it receives."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[tuple[int, Kind, Any]] = []

    def received(self, call: int, kind: Kind, content: Any) -> None:
        self.messages.append((call, kind, content))


def sender(pipe: Pipe) -> Frames:
    frames = Collector()
    frames.connection_made(cast(asyncio.Transport, pipe))
    return frames


messages = st.lists(
    st.tuples(st.integers(0, 2**64 - 1), st.sampled_from(Kind), st.binary(max_size=300) | st.none()), max_size=8
)


@given(messages, st.lists(st.integers(1, 400), max_size=20))
def test_messages_arrive_whole_and_in_order_in_whatever_pieces(
    sent: list[tuple[int, Kind, Any]], sizes: list[int]
) -> None:
    pipe = Pipe()
    frames = sender(pipe)
    for message in sent:
        frames.send(*message)
    collector, stream = Collector(), pipe.written
    for size in sizes:
        collector.data_received(stream[:size])
        stream = stream[size:]
    collector.data_received(stream)
    assert collector.messages == sent


def test_arrays_that_were_received_do_not_share_the_buffer_of_the_stream() -> None:
    pipe, collector = Pipe(), Collector()
    sender(pipe).send(1, Kind.ANSWER, np.arange(100))
    collector.data_received(pipe.written[:50])
    collector.data_received(pipe.written[50:])
    collector.data_received(pipe.written[:20])
    np.testing.assert_array_equal(collector.messages[0][2], np.arange(100))
    assert not collector.messages[0][2].flags.writeable  # Nobody changes what came, wherever it lies.


@pytest.mark.parametrize(
    "array",
    [
        np.array([0.1, np.nan, -np.inf]),
        np.array([], np.int64),
        np.empty((0, 35)),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(10, dtype=np.int32)[::2],
        np.array([True, False]),
        np.array([1, 2], ">i2"),
        np.array([(1, 2.5)], [("count", "<u4"), ("share", "<f8")]),
        np.array(["a", None], object),
        np.array("2026-01-01", "datetime64[ms]"),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_an_array_comes_out_as_it_went_in(array: Any) -> None:
    found = pickle.loads(frames.packed({"array": array}))["array"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


def test_nothing_is_written_to_a_connection_that_ended() -> None:
    pipe = Pipe()
    pipe.closing = True
    sender(pipe).send(1, Kind.CALL, ())
    assert pipe.written == b""


def test_an_unknown_kind_is_an_error_and_not_an_answer() -> None:
    pipe, collector = Pipe(), Collector()
    sender(pipe).send(1, cast(Kind, 9), ())
    with pytest.raises(ValueError, match="9 is not a valid Kind"):
        collector.data_received(pipe.written)


def test_what_another_users_process_sends_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise PeerNotOurs("a process of user 7")

    pipe = Pipe()
    sender(pipe).send(1, Kind.CALL, ())
    monkeypatch.setattr(frames, "check_peer", refuse)
    collector, stranger = Collector(), Pipe()
    collector.connection_made(cast(asyncio.Transport, stranger))
    collector.data_received(pipe.written)
    assert stranger.closing
    assert collector.messages == []
