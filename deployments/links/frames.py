"""Messages on a stream: each a header (bytes of the body, number of the call, kind) and a pickled body."""

import asyncio
import copyreg
import io
import logging
import pickle
import struct
from abc import ABC, abstractmethod
from collections import ChainMap
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from deployments.links.sockets import PeerNotOurs, check_peer

HEADER: Final = struct.Struct("<IQB")


logger = logging.getLogger("ray.serve")


class Kind(IntEnum):
    """What a message is."""

    CALL = 0
    ANSWER = 1
    ERROR = 2


def packed(content: Any) -> bytes:
    """Return the body of a message. Arrays of numbers are read-only once they are unpickled."""
    body = io.BytesIO()
    pickler = pickle.Pickler(body, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = _TABLE
    pickler.dump(content)
    return body.getvalue()


def _reduced(array: npt.NDArray[Any]) -> str | tuple[Any, ...]:
    # NumPy's own way takes twice as long for a small array, and most are small.
    if array.dtype.kind in "biuf":
        return _array, (array.tobytes(), array.dtype.str, array.shape)
    return array.__reduce_ex__(pickle.HIGHEST_PROTOCOL)


def _array(data: bytes, kind: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    return np.frombuffer(data, kind).reshape(shape)


_TABLE: Final = ChainMap[type, Callable[[Any], Any]]({np.ndarray: _reduced}, copyreg.dispatch_table)


class Frames(asyncio.Protocol, ABC):
    """One end of a connection: cuts the stream into messages, and hands each to :meth:`received`.

    A body is a pickle, so a connection is opened only between processes of one user (:mod:`.sockets`). One that
    cannot be read (of another version, say) ends the connection: the event loop logs the exception and closes it,
    and each call that is under way takes the other road.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._rest = bytearray()
        self._is_foreign = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection, or end it at once when the process at its other end is another user's."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one, but does not derive from it.
        try:
            check_peer(transport.get_extra_info("socket").fileno())
        except PeerNotOurs as error:
            logger.error(str(error))
            self._is_foreign = True
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take every whole message; keep the beginning of the next."""
        if self._is_foreign:
            return
        if self._rest:
            self._rest += data
            taken = self._take(self._rest)
            del self._rest[:taken]
        else:
            taken = self._take(data)
            if taken < len(data):
                self._rest += data[taken:]

    def _take(self, data: bytes | bytearray) -> int:
        at, end = 0, len(data)
        with memoryview(data) as view:
            while end - at >= HEADER.size:
                length, call, kind = HEADER.unpack_from(view, at)
                body = at + HEADER.size
                if end - body < length:
                    break
                at = body + length
                self.received(call, Kind(kind), pickle.loads(view[body:at]))
        return at

    @abstractmethod
    def received(self, call: int, kind: Kind, content: Any) -> None:
        """Take one message."""

    def send(self, call: int, kind: Kind, content: Any) -> None:
        """Send one message. Once the connection has ended it is dropped: each call on it takes the other road."""
        if self._transport.is_closing():
            return
        body = packed(content)
        self._transport.write(HEADER.pack(len(body), call, kind) + body)

    def close(self) -> None:
        """End the connection."""
        self._transport.close()
