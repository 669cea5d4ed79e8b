"""What pydantic found wrong, in words: where and what, but never what stood there, which may be a secret."""

from typing import NamedTuple

from pydantic import ValidationError


class Fault(NamedTuple):
    """One thing that is wrong.

    Attributes:
        place: the keys and positions on the way to it, joined by dots; "" where the whole is wrong.
        message: what was expected.
    """

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


def faults(error: ValidationError) -> list[Fault]:
    """Return everything that is wrong, at least one fault, in pydantic's order."""
    return [
        Fault(".".join(map(str, detail["loc"])), _message(detail["type"], detail["msg"]))
        # Inputs are not left out of the words alone: they are not even asked for.
        for detail in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def first_fault(error: ValidationError) -> str:
    """Return the first thing that is wrong, after its place."""
    return str(faults(error)[0])


def all_faults(error: ValidationError) -> str:
    """Return everything that is wrong, each after its place, separated by semicolons.

    >>> from pydantic import BaseModel
    >>> class Key(BaseModel):
    ...     id: str
    ...     scopes: list[int]
    >>> try:
    ...     Key.model_validate({"id": 7, "scopes": [1, "two"]})
    ... except ValidationError as error:
    ...     all_faults(error).split("; ")[0]
    'id: Input should be a valid string'
    """
    return "; ".join(map(str, faults(error)))


def _message(kind: str, message: str) -> str:
    # Pydantic's own words for a ValueError that a validator of ours raised.
    return message.removeprefix("Value error, ") if kind == "value_error" else message
