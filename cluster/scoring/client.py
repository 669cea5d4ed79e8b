"""The Arrow road of the service, from the side of its client: one table out, its decisions back, patiently."""

import time
from collections.abc import Callable
from typing import Any, Final

import httpx
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from deployments.media_types import ARROW
from features.errors import ScoringFailed

MAX_WAIT_S: Final = 300.0
"""How long a busy or absent service is asked again before the command gives up."""
_PAUSE_S: Final = 1.0
UNREACHABLE: Final = (httpx.ConnectError, httpx.UnsupportedProtocol)
UNREACHED: Final = "Is that its address (--url), and is it up (`tollgate up`)?"
_PASSING: Final = ("overloaded", "unavailable")
"""Errors of a row that go away by themselves."""


class ArrowClient:
    """Sends transactions until they are decided. Each must have a transaction_id, so that none is counted twice.

    Args:
        http: a client whose base address is that of the service.
        pause: waits for some seconds; what it raises ends the asking.
        clock: monotonic seconds.

    A service that was never reached is not waited for: its address may be wrong.
    """

    def __init__(
        self,
        http: httpx.Client,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._pause = pause
        self._clock = clock
        self._reached = False

    def score(self, transactions: pa.Table) -> pa.Table:
        """Return the answer to each transaction, in their order.

        What was not decided because a part of the service was busy or away is sent again.

        Raises:
            ScoringFailed: the service refuses the request, or does not answer for ``MAX_WAIT_S``.
        """
        until = self._clock() + MAX_WAIT_S
        done: list[pa.Table] = []
        rest = transactions
        while True:
            answer = self._send(rest, until)
            # The rows after a chunk that failed were not tried, so these are the end of the table.
            passing = pc.is_in(answer["error_code"].combine_chunks(), value_set=pa.array(_PASSING))
            first = pc.index(passing, True).as_py()
            if first < 0 or self._clock() >= until:
                done.append(answer)
                return pa.concat_tables(done).drop_columns("index")
            done.append(answer.slice(0, first))
            rest = rest.slice(first)
            self._pause(_PAUSE_S)

    def _send(self, transactions: pa.Table, until: float) -> pa.Table:
        body = _to_stream(transactions)
        while True:
            pause_s, told = _PAUSE_S, ""
            try:
                response = self._http.post("/predict/batch", content=body, headers={"content-type": ARROW})
            except httpx.TransportError as error:
                told = f"no answer from {self._http.base_url}: {error or type(error).__name__}"
                if not self._reached and isinstance(error, UNREACHABLE):
                    raise ScoringFailed(f"{told}. {UNREACHED}") from error
            else:
                self._reached = True
                if response.status_code == httpx.codes.OK:
                    return self._table(response, len(transactions))
                told = f"{self._http.base_url} refused {len(transactions)} rows: {_reason(response)}"
                if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    raise ScoringFailed(told)
                pause_s = _retry_after_s(response)
            if self._clock() + pause_s >= until:
                raise ScoringFailed(told)
            self._pause(pause_s)

    def _table(self, response: httpx.Response, rows: int) -> pa.Table:
        try:
            with pa.ipc.open_stream(response.content) as reader:
                table = reader.read_all()
        except pa.ArrowException as error:
            raise ScoringFailed(f"{self._http.base_url} did not answer in Arrow: is it Tollgate?") from error
        if len(table) != rows:
            raise ScoringFailed(f"{self._http.base_url} answered {len(table)} of {rows} rows")
        return table


def _to_stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    stream: bytes = sink.getvalue().to_pybytes()
    return stream


def _retry_after_s(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else _PAUSE_S


def _reason(response: httpx.Response) -> str:
    """Return what an error answer says, in the one error shape or whatever else came."""
    try:
        body: Any = response.json()
        return f"{response.status_code} {body['error']['message']}"
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.text[:200]}"
