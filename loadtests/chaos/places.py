"""Where a service is asked, and on whose disks its decisions may wait: on one machine, or on several hosts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cluster.settings import ClusterSettings


@dataclass(frozen=True, slots=True)
class Places:
    """What a trial has to know of the machines of a service.

    Attributes:
        urls: that clients may ask, any of them.
        data: folders of decisions that wait for the store, one a machine.
        headers: of each request beside the usual ones, such as an API key.
    """

    urls: tuple[str, ...]
    data: tuple[Path, ...]
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: ClusterSettings) -> Self:
        """Return those of a stack on this machine."""
        return cls((settings.http_url,), (settings.data,))
