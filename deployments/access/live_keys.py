"""The keys in force: read once at the start, and anew whenever their file changes."""

import asyncio
import logging
from pathlib import Path
from typing import Final

from deployments.access.key_file import read_keys
from deployments.access.keys import KeyRing
from features.errors import InvalidKeys

logger = logging.getLogger("ray.serve")

POLL_S: Final = 1.0
"""How often the file is looked at, and so how long a revoked key holds."""
OLD_KEYS: Final = "the API keys in force are the old ones"

_Seen = tuple[int, int, int]


class LiveKeys:
    """Holds the keys of a file. A file that breaks later keeps the old keys in force, and says so.

    Args:
        path: of the file.

    Raises:
        InvalidKeys: there are no keys to begin with.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _seen(path)
        self.ring = KeyRing(read_keys(path))
        self.problem = ""
        """What an operator should see to; empty while the file is what is in force."""

    async def watch(self) -> None:
        """Look at the file again and again, off the event loop; ends when it is cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> None:
        """Take the keys of the file if it changed and they are valid."""
        try:
            seen = _seen(self._path)
            if seen == self._seen:
                self.problem = ""
                return
            self.ring = KeyRing(read_keys(self._path))
            # Not before: a file that could not be read is read again, though nothing but its owner may change.
            self._seen = seen
        except InvalidKeys as error:
            self._refuse(str(error))
            return
        except Exception:
            # Whoever looks again and again must not end: a key that is revoked would hold for ever.
            problem = f"{OLD_KEYS}: {self._path} could not be read, by a defect; the replica's log has it"
            if problem != self.problem:
                logger.exception(problem)
            self.problem = problem
            return
        self.problem = ""
        logger.warning("%d API keys are in force, read from %s", len(self.ring), self._path)

    def _refuse(self, reason: str) -> None:
        problem = f"{OLD_KEYS}: {reason}"
        if problem != self.problem:
            self.problem = problem
            logger.error(problem)


def _seen(path: Path) -> _Seen:
    """Return what changes when a file does.

    Raises:
        InvalidKeys: it is not there.
    """
    try:
        facts = path.stat()
    except OSError as error:
        raise InvalidKeys(f"the API keys at {path} cannot be read: {error.strerror}") from error
    return facts.st_mtime_ns, facts.st_size, facts.st_ino
