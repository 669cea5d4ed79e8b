"""The bundles that a replica holds: loaded from the registry, checked and warmed beside those in service.

Every call for a score names the version that it wants, so a decision never mixes two; while the routers change
from one version to the next, the models hold both.
"""

import asyncio
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
from features.errors import BundleRefused, RegistryUnavailable
from training.registry import Bundle, Registry, with_password_of

logger = logging.getLogger("ray.serve")

HELD: Final = 3
"""Versions held at most; the one that was asked for longest ago goes."""


class ServedBundles:
    """Holds bundles by version.

    Args:
        tracking_uri: of the MLflow registry; user and password, if it needs them, come from the environment.
        kept: folder of the bundles that this machine keeps; None: in its data folder.
    """

    def __init__(self, tracking_uri: str, kept: Path | None = None) -> None:
        self._kept = KeptBundles(kept or models_folder(data_folder(os.environ)))
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
                bundle = await asyncio.to_thread(self._loaded, name, version)
                self._held[name, version] = bundle
                logger.info("holding %s version %s", name, version)
                while len(self._held) > HELD:
                    self._held.popitem(last=False)
        return bundle

    async def hold_kept(self, ref: ModelRef) -> None:
        """Hold what this machine keeps, for want of what the registry gives; what cannot be served is logged."""
        for version in reversed(self._kept.versions(ref.name)):
            try:
                await self.hold(ref.name, version)
            except (BundleRefused, RegistryUnavailable) as error:
                logger.error("version %s of %s cannot be served: %s", version, ref.name, error)

    def decides(self, ref: ModelRef, version: str) -> None:
        """Note the version that decides for an alias, for replicas that start while the registry is away."""
        self._kept.decides(ref, version)

    def decided(self, ref: ModelRef) -> str | None:
        """Return the version that decided for an alias last on this machine, None where none did."""
        return self._kept.decided(ref)

    def _loaded(self, name: str, version: str) -> Bundle:
        bundle = self._fetched(name, version)
        bundle.warm()
        return bundle

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
