"""Protocols as data: which days train, which are left out until their labels are known, which are judged.

::

    validation | training | gap | test            validation: before
      training | validation | gap | test          validation: end

A protocol is a few lines of YAML; ``protocols.yaml`` holds those that come with Tollgate. Applied to the days of a
history it becomes *folds*, periods of whole UTC days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from features.definitions import DAY_MS, LABEL_DELAY_MS
from features.faults import first_fault
from features.yaml_text import parse_yaml
from training.bundle import Period
from training.evaluation.errors import EvaluationRefused
from training.split import MIN_FRAUDS, WARM_UP_DAYS, WARM_UP_SHARE, DayCounts, Split, count_part

LABEL_DELAY_DAYS: Final = LABEL_DELAY_MS // DAY_MS

_T = TypeVar("_T")
_Days = Annotated[int, Field(ge=1, le=3650)]


class Published(BaseModel):
    """What was published for a protocol, to be held against what is measured.

    Attributes:
        mapping: of the published data; with it, payments of amount 0 that ingestion set aside are read back for
            the published features (:mod:`training.evaluation.set_aside`).
        train_rows, train_frauds, test_rows, test_frauds: sizes.
        metrics: score to metric to value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mapping: str
    train_rows: int
    train_frauds: int
    test_rows: int
    test_frauds: int
    metrics: Mapping[str, Mapping[str, float]]


class Protocol(BaseModel):
    """How models are trained and judged in time.

    Attributes:
        title, source: what it is, and where it was published.
        test_since: the first day of each test period; empty: ``folds`` consecutive ones at the end of a history,
            less the last ``leave_out`` of them.
        test_days, gap_days: length of a test period, and of the gap before it in which labels become known.
        train_days: days of training before the gap; None: all, after the warm-up of the windows.
        validation: where the days lie on which rounds and the like are chosen: ``before`` those of training, or
            at their ``end``, of which they are then taken away.
        validation_days: how many.
        remove_known: leave out of the test every customer already known as defrauded: by a fraud in the
            ``known_days`` before the gap, or by one that has become known since (on day d, those of day d - 8 and
            before; handbook, chapter 3). Their cards are blocked by then, so no model is needed for them.
        known_days: see ``remove_known``; the training week of the handbook.
        held_back: its tests are what is reported, and nothing may be chosen on them or on later days
            (:mod:`training.tuning.allowed_folds`).
        published: what others measured with it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field("", max_length=200)
    source: str = Field("", max_length=500)
    test_since: tuple[Annotated[date, Field(ge=date(2000, 1, 1), lt=date(2100, 1, 1))], ...] = ()
    folds: _Days = 1
    leave_out: int = Field(0, ge=0, le=365)
    test_days: _Days = 7
    gap_days: int = Field(LABEL_DELAY_DAYS, ge=LABEL_DELAY_DAYS, le=365)
    train_days: _Days | None = 7
    validation: Literal["before", "end"] = "before"
    validation_days: _Days = 7
    remove_known: bool = True
    known_days: _Days = 7
    held_back: bool = False
    published: Published | None = None

    @model_validator(mode="after")
    def _enough_days(self) -> Self:
        if self.validation == "end" and self.train_days is not None and self.validation_days >= self.train_days:
            raise ValueError(
                f"validation takes {self.validation_days} of {self.train_days} days of training: none are left"
            )
        return self


@dataclass(frozen=True, slots=True)
class Fold:
    """One training and one test of a protocol.

    Attributes:
        name: the first day of the test.
        train, validation, test: the periods, [since, until) each.
        known_since: frauds from here on make a customer known as defrauded; None: nobody is left out.
    """

    name: str
    train: Period
    validation: Period
    test: Period
    known_since: datetime | None

    @property
    def whole(self) -> Period:
        """The days that training and judging need."""
        return spanning([self.train, self.validation, self.judging])

    @property
    def judging(self) -> Period:
        """The days that judging needs: the test, and those whose frauds make a customer known."""
        return Period(since=self.known_since or self.test.since, until=self.test.until)


def spanning(periods: Sequence[Period]) -> Period:
    """Return the time from the beginning of the first period to the end of the last."""
    return Period(since=min(p.since for p in periods), until=max(p.until for p in periods))


def load_protocol(name_or_path: str) -> Protocol:
    """Return the protocol of a name that comes with Tollgate, or the one in a YAML file.

    Raises:
        EvaluationRefused: there is none, or it is not well-formed; says what is wrong.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise EvaluationRefused(f"There is no protocol file {path}.")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise EvaluationRefused(f"{path} cannot be read: {error}.") from error
        return _parsed(text, TypeAdapter(Protocol), str(path))
    known = builtin_protocols()
    if name_or_path not in known:
        raise EvaluationRefused(
            f"There is no protocol {name_or_path!r}. Known are {', '.join(known)}; or give a YAML file."
        )
    return known[name_or_path]


