"""A registry that can be away or broken, and what asks it."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from deployments.served_bundles import ServedBundles
from deployments.settings import ModelRef
from features.errors import BundleRefused, RegistryUnavailable

REF = ModelRef(name="tollgate", alias="champion")


class Model:
    """A model that scores every row alike."""

    def __init__(self, score: float) -> None:
        self._score = score

    def probability(self, matrix: Any) -> Any:
        return np.full(len(matrix), self._score)


@dataclass
class FakeRegistry:
    """A registry whose bundle of version n scores n / 100.

    Attributes:
        champion: the version that the alias names.
        broken: versions that are refused.
        is_down: whether it does not answer.
        loads: versions that were fetched.
        files: of all bundles; a folder.
    """

    champion: str = "1"
    broken: set[str] = field(default_factory=set)
    is_down: bool = False
    loads: list[str] = field(default_factory=list)
    files: Path = Path(os.devnull)

    def resolve(self, alias_or_version: str, name: str) -> Any:
        if self.is_down:
            raise RegistryUnavailable("no answer")
        assert alias_or_version in ("champion", "stable")
        assert name == "tollgate"
        return SimpleNamespace(version=self.champion)

    def load(self, _: str, version: str, __: str, keep: Callable[[Path], None]) -> Any:
        self.loads.append(version)
        if self.is_down:
            raise RegistryUnavailable("no answer")
        if version in self.broken:
            raise BundleRefused(f"version {version} is damaged")
        keep(self.files)
        model = Model(int(version) / 100)
        return SimpleNamespace(lr=model, xgb=model, warm=lambda: None), SimpleNamespace(version=version)


@dataclass
class Replica:
    """A handle to one model replica, which holds what it is told to."""

    problem: str = ""
    held: list[str] = field(default_factory=list)

    @property
    def hold(self) -> Any:
        async def hold(_: str, version: str) -> str:
            self.held.append(version)
            return self.problem

        return SimpleNamespace(remote=hold)


def bundles_of(registry: FakeRegistry, address: str = "nowhere") -> ServedBundles:
    bundles = ServedBundles(address)
    bundles._registry = registry  # type: ignore[assignment]
    return bundles
