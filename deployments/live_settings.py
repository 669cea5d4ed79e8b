"""The ``user_config`` of a replica: taken when it is valid, refused with a reason when it is not."""

import logging
from typing import Any, Final, Generic, TypeVar

from pydantic import ValidationError

from deployments.settings import Settings
from features.faults import all_faults

logger = logging.getLogger("ray.serve")

NOT_TAKEN: Final = "the new user_config was not taken, the old one stays"
"""How the problem of a replica begins that was given settings it cannot use."""

S = TypeVar("S", bound=Settings)


class LiveSettings(Generic[S]):
    """Holds the settings in force. A typing error in a deployed file must not stop a running service.

    Args:
        kind: the settings model.
    """

    def __init__(self, kind: type[S]) -> None:
        self._kind = kind
        self._value: S | None = None
        self.problem = ""

    @property
    def value(self) -> S:
        """The settings in force; Serve gives a replica its first ones before any request."""
        assert self._value is not None
        return self._value

    def take(self, user_config: dict[str, Any]) -> bool:
        """Take new settings; return whether they were valid. When they were not, the old ones stay.

        Raises:
            ValidationError: the first settings are not valid, so there is nothing to go on with.
        """
        try:
            self._value = self._kind.model_validate(user_config)
        except ValidationError as error:
            self.refuse(all_faults(error))
            if self._value is None:
                raise
            return False
        self.problem = ""
        return True

    def refuse(self, reason: str) -> None:
        """Remember, and log, why new settings were not taken."""
        self.problem = f"{NOT_TAKEN}: {reason}"
        logger.error(self.problem)
