"""The bundle that a replica serves: loaded from the registry by alias, checked, warmed, then swapped in."""

import asyncio
import logging
import os

from deployments.settings import ModelRef
from features.definitions import fingerprint
from features.errors import BundleRefused, RegistryUnavailable
from training.registry import Bundle, Registry, with_password_of

logger = logging.getLogger("ray.serve")


class ServedBundle:
    """Holds one bundle at a time. A bundle that is refused leaves the old one in place, and says so.

    Args:
        tracking_uri: of the MLflow registry; user and password, if it needs them, come from the environment.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._tracking_uri = with_password_of(os.environ.get("MLFLOW_TRACKING_URI", ""), tracking_uri)
        self._bundle: Bundle | None = None
        self.version = ""
        self.problem = ""

    @property
    def bundle(self) -> Bundle:
        """The bundle in service.

        Raises:
            BundleRefused: none was loaded yet.
        """
        if self._bundle is None:
            raise BundleRefused("no bundle is loaded yet")
        return self._bundle

    async def load(self, ref: ModelRef) -> None:
        """Resolve the alias and serve its bundle; off the event loop, so that requests go on meanwhile.

        Raises:
            BundleRefused, RegistryUnavailable: and no bundle was in service before; with one, the error is
                logged, kept in ``problem``, and the old bundle stays.
        """
        try:
            bundle, version = await asyncio.to_thread(self._fetch, ref)
        except (BundleRefused, RegistryUnavailable) as error:
            if self._bundle is None:
                raise
            self.problem = f"{ref.name}@{ref.alias} was not taken, version {self.version} stays: {error}"
            logger.error(self.problem)
            return
        self._bundle, self.version, self.problem = bundle, version, ""
        logger.info("serving %s version %s (alias %s)", ref.name, version, ref.alias)

    def _fetch(self, ref: ModelRef) -> tuple[Bundle, str]:
        bundle, registered = Registry(self._tracking_uri).load(ref.name, ref.alias, fingerprint())
        bundle.warm()
        return bundle, str(registered.version)
