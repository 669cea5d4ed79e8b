"""A bound on the body of a request, however it comes: with a length, or in chunks without one.

Serve reads the whole body of a request ahead, without a bound of its own, on every route: also where nobody asked
for one. So the bound stands in front of Serve.
"""

from collections.abc import Awaitable, Callable

from starlette.types import Message, Receive, Send

from deployments.hot_route import Answer


class BoundedBody:
    """The two ends of one request whose body may have so many bytes.

    Past the bound the client is answered at once, and who reads hears that the client has gone.

    Args:
        limit: bytes of the body.
        refuse: answers a client whose body passes it.
    """

    def __init__(self, receive: Receive, send: Send, limit: int, refuse: Callable[[], Awaitable[None]]) -> None:
        self._receive = receive
        self._send = send
        self._limit = limit
        self._refuse = refuse
        self._size = 0
        self._began = False
        self._refused = False

    async def receive(self) -> Message:
        """Return the next message of the client."""
        if self._refused:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size <= self._limit:
            return message
        self._refused = True
        if not self._began:
            await self._refuse()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send a message of the answer, unless the request was refused meanwhile."""
        if self._refused and not self._began:
            return
        self._began = True
        await self._send(message)


async def send_answer(send: Send, answer: Answer, *more: tuple[bytes, bytes]) -> None:
    """Send a whole answer, with some more headers."""
    headers = [*answer.headers(), *more]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
