"""Where spool and archive lie in a data folder."""

from pathlib import Path


def spool_folder(data: Path) -> Path:
    """Return the folder of decisions that wait for the store."""
    return data / "spool"


def archive_folder(data: Path) -> Path:
    """Return the folder of archived decisions."""
    return data / "decisions"
