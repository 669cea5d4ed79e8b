"""The content types by which POST /predict/batch tells its roads apart; whatever is neither is taken as JSON."""

from typing import Final

ARROW: Final = "application/vnd.apache.arrow.stream"
NDJSON: Final = "application/x-ndjson"
