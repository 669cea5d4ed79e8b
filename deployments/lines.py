"""Framing of a stream of lines: bytes come in pieces of any size, whole lines go out."""


class LineSplitter:
    """Cuts a stream into lines at its line feeds, and holds the unfinished end of at most one line.

    A line that is longer than the bound comes out cut to just over it, for whoever reads it to refuse.

    Args:
        max_bytes: the longest line that comes out whole, without its line feed.

    Example:
        >>> lines = LineSplitter(10)
        >>> lines.feed(b'{"a":1}\\n{"b"'), lines.feed(b':2}'), lines.rest()
        ([b'{"a":1}'], [], [b'{"b":2}'])
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._begun: list[bytes] = []
        self._begun_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that the next bytes end; blank lines are left out."""
        first, *others = data.split(b"\n")
        self._keep(first)
        if not others:
            return []
        lines = [b"".join(self._begun), *others[:-1]]
        self._begun, self._begun_bytes = [], 0
        self._keep(others[-1])
        most = self._max_bytes
        return [line if len(line) <= most else line[: most + 1] for line in lines if line and not line.isspace()]

    def rest(self) -> list[bytes]:
        """Return the line that the end of the stream ends, if there is one."""
        return self.feed(b"\n")

    def _keep(self, piece: bytes) -> None:
        # Of a line past the bound, one byte more is enough to know that it is.
        piece = piece[: self._max_bytes + 1 - self._begun_bytes]
        if piece:
            self._begun.append(piece)
            self._begun_bytes += len(piece)
