"""How the HTTP server of an ingress replica ends a connection that was reset.

After each answer uvicorn sets a timer that ends the connection if nothing more comes: 90 s, as Serve sets it. When
the connection is closed in order it takes the timer back, but not when it is reset, as HAProxy does with
connections that it has too many of. The timer then keeps the connection and its last request in memory until it
is due: 7 to 10 KB for each connection, of which a client in a hurry makes thousands a second.
"""

from typing import Final

from uvicorn.config import HTTP_PROTOCOLS
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CHOICE: Final = "auto"
"""The name under which uvicorn looks for what it parses HTTP with unless told otherwise; Serve does not tell."""


class Protocol(HttpToolsProtocol):
    """uvicorn's own protocol, which takes its timer back however a connection ends."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear that the connection has ended; with an error if it was reset."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()


def use_protocol() -> None:
    """Have every HTTP server that begins in this process from now on use :class:`Protocol`."""
    HTTP_PROTOCOLS[CHOICE] = f"{__name__}:{Protocol.__name__}"
