"""POST /predict/batch with a stream of JSON lines: each is answered as it is decided, while others still come.

Memory is bounded whatever the length of the body: the next bytes are read when the lines before them are decided,
and their answers have gone or fill no more than the outbox.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

from pydantic_core import from_json
from starlette.types import Message, Receive, Scope, Send

from deployments.bulk import BulkRoad, Chunk, Outcome, admit_in_turns, described, errors, refusal, wants_features
from deployments.errors import RETRY_AFTER_S, ErrorBody, FieldError
from deployments.hot_route import Answer
from deployments.lines import LineSplitter
from deployments.media_types import NDJSON
from deployments.outbox import Outbox, ReaderStalled
from deployments.row_json import error_row, item_rows
from features.admission import Admitted
from features.errors import DeadlineExceeded, Overloaded
from features.json_rows import admit_json

logger = logging.getLogger("ray.serve")

_HEADERS: Final = [(b"content-type", NDJSON.encode())]


class NdjsonBulk(BulkRoad):
    """Answers a stream of lines."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as an ASGI application.

        What fails before the first line is decided answers the whole request. From then on each line has its own
        result or its own error, and the stream goes on.
        """
        answers = self._answers(scope["query_string"], receive)
        try:
            first = await anext(answers, b"")
        except Exception as error:  # noqa: BLE001 - refusal() logs what is not handled.
            await _send_whole(send, refusal(error))
            return
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await self._send_all(first, answers, send)

    async def _send_all(self, first: bytes, answers: AsyncIterator[bytes], send: Send) -> None:
        settings = self.settings()
        outbox = Outbox(
            settings.max_unread_bytes,
            settings.max_spooled_bytes,
            settings.patience_ms / 1000,
            settings.max_stall_ms / 1000,
        )
        cut_off = False
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(_send_from(outbox, send))
                await outbox.put(first)
                async for data in answers:
                    await outbox.put(data)
                    if sending.done():
                        return  # The client went away.
                outbox.end()
        except* (ReaderStalled, TimeoutError) as errors_:
            logger.warning("an NDJSON stream was ended: %r", errors_.exceptions[0])
            cut_off = True  # What is raised here, Python before 3.11.4 wraps in a group.
        finally:
            outbox.close()
        if cut_off:
            # The last chunk is never sent, so that the client knows the stream to be cut off.
            raise ConnectionError("the stream was cut off")

    async def _answers(self, query: bytes, receive: Receive) -> AsyncIterator[bytes]:
        """Yield the answers to the lines of the body, as they are decided."""
        include_features = wants_features(query)
        first = 0
        async for lines in self._line_groups(receive):
            at = 0
            while at < len(lines):
                group = lines[at : at + self.decider.max_chunk]
                yield await self._answer(group, first, include_features)
                first += len(group)
                at += len(group)

    async def _line_groups(self, receive: Receive) -> AsyncIterator[list[bytes]]:
        """Yield the lines that each piece of the body ends; ends with the body, or when the client goes away."""
        splitter = LineSplitter(self.settings().max_line_bytes)
        more = True
        while more:
            message: Message = await asyncio.wait_for(receive(), self.settings().max_stall_ms / 1000)
            if message["type"] == "http.disconnect":
                return
            more = message.get("more_body", False)
            yield splitter.feed(message.get("body", b""))
        yield splitter.rest()

    async def _answer(self, lines: list[bytes], first: int, include_features: bool) -> bytes:
        """Return the answers to some lines, the first of which has the given index.

        Raises:
            Exception: the very first lines of the stream were not decided.
        """
        now_ms = int(self.clock() * 1000)
        values, broken = _values(lines, self.settings().max_line_bytes)
        admitted = await admit_in_turns(len(values), lambda start, stop: admit_json(values[start:stop], now_ms))
        outcome = await self._decide(admitted, first == 0, include_features)
        rows = [""] * len(lines)
        for chunk in outcome.chunks:
            places = admitted.rows.tolist()
            indices = [first + place for place in places]
            ids, assigned = admitted.batch.transaction_id, admitted.assigned
            for place, text in zip(
                places, item_rows(indices, ids, assigned, chunk, include_features), strict=True
            ):
                rows[place] = text
        for place, body in (errors(admitted, outcome) | broken).items():
            rows[place] = error_row(first + place, body)
        return "\n".join([*rows, ""]).encode()

    async def _decide(self, admitted: Admitted, is_first: bool, include_features: bool) -> Outcome:
        """Return the decisions of one chunk; while the queue is full, a stream under way waits and tries again."""
        if not len(admitted.batch):
            return Outcome([], 0, None)
        loop = asyncio.get_running_loop()
        until = loop.time() + self.settings().max_retry_ms / 1000
        while True:
            try:
                _, decisions, share = await self.decider.decide(admitted.batch, include_features)
            except (Overloaded, DeadlineExceeded) as error:
                if is_first:
                    raise
                if loop.time() >= until:
                    return Outcome([], 0, described(error)[1])
                await asyncio.sleep(RETRY_AFTER_S)
            except Exception as error:
                if is_first:
                    raise
                return Outcome([], 0, described(error)[1])
            else:
                chunk = Chunk(0, len(admitted.batch), decisions, share)
                return Outcome([chunk], len(admitted.batch), None)


async def _send_from(outbox: Outbox, send: Send) -> None:
    while data := await outbox.take():
        await send({"type": "http.response.body", "body": data, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _send_whole(send: Send, answer: Answer) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers()})
    await send({"type": "http.response.body", "body": answer.body})


def _values(lines: list[bytes], max_bytes: int) -> tuple[list[Any], dict[int, ErrorBody]]:
    """Return the value of each line, and what is wrong with those that are no JSON."""
    values: list[Any] = []
    broken: dict[int, ErrorBody] = {}
    for at, line in enumerate(lines):
        if len(line) > max_bytes:
            values.append(None)
            fault = f"must be a line of at most {max_bytes} bytes"
            broken[at] = ErrorBody(
                code="invalid_transaction",
                message=f"body: {fault}",
                details=[FieldError(field="body", message=fault)],
            )
            continue
        try:
            values.append(from_json(line))
        except ValueError as error:
            values.append(None)
            fault = f"invalid JSON: {error}"
            broken[at] = ErrorBody(
                code="invalid_json", message=fault, details=[FieldError(field="body", message=fault)]
            )
    return values, broken
