"""Where spool, archive and kept models lie in a data folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

VARIABLE: Final = "TOLLGATE_DATA_FOLDER"
DEFAULT: Final = ".tollgate/data"


def data_folder(environment: Mapping[str, str]) -> Path:
    """Return the data folder of the machine that this process runs on."""
    return Path(environment.get(VARIABLE, DEFAULT)).resolve()


def spool_folder(data: Path) -> Path:
    """Return the folder of decisions that wait for the store."""
    return data / "spool"


def models_folder(data: Path) -> Path:
    """Return the folder of bundles that replicas begin with while the registry is away."""
    return data / "models"


def archive_folder(data: Path) -> Path:
    """Return the folder of archived decisions."""
    return data / "decisions"