def builtin_protocols() -> Mapping[str, Protocol]:
    """Return name to protocol of those that come with Tollgate."""
    text = resources.files("training.evaluation").joinpath("protocols.yaml").read_text(encoding="utf-8")
    return _parsed(text, TypeAdapter(dict[str, Protocol]), "protocols.yaml")


def folds_of(protocol: Protocol, days: DayCounts) -> tuple[Fold, ...]:
    """Return the folds of a protocol on a history, in order of time.

    Args:
        days: what each day of the history holds (:func:`training.split.count_days`).

    Raises:
        EvaluationRefused: a period reaches outside the history, or holds too few frauds or other payments.
    """
    folds = tuple(_fold(protocol, days, since) for since in test_starts(protocol, days))
    for fold in folds:
        for part in ("train", "validation", "test"):
            check_part(days, getattr(fold, part), f"the {part} period of test {fold.name}")
    return folds


def fold_of(protocol: Protocol, days: DayCounts) -> Fold:
    """Return the fold of a protocol that has one.

    Raises:
        EvaluationRefused: it has several; or as :func:`folds_of`.
    """
    folds = folds_of(protocol, days)
    if len(folds) > 1:
        raise EvaluationRefused(f"The protocol has {len(folds)} tests; here it needs a single one.")
    return folds[0]


def split_of(fold: Fold, days: DayCounts) -> Split:
    """Return the parts of a history that a fold divides it into."""
    learned = spanning([fold.train, fold.validation])
    return Split(
        warm_up=Period(since=_midnight(days.first), until=learned.since),
        train=fold.train,
        validation=fold.validation,
        gap=Period(since=learned.until, until=fold.test.since),
        test=fold.test,
    )


def test_starts(protocol: Protocol, days: DayCounts) -> list[datetime]:
    """Return when each test of a protocol on a history begins, in order of time; not all need be within it."""
    if protocol.test_since:
        return [_midnight(day) for day in sorted(protocol.test_since)]
    end = days.labelled.stop - protocol.leave_out * protocol.test_days
    return [_midnight(days.first, end - protocol.test_days * back) for back in range(protocol.folds, 0, -1)]


def check_part(days: DayCounts, period: Period, words: str) -> None:
    """Check that a period lies in a history and holds both classes.

    Raises:
        EvaluationRefused: it does not; says what the history holds.
    """
    first, end = _midnight(days.first), _midnight(days.first, len(days.rows))
    asked = f"{words}, {period.since:%Y-%m-%d} to {period.until - timedelta(days=1):%Y-%m-%d},"
    if period.since < first or period.until > end or period.since >= period.until:
        raise EvaluationRefused(
            f"{_capital(asked)} is not within the history, which goes from {first:%Y-%m-%d} to"
            f" {end - timedelta(days=1):%Y-%m-%d}."
        )
    part = count_part(days, period)
    if part.frauds < MIN_FRAUDS or part.labelled - part.frauds < MIN_FRAUDS:
        raise EvaluationRefused(
            f"{_capital(asked)} has {part.frauds:,} frauds among {part.labelled:,} labelled payments"
            f" ({part.unlabelled:,} have no label); {MIN_FRAUDS} of each class are needed."
        )


def _fold(protocol: Protocol, days: DayCounts, test_since: datetime) -> Fold:
    gap_since = test_since - timedelta(days=protocol.gap_days)
    if protocol.train_days is None:
        warm_up = min(WARM_UP_DAYS, int(WARM_UP_SHARE * len(days.rows)))
        since = _midnight(days.first, warm_up)
    else:
        since = gap_since - timedelta(days=protocol.train_days)
    length = timedelta(days=protocol.validation_days)
    if protocol.validation == "before":
        train = (since, gap_since)
        validation = (since - length, since)
    else:
        train = (since, gap_since - length)
        validation = (gap_since - length, gap_since)
    return Fold(
        name=f"{test_since:%Y-%m-%d}",
        train=Period(since=train[0], until=train[1]),
        validation=Period(since=validation[0], until=validation[1]),
        test=Period(since=test_since, until=test_since + timedelta(days=protocol.test_days)),
        known_since=gap_since - timedelta(days=protocol.known_days) if protocol.remove_known else None,
    )


def _parsed(text: str, form: TypeAdapter[_T], where: str) -> _T:
    try:
        return form.validate_python(parse_yaml(text))
    except yaml.YAMLError as error:
        raise EvaluationRefused(f"{where} is not YAML: {error}") from error
    except ValidationError as error:
        raise EvaluationRefused(f"{where}: {first_fault(error)}.") from error


def _midnight(day: date, days: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=days)


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]
