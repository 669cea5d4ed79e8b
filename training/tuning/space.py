"""The space of a search as data: which parameters of a fit, and from where their values are drawn."""

import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from features.faults import faults, first_fault
from features.yaml_text import parse_yaml
from training.fit_parameters import FitParameters
from training.tuning.errors import TuningRefused


class Range(BaseModel):
    """Numbers from ``low`` to ``high``, both included.

    Attributes:
        scale: "log" draws each factor alike, "linear" each difference.
        whole: whole numbers alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"
    whole: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        if self.scale == "log" and self.low <= 0:
            raise ValueError("a logarithmic range must begin above 0")
        return self

    def examples(self) -> tuple[float | int, ...]:
        """Return values that a fit must admit: the ends, and one between that is not whole if it need not be."""
        if self.whole:
            return int(self.low), int(self.high)
        return self.low, self.high, self.low + (self.high - self.low) / 3**0.5

    def draw(self, random: np.random.Generator) -> float | int:
        """Return a number, with four digits: more would tell values apart that are alike."""
        if self.whole:
            return int(random.integers(math.ceil(self.low), math.floor(self.high), endpoint=True))
        if self.scale == "log":
            drawn = math.exp(random.uniform(math.log(self.low), math.log(self.high)))
        else:
            drawn = random.uniform(self.low, self.high)
        return min(max(float(f"{drawn:.4g}"), self.low), self.high)


class Choices(BaseModel):
    """Some values, each as likely."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    choices: tuple[float | int, ...] = Field(min_length=1)

    def examples(self) -> tuple[float | int, ...]:
        """Return values that a fit must admit: all of them."""
        return self.choices

    def draw(self, random: np.random.Generator) -> float | int:
        """Return one of the values."""
        return self.choices[int(random.integers(len(self.choices)))]


Space = Mapping[str, Range | Choices]
"""Dotted name of a parameter to where its values lie."""
_FORM: TypeAdapter[dict[str, Range | Choices]] = TypeAdapter(dict[str, Range | Choices])


def load_space(file: Path | None = None) -> Space:
    """Return the space in a YAML file; None: the one that comes with Tollgate.

    Raises:
        TuningRefused: there is no such file, it names no parameter of a fit, or allows values that a fit refuses.
    """
    if file is None:
        text = resources.files("training.tuning").joinpath("space.yaml").read_text(encoding="utf-8")
    elif file.is_file():
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TuningRefused(f"{file} cannot be read: {error}.") from error
    else:
        raise TuningRefused(f"There is no file {file}.")
    name = file or "space.yaml"
    try:
        space = _FORM.validate_python(parse_yaml(text))
    except yaml.YAMLError as error:
        raise TuningRefused(f"{name} is not YAML: {error}") from error
    except ValidationError as error:
        raise TuningRefused(f"{name}: {first_fault(error)}.") from error
    if not space:
        raise TuningRefused(f"{name} names no parameter.")
    for parameter, values in space.items():
        for value in values.examples():
            _check(parameter, value, str(name))
    return space


def draw_trials(space: Space, trials: int, seed: int, defaults: FitParameters) -> list[FitParameters]:
    """Return the parameters of each trial, the defaults first: the others must beat them on the same payments."""
    random = np.random.default_rng(seed)
    drawn = [
        with_values(defaults, {name: values.draw(random) for name, values in space.items()})
        for _ in range(trials - 1)
    ]
    return [defaults, *drawn]


def with_values(parameters: FitParameters, values: Mapping[str, Any]) -> FitParameters:
    """Return parameters of which some, by their dotted names, have other values.

    >>> with_values(FitParameters(), {"l2": 2.0, "boosting.eta": 0.2}).boosting.eta
    0.2

    Raises:
        ValidationError: a name is unknown, or a value not allowed.
    """
    tree = parameters.model_dump()
    for name, value in values.items():
        *path, last = name.split(".")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[last] = value
    return FitParameters.model_validate(tree)


def _check(name: str, value: float, where: str) -> None:
    try:
        with_values(FitParameters(), {name: value})
    except ValidationError as error:
        raise TuningRefused(f"{where}: {name}: {value:g}: {faults(error)[0].message}.") from error
