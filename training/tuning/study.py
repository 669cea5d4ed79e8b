"""The folder of a search: what was asked, and each outcome as it came, so that a killed search goes on.

study.json       what was asked; another search may not go on here
outcomes.jsonl   one outcome a line, in the order in which fits ended
rows/            features, computed once
best.json        the parameters that won, written at the end
tuning.json      all trials, written at the end
"""

import os
import shutil
import uuid
from pathlib import Path
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from features.faults import first_fault
from training.tuning.errors import TuningRefused
from training.tuning.trial import FoldOutcome

STUDY_FILE: Final = "study.json"
OUTCOMES_FILE: Final = "outcomes.jsonl"
ROWS_FOLDER: Final = "rows"
BEST_FILE: Final = "best.json"
RESULT_FILE: Final = "tuning.json"


LABELS: Final = "those that stood as the test began"
"""Which verdicts trials learn. Earlier releases learned those that the history has now, and wrote nothing here."""


class StudySettings(BaseModel):
    """What decides the result of a search, beside the code.

    Attributes:
        data_sha256: version of the history; fingerprint: of the feature definitions.
        folds: name to the periods of each test, in words; space: name to range or choices.
        labels: which verdicts the trials learn.
        defaults: parameters of the first trial.
        score, metric: of the objective.
        metric_settings: what metrics depend on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_sha256: str
    fingerprint: str
    protocol: str
    folds: dict[str, str]
    labels: str
    space: dict[str, Any]
    defaults: dict[str, Any]
    trials: int
    reduction: int
    seed: int
    score: str
    metric: str
    metric_settings: dict[str, Any]

    def differences(self, other: Self) -> list[str]:
        """Return the names of the fields that differ."""
        mine, theirs = self.model_dump(mode="json"), other.model_dump(mode="json")
        return [name for name in mine if mine[name] != theirs[name]]


class _StudyFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    settings: StudySettings


class Study:
    """A search in a folder: opened, gone on with, or begun.

    Args:
        folder: of the search; one process at a time may have it open.
        study_id: tells this search from others in MLflow.
        outcomes: (trial, fold name) to outcome, of all fits that have ended.
    """

    def __init__(self, folder: Path, study_id: str, outcomes: dict[tuple[int, str], FoldOutcome]) -> None:
        self.folder = folder
        self.id = study_id
        self._outcomes = outcomes

    @classmethod
    def open(cls, folder: Path, settings: StudySettings, *, restart: bool) -> Self:
        """Return the study in a folder, begun if there is none.

        Args:
            restart: forget what is there. Features are kept where they are of the same data.

        Raises:
            TuningRefused: the folder holds another search, or one that cannot be read.
        """
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / STUDY_FILE
        there = _found(file, restart=restart)
        differences = there.settings.differences(settings) if there else []
        if there is None or restart:
            if there is None or set(differences) & {"data_sha256", "fingerprint", "folds"}:
                shutil.rmtree(folder / ROWS_FOLDER, ignore_errors=True)
            for name in (OUTCOMES_FILE, BEST_FILE, RESULT_FILE):
                (folder / name).unlink(missing_ok=True)
            begun = _StudyFile(id=uuid.uuid4().hex, settings=settings)
            write_at_once(file, begun.model_dump_json(indent=1))
            return cls(folder, begun.id, {})
        if differences:
            raise TuningRefused(
                f"{folder} holds a search with other settings ({', '.join(differences)}). Choose another folder"
                " with --out, or begin anew with --restart."
            )
        return cls(folder, there.id, _read(folder / OUTCOMES_FILE))

    @property
    def rows(self) -> Path:
        """The folder of the features."""
        return self.folder / ROWS_FOLDER

    def outcome(self, trial: int, fold: str) -> FoldOutcome | None:
        """Return the outcome of a trial on a fold; None: that fit has not ended."""
        return self._outcomes.get((trial, fold))

    def keep(self, outcome: FoldOutcome) -> None:
        """Add an outcome, on the disk when this returns."""
        with (self.folder / OUTCOMES_FILE).open("a", encoding="utf-8") as file:
            file.write(outcome.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._outcomes[outcome.trial, outcome.fold] = outcome


def _found(file: Path, *, restart: bool) -> _StudyFile | None:
    """Return what a search that was begun says of itself; None where there is none, or it may be forgotten."""
    try:
        return _StudyFile.model_validate_json(file.read_bytes()) if file.is_file() else None
    except ValidationError as error:
        if restart:
            return None
        raise TuningRefused(
            f"{file} cannot be read, as that of another release: {first_fault(error)}. Choose another folder"
            " with --out, or begin anew with --restart."
        ) from error


def write_at_once(file: Path, text: str) -> None:
    """Write a file so that nobody ever finds a part of it."""
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, file)


def _read(file: Path) -> dict[tuple[int, str], FoldOutcome]:
    """Return the outcomes of a file. A last line without an end is of a search that was killed: it is cut off."""
    if not file.is_file():
        return {}
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(file, len(whole))
    try:
        found = [FoldOutcome.model_validate_json(line) for line in whole.splitlines()]
    except ValidationError as error:
        raise TuningRefused(f"{file} cannot be read: {first_fault(error)}. Begin anew with --restart.") from error
    return {(outcome.trial, outcome.fold): outcome for outcome in found}
