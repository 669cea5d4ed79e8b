"""Which version is in service: it follows an alias of the registry, and changes once all can change."""

import logging
from collections.abc import Sequence
from typing import Any

from deployments.errors import CALL_FAILED
from deployments.handles import on_all_replicas
from deployments.served_bundles import ServedBundles
from deployments.served_model import ServedModel
from deployments.settings import ModelRef
from features.errors import BundleRefused, RegistryUnavailable

logger = logging.getLogger("ray.serve")


class ModelWatch:
    """Tells the model that an alias names, once every replica of the models holds it beside the one before.

    Args:
        bundles: of this replica.
        models: handles of the model deployments.

    Attributes:
        problem: why the version that the alias names was not taken; "" when it was.
        registry: what the registry said when it was asked last; registry_answers: whether it said a version.
    """

    def __init__(self, bundles: ServedBundles, models: Sequence[Any]) -> None:
        self._bundles = bundles
        self._models = models
        self._refused: tuple[str, str] | None = None
        self._noted: tuple[str, str, str] | None = None
        self.problem = ""
        self.registry = "not asked yet"
        self.registry_answers = False

    async def model(self, ref: ModelRef, current: ServedModel | None) -> ServedModel:
        """Return the model that an alias names, or the current one where that cannot be served.

        Where there is no current one yet, as in a replica that starts, it is the one that decided last on this
        machine. So a service goes on, too, when the alias already names a version for the next release.

        Raises:
            BundleRefused, RegistryUnavailable: it cannot be served, and there is no other.
        """
        version = ""
        try:
            version = await self._version_of(ref)
            if current is not None and (ref.name, version) in (current.key, self._refused):
                if current.key == (ref.name, version):
                    if current.key != self._refused:  # Else it decides as kept here, and the registry's is broken.
                        self.problem = ""
                    await self._note(ref, version)
                return current
            bundle = await self._bundles.hold(ref.name, version)
            if current is not None:
                await self._hold_everywhere(ref.name, version)
        except (BundleRefused, RegistryUnavailable) as error:
            if current is None:
                current = await self._before(ref)
            if current is None:
                raise
            if isinstance(error, BundleRefused):
                self._refused = (ref.name, version)  # It stays what it is: no need to load it every time.
            self._tell(f"{ref.name}@{ref.alias} was not taken, version {current.version} stays: {error}")
            return current
        self.problem = ""
        self._refused = None
        await self._note(ref, version)
        return ServedModel(ref.name, version, bundle)

    async def _version_of(self, ref: ModelRef) -> str:
        """Return the version that an alias names now.

        Raises:
            RegistryUnavailable: the registry does not answer, or has no such alias.
        """
        try:
            version = await self._bundles.version_of(ref)
        except RegistryUnavailable as error:
            self.registry, self.registry_answers = str(error), False
            raise
        self.registry, self.registry_answers = f"{ref.name}@{ref.alias} is version {version}", True
        return version

    async def _before(self, ref: ModelRef) -> ServedModel | None:
        """Return the model that decided last on this machine, None where there is none that can be served."""
        found = await self._bundles.hold_decided(ref)
        return None if found is None else ServedModel(ref.name, *found)

    async def _note(self, ref: ModelRef, version: str) -> None:
        """Note once that a version decides for an alias; where the disk does not take it, again the next time."""
        noted = (ref.name, ref.alias, version)
        if noted != self._noted and await self._bundles.decides(ref, version):
            self._noted = noted

    async def _hold_everywhere(self, name: str, version: str) -> None:
        """Return when every replica of the models holds a version.

        Raises:
            RegistryUnavailable: one does not, or not yet.
        """
        for handle in self._models:
            try:
                answers = await on_all_replicas(handle, "hold", name, version)
            except CALL_FAILED as error:
                raise RegistryUnavailable(f"the replicas of a model cannot be asked: {error!r}") from error
            for answer in answers:
                if answer:
                    # A replica that stops, or cannot reach the registry, may answer well the next time.
                    raise RegistryUnavailable(f"a replica of a model does not hold version {version}: {answer}")

    def _tell(self, problem: str) -> None:
        if problem != self.problem:
            logger.error(problem)
        self.problem = problem
