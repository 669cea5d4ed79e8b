"""A file of parameters: `tollgate tune` writes it, `train` and `evaluate` take it, and one may be written by hand.

    {"parameters": {"l2": 3.0, "boosting": {"max_depth": 5}}}

What is left out has its default. `tuned` says how they were found, where they were.
"""

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from features.errors import TollgateError
from features.faults import first_fault
from training.fit_parameters import FitParameters


class ParametersRefused(TollgateError):
    """A file of parameters cannot be used; the message names the key."""


class Tuned(BaseModel):
    """How parameters were found.

    Attributes:
        study: its id, a tag of its run in MLflow.
        protocol: its name; tests: their first days; until: the end of the last one.
        objective: "ensemble.average_precision"; value: its mean over the tests; default_value: that of the
            default parameters there.
        trials, seed: of the search.
        data_sha256, feature_fingerprint: what it was made on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    study: str
    protocol: str
    tests: tuple[str, ...]
    until: datetime
    objective: str
    value: float
    default_value: float
    trials: int
    seed: int
    data_sha256: str
    feature_fingerprint: str

    def overlap(self, since: datetime) -> str | None:
        """Return a warning, if the parameters were chosen on days from the first day of a test on; else None."""
        if self.until <= since:
            return None
        return (
            f"These parameters were chosen on tests until {self.until:%Y-%m-%d}, and are judged on a test"
            f" from {since:%Y-%m-%d}: its figures flatter them."
        )


class ParameterFile(BaseModel):
    """Parameters of a fit, and how they were found (None: they were chosen by hand)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parameters: FitParameters = FitParameters()
    tuned: Tuned | None = None

    def origin(self, file: Path) -> dict[str, str]:
        """Return what a run says of where its parameters came from."""
        said = {"parameters_file": file.name}
        if self.tuned is not None:
            said |= {"tuned_study": self.tuned.study, "tuned_until": f"{self.tuned.until:%Y-%m-%d}"}
        return said

    def overlap(self, since: datetime) -> str | None:
        """Return what :meth:`Tuned.overlap` says of these parameters."""
        return None if self.tuned is None else self.tuned.overlap(since)


def load_parameters(file: Path) -> ParameterFile:
    """Return the content of a file of parameters.

    Raises:
        ParametersRefused: there is no such file, it is not JSON, has an unknown key, or a value out of bounds.
    """
    if not file.is_file():
        raise ParametersRefused(f"There is no parameter file {file}.")
    try:
        return ParameterFile.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise ParametersRefused(f"{file}: {first_fault(error)}.") from error


def parameters_from(file: Path | None) -> tuple[ParameterFile, dict[str, str]]:
    """Return the content of a file of parameters and what a run says of it; None: the defaults, and nothing.

    Raises:
        ParametersRefused: as :func:`load_parameters`.
    """
    if file is None:
        return ParameterFile(), {}
    loaded = load_parameters(file)
    return loaded, loaded.origin(file)
