"""Bundles that a machine keeps on its disk, for replicas that start while the registry cannot give them one.

A running replica holds its bundles in memory and needs no registry. One that starts or is added while the registry
is away, or while the alias names a version that is refused, would have nothing to decide by.
"""

import logging
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from deployments.settings import ModelRef
from features.errors import BundleRefused
from training.registry import Bundle, file_digests

logger = logging.getLogger("ray.serve")

KEPT: Final = 3
"""Versions of a model that are kept; those that were fetched longest ago go."""
ABANDONED_S: Final = 3600.0
"""Age at which a copy that was never finished is taken away."""
_ALIAS: Final = "@"
_UNFINISHED: Final = "."


class KeptBundles:
    """Keeps bundles by version, and which version decides for an alias.

    A disk that cannot keep them is logged, and stops nothing.

    Args:
        folder: of this machine and one registry; all its replicas share it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, name: str, version: str, files: Path) -> None:
        """Keep a bundle that was checked.

        Args:
            files: the folder that it lies in; it is copied.
        """
        model = self._model(name)
        try:
            model.mkdir(parents=True, exist_ok=True)
            place = model / version
            if not _same(place, files):
                copy = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=model))
                shutil.copytree(files, copy / "new")
                if place.exists():
                    place.rename(copy / "old")  # Damaged.
                try:
                    (copy / "new").rename(place)
                except OSError:
                    if not _same(place, files):
                        raise  # Else another replica was faster.
                shutil.rmtree(copy)
            os.utime(place)
            _forget(model)
        except OSError as error:
            logger.warning("version %s of %s is not kept in %s: %s", version, name, self._folder, error)

    def decides(self, ref: ModelRef, version: str) -> bool:
        """Note the version that decides for an alias from now on; return whether the disk took it."""
        model = self._model(ref.name)
        try:
            model.mkdir(parents=True, exist_ok=True)
            # Another replica may read it meanwhile: it is there as a whole, or as it was.
            copy = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=model))
            (copy / version).write_text(version)
            (copy / version).rename(self._note(ref))
            copy.rmdir()
            if (model / version).exists():
                os.utime(model / version)
        except OSError as error:
            logger.warning("that version %s decides is not noted in %s: %s", version, self._folder, error)
            return False
        return True

    def decided(self, ref: ModelRef) -> str | None:
        """Return the version that decided for an alias last; None where none did on this machine."""
        try:
            return self._note(ref).read_text()
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("which version decided for %s cannot be read: %s", ref.alias, error)
            return None

    def load(self, name: str, version: str, fingerprint: str) -> Bundle | None:
        """Return a bundle that is kept; None where it is not or, which is logged, damaged or of other features."""
        place = self._model(name) / version
        if not place.is_dir():
            return None
        try:
            return Bundle.load(place, fingerprint)
        except (BundleRefused, OSError) as error:
            logger.error("version %s of %s as kept in %s cannot be served: %s", version, name, place, error)
            return None

    def versions(self, name: str) -> list[str]:
        """Return the versions of a model that are kept, the one fetched or taken into service last first."""
        return _versions(self._model(name))

    def _model(self, name: str) -> Path:
        return self._folder / f"name={quote(name, safe='')}"  # So that a name of dots is none.

    def _note(self, ref: ModelRef) -> Path:
        return self._model(ref.name) / (_ALIAS + quote(ref.alias, safe=""))


def _same(place: Path, files: Path) -> bool:
    return place.is_dir() and file_digests(place) == file_digests(files)


def _versions(model: Path) -> list[str]:
    found = []
    for place in model.glob(f"[!{_ALIAS}{_UNFINISHED}]*"):
        with suppress(FileNotFoundError):  # Another replica takes it away.
            found.append((place.stat().st_mtime, place.name))
    return [version for _, version in sorted(found, reverse=True)]


def _forget(model: Path) -> None:
    """Take away what is kept no longer. Another replica may do so at the same time."""
    deciding = {note.read_text() for note in model.glob(f"{_ALIAS}*")}
    for version in [version for version in _versions(model) if version not in deciding][KEPT:]:
        shutil.rmtree(model / version, ignore_errors=True)
    for copy in model.glob(f"{_UNFINISHED}*"):
        if time.time() - copy.stat().st_mtime > ABANDONED_S:
            shutil.rmtree(copy, ignore_errors=True)
