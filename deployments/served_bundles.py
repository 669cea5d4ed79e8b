"""The bundles that a replica holds: loaded from the registry, checked and warmed beside those in service.

Every call for a score names the version that it wants, so a decision never mixes two; while the routers change
from one version to the next, the models hold both.
"""

import asyncio
import hashlib
import logging
import os
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Final

from deployments.kept_bundles import KeptBundles
from deployments.ledger.folders import data_folder, models_folder
from deployments.settings import ModelRef
from features.definitions import fingerprint
from features.errors import RegistryUnavailable
from features.store_address import public_address
from training.registry import Bundle, Registry, with_password_of

logger = logging.getLogger("ray.serve")

HELD: Final = 3
"""Versions held at most; the one that was asked for longest ago goes."""


def kept_bundles(tracking_uri: str, folder: Path) -> KeptBundles:
    """Return what this machine keeps of a registry for the features of this release.

    Each registry has a folder of its own, as each counts its versions from 1; and so have the feature definitions
    of each release, as two may decide side by side while one takes over.
    """
    owner = hashlib.sha256(f"{public_address(tracking_uri)} {fingerprint()}".encode()).hexdigest()[:16]
    return KeptBundles(folder / owner)


class ServedBundles:
    """Holds bundles by version.

    Args:
        tracking_uri: of the MLflow registry; user and password, if it needs them, come from the environment.
        kept: folder of the bundles that this machine keeps; None: in its data folder.
    """

    def __init__(self, tracking_uri: str, kept: Path | None = None) -> None:
        self._kept = kept_bundles(tracking_uri, kept or models_folder(data_folder(os.environ)))
        self._registry = Registry(with_password_of(os.environ.get("MLFLOW_TRACKING_URI", ""), tracking_uri))
        self._held: OrderedDict[tuple[str, str], Bundle] = OrderedDict()
        self._loading = asyncio.Lock()

    def get(self, name: str, version: str) -> Bundle | None:
        """Return a bundle that is held."""
        bundle = self._held.get((name, version))
        if bundle is not None:
            self._held.move_to_end((name, version))
        return bundle

    @property
    def versions(self) -> list[str]:
        """The versions that are held, the one used last at the end."""
        return [version for _, version in self._held]

    async def version_of(self, ref: ModelRef) -> str:
        """Return the version that an alias names now.

        Raises:
            RegistryUnavailable: the registry does not answer, or has no such alias.
        """
        registered = await asyncio.to_thread(self._registry.resolve, ref.alias, ref.name)
        return str(registered.version)

    async def hold(self, name: str, version: str) -> Bundle:
        """Return a bundle, loaded, checked and warmed off the event loop unless it is held already.

        While the registry does not answer, it is the one that this machine keeps, if it does.

        Raises:
            BundleRefused, RegistryUnavailable: it cannot be served; those that are held stay.
        """
        async with self._loading:
            bundle = self.get(name, version)
            if bundle is None:
                bundle = await asyncio.to_thread(self._fetched, name, version)
                await self._take(name, version, bundle)
        return bundle

    async def hold_kept(self, ref: ModelRef) -> None:
        """Hold what this machine keeps, the version that decided last above all, without asking the registry."""
        decided = await asyncio.to_thread(self._kept.decided, ref)
        others = [one for one in await asyncio.to_thread(self._kept.versions, ref.name) if one != decided]
        for version in reversed([*([] if decided is None else [decided]), *others][:HELD]):
            await self._hold_kept(ref.name, version)

    async def hold_decided(self, ref: ModelRef) -> tuple[str, Bundle] | None:
        """Return the version that decided for an alias last on this machine; None where it cannot be served."""
        version = await asyncio.to_thread(self._kept.decided, ref)
        bundle = None if version is None else await self._hold_kept(ref.name, version)
        return None if version is None or bundle is None else (version, bundle)

    async def decides(self, ref: ModelRef, version: str) -> bool:
        """Note the version that decides for an alias, for replicas that start while the registry is away.

        Return whether the disk took it.
        """
        return await asyncio.to_thread(self._kept.decides, ref, version)

    async def _hold_kept(self, name: str, version: str) -> Bundle | None:
        async with self._loading:
            bundle = self.get(name, version)
            if bundle is None:
                bundle = await asyncio.to_thread(self._kept.load, name, version, fingerprint())
                if bundle is not None:
                    await self._take(name, version, bundle)
        return bundle

    async def _take(self, name: str, version: str, bundle: Bundle) -> None:
        await asyncio.to_thread(bundle.warm)
        self._held[name, version] = bundle
        logger.info("holding %s version %s", name, version)
        while len(self._held) > HELD:
            self._held.popitem(last=False)

    def _fetched(self, name: str, version: str) -> Bundle:
        try:
            keep = partial(self._kept.keep, name, version)
            return self._registry.load(name, version, fingerprint(), keep)[0]
        except RegistryUnavailable as error:
            bundle = self._kept.load(name, version, fingerprint())
            if bundle is None:
                raise
            logger.warning("version %s of %s is the one kept on this machine: %s", version, name, error)
            return bundle
