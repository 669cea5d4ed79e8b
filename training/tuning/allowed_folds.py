"""The folds on which parameters may be chosen: never those that are reported."""

from datetime import UTC, datetime, timedelta

from training.evaluation.protocols import Fold, Protocol, builtin_protocols, folds_of, load_protocol, test_starts
from training.split import DayCounts
from training.tuning.errors import TuningRefused


def tuning_folds(protocol: str, days: DayCounts) -> tuple[Fold, ...]:
    """Return the folds of a protocol for choosing parameters, the latest first.

    They are refused where a test reaches into days that are held back: the tests of every protocol that says so,
    this one and those that come with Tollgate, and all days after them. Who wrote the protocol does not matter.

    Args:
        protocol: a name, or a YAML file.
        days: of the history.

    Raises:
        EvaluationRefused: there is no such protocol, or it does not fit the history.
        TuningRefused: a test is held back.
    """
    asked = load_protocol(protocol)
    folds = folds_of(asked, days)
    held_back = held_back_since(days, asked)
    if held_back is not None:
        spoiled = [fold.name for fold in folds if fold.test.until > held_back]
        if spoiled:
            raise TuningRefused(
                f"The protocol {protocol!r} tests on the week of {', '.join(spoiled)}, but from"
                f" {held_back:%Y-%m-%d} on this history is held back for the figures that are reported: what is"
                " chosen there cannot be judged there. Take a protocol of earlier weeks (`tollgate protocols`)."
            )
    return folds[::-1]


def held_back_since(days: DayCounts, *others: Protocol) -> datetime | None:
    """Return the first day of a history that a protocol holds back; None: there is none.

    Args:
        others: protocols beside those that come with Tollgate.
    """
    first = datetime.combine(days.first, datetime.min.time(), tzinfo=UTC)
    end = first + timedelta(days=len(days.rows))
    starts = [
        start
        for protocol in (*builtin_protocols().values(), *others)
        if protocol.held_back
        for start in test_starts(protocol, days)
        if first <= start < end
    ]
    return min(starts, default=None)
