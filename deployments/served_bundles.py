"""The bundles that a replica holds: loaded from the registry, checked and warmed beside those in service.

Every call for a score names the version that it wants, so a decision never mixes two; while the routers change
from one version to the next, the models hold both.
"""

import asyncio
import logging
import os
from collections import OrderedDict
from typing import Final

from deployments.settings import ModelRef
from features.definitions import fingerprint
from training.registry import Bundle, Registry, with_password_of

logger = logging.getLogger("ray.serve")

HELD: Final = 3
"""Versions held at most; the one that was asked for longest ago goes."""


class ServedBundles:
    """Holds bundles by version.

    Args:
        tracking_uri: of the MLflow registry; user and password, if it needs them, come from the environment.
    """

    def __init__(self, tracking_uri: str) -> None:
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

    def _loaded(self, name: str, version: str) -> Bundle:
        bundle, _ = self._registry.load(name, version, fingerprint())
        bundle.warm()
        return bundle
