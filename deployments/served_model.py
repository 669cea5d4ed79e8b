"""The model that decides: one version for a whole batch."""

from dataclasses import dataclass

from training.registry import Bundle


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A version that every part can decide by: name, version, and its bundle."""

    name: str
    version: str
    bundle: Bundle

    @property
    def key(self) -> tuple[str, str]:
        """Name and version, as calls for a score name it."""
        return self.name, self.version
