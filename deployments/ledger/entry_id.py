"""The id of a log entry, as streams of Redis have them: they grow, and say when."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final


@dataclass(frozen=True, slots=True, order=True)
class EntryId:
    """Id of a log entry: milliseconds since the epoch, by the store's clock, and a number within them."""

    time_ms: int
    number: int

    @classmethod
    def parse(cls, text: str) -> "EntryId":
        """Return the id that a text says."""
        time_ms, _, number = text.partition("-")
        return cls(int(time_ms), int(number))

    def __str__(self) -> str:
        return f"{self.time_ms}-{self.number}"

    @property
    def day(self) -> str:
        """The UTC day, as YYYY-MM-DD."""
        return datetime.fromtimestamp(self.time_ms / 1000, UTC).date().isoformat()


START: Final = EntryId(0, 0)
"""Before every entry."""
