"""Replay: send a slice of history through the live service, and hold its answers against the offline path.

The store is brought to where it stood when the slice began (:mod:`training.backfill`). Then the slice goes to
the service in order of arrival, and each fraud label to the store at the moment at which it becomes known. In
the end every feature must be equal to that of the offline matrix, and every score to that of the same bundle.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from features.definitions import fingerprint
from features.errors import InvalidHistory, TollgateError
from features.offline import offline_matrix
from features.online import OnlineStore
from features.transaction import Int64s
from training.api_key import key_headers
from training.arrivals import Arrivals, milliseconds
from training.backfill import load, open_store
from training.bundle import Bundle, EnsembleWeights
from training.comparison import Comparison
from training.fraud_labels import FraudLabels
from training.progress import progress_bar
from training.registry import CHAMPION, Registry
from training.replay_report import Outcomes, ReplayReport
from training.requests import request_bodies
from training.scoring_client import Answer, Failure, ScoringClient, ServedModel

DEFAULT_URL: Final = "http://127.0.0.1:8000"
TIMEOUT_S: Final = 30.0
MAX_CHUNK: Final = 1000


class ReplayRefused(TollgateError):
    """A replay would prove nothing, as the message says; nothing was sent."""


def replay(
    history: Path,
    *,
    redis_url: str,
    tracking_uri: str,
    url: str = DEFAULT_URL,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
    clear: bool = False,
    single: bool = False,
    chunk: int = 64,
    model_alias: str = CHAMPION,
    show_progress: bool = True,
) -> ReplayReport:
    """Replay what arrived in ``[since, until)`` through the live service, and report every difference.

    Args:
        history: a history folder with labels.
        redis_url: the online store, the one that the service uses.
        tracking_uri: the model registry, the one that the service uses.
        url: the service.
        since: begin with the first arrival whose event time is not before it; UTC without a time zone; None: the
            last day of the history.
        until: end before the first arrival whose event time is not before it; None: the end of the history.
        limit: send at most so many transactions.
        clear: first delete the keys of these feature definitions from the store (and no other). Without it a
            store that holds any is refused, since what it knows would be in the answers.
        single: send each transaction in a request of its own.
        chunk: transactions a request otherwise, 1 to 1,000.
        model_alias: the service must serve the version under this alias (or of this number).
        show_progress: draw progress bars on stderr.

    Raises:
        InvalidHistory: the history cannot be read, the slice is empty, or has no labels.
        ServiceUnavailable: the service does not answer or is not ready.
        ReplayRefused: the store is not empty, the service serves another model or other features, or ``chunk``
            is out of range.
        OnlineStoreUnavailable, RegistryUnavailable, BundleRefused: as their modules say.
    """
    period = Period(since, until, limit)
    with httpx.Client(base_url=url, headers=key_headers(), timeout=TIMEOUT_S) as http:
        replayer = Replayer(ScoringClient(http), Registry(tracking_uri), redis_url, model_alias, show_progress)
        return replayer.run(history, period, clear=clear, chunk=chunk, single=single)


@dataclass(frozen=True, slots=True)
class Period:
    """Which transactions to send; see :func:`replay`."""

    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Replayer:
    """The parts of a stack that a replay talks to."""

    service: ScoringClient
    registry: Registry
    redis_url: str
    model_alias: str = CHAMPION
    show_progress: bool = False

    def run(
        self,
        history: Path,
        period: Period,
        *,
        clear: bool = False,
        chunk: int = 64,
        single: bool = False,
        heard: Callable[[Sequence[Answer | Failure]], None] | None = None,
    ) -> ReplayReport:
        """Replay a period of a history; see :func:`replay`.

        Args:
            heard: is told the results of each request, in order.
        """
        began = time.perf_counter()
        if not 1 <= chunk <= MAX_CHUNK:
            raise ReplayRefused(f"a request carries 1 to {MAX_CHUNK:,} transactions, not {chunk:,}")
        arrivals = Arrivals.of(history)
        since = period.since or _midnight(arrivals.end - timedelta(milliseconds=1))
        piece = _slice(arrivals, since, period.until, period.limit)
        comparison = _comparison(self.service.served_model(), self.registry, self.model_alias)
        with open_store(self.redis_url) as (store, client):
            cleared = _make_room(store, clear=clear)
            backfilled = load(store, client, arrivals, since, show_progress=self.show_progress)
            offline = offline_matrix(piece.known)[piece.first :]
            outcomes = Outcomes(piece.table, comparison, offline)
            self._send(piece, since, store, outcomes, chunk, heard, single=single)
        return outcomes.report(since, backfilled, cleared, time.perf_counter() - began)

    def _send(
        self,
        piece: "_Slice",
        since: datetime,
        store: OnlineStore,
        outcomes: Outcomes,
        chunk: int,
        heard: Callable[[Sequence[Answer | Failure]], None] | None,
        *,
        single: bool,
    ) -> None:
        send = self.service.predict_each if single else self.service.predict_batch
        with progress_bar(show=self.show_progress) as progress:
            task = progress.add_task("Replaying", total=len(piece.table))
            for step in piece.steps(since, chunk):
                step.labels.apply(store)
                rows = piece.table.slice(step.start, step.stop - step.start)
                results = send(request_bodies(rows))
                outcomes.add(step.start, results)
                if heard is not None:
                    heard(results)
                progress.advance(task, len(rows))


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """One request's rows ``[start, stop)``, and the labels that became known since the request before."""

    start: int
    stop: int
    labels: FraudLabels


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    """A slice of history: the rows of ``known`` from ``first`` on; those before are what its windows reach."""

    known: pa.Table
    first: int

    @property
    def table(self) -> pa.Table:
        return self.known.slice(self.first)

    def steps(self, since: datetime, chunk: int) -> Iterator[_Step]:
        """Yield the rows in pieces of at most ``chunk``, cut where a label becomes known."""
        labels, due = self._labels_due(since)
        rows = len(self.table)
        start = applied = 0
        while start < rows:
            known = int(np.searchsorted(due, start, "right"))
            next_due = int(due[known]) if known < len(due) else rows
            stop = min(start + chunk, next_due, rows)
            yield _Step(start, stop, labels.take(np.arange(applied, known)))
            start, applied = stop, known

    def _labels_due(self, since: datetime) -> tuple[FraudLabels, Int64s]:
        """Return the labels that were not known at ``since``, and the row (m,) before which each is applied.

        That is the first row at or after the moment at which it becomes known. The labelled row itself may
        arrive later: a recorded label goes before it, one that the label delay stands for after it.
        """
        labels = FraudLabels.of(self.known)
        # The backfill applied those that were known, of the rows that it loaded.
        labels = labels.take((labels.known_ms > milliseconds(since)) | (labels.row >= self.first))
        clock = np.maximum.accumulate(self.table.column("event_time").cast(pa.int64()).to_numpy())
        due = np.searchsorted(clock, labels.known_ms)
        due = np.where(labels.is_recorded, due, np.maximum(due, labels.row - self.first + 1))
        order = np.argsort(due, kind="stable")
        return labels.take(order), due[order]


def _slice(arrivals: Arrivals, since: datetime, until: datetime | None, limit: int | None) -> _Slice:
    start = arrivals.first_at(since)
    stop = len(arrivals) if until is None else arrivals.first_at(until)
    if limit is not None:
        stop = min(stop, start + limit)
    if start >= stop:
        raise InvalidHistory(f"the history holds no transactions from {since} until {until or 'its end'}")
    oldest = arrivals.first_that_counts(since)
    piece = _Slice(arrivals.rows(oldest, stop), start - oldest)
    if piece.table.column("is_fraud").null_count == len(piece.table):
        raise InvalidHistory(
            f"none of the {len(piece.table):,} transactions from {since} on has a label to judge decisions by"
        )
    return piece


def _comparison(served: ServedModel, registry: Registry, alias: str) -> Comparison:
    if served.fingerprint != fingerprint():
        raise ReplayRefused(
            f"The service computes the feature definitions {served.fingerprint}, this release {fingerprint()}."
            " Replay with the release that is deployed."
        )
    named = registry.resolve(alias, served.name).version
    if named != served.version:
        raise ReplayRefused(
            f"The service serves version {served.version} of {served.name!r}, but {alias!r} is version {named}."
            " Deploy again, so that it takes the version under the alias."
        )

    @cache
    def bundle(version: str) -> Bundle:
        return registry.load(served.name, version, fingerprint())[0]

    bundle(served.version)  # Now rather than after the backfill, if it cannot be had.
    weights = served.policy.weights
    if weights is None:
        return Comparison(bundle, None)
    total = weights.lr + weights.xgb
    return Comparison(bundle, EnsembleWeights(lr=weights.lr / total, xgb=weights.xgb / total))


def _make_room(store: OnlineStore, *, clear: bool) -> int:
    if clear:
        return store.clear()
    if held := store.entities():
        raise ReplayRefused(
            f"The online store holds {held:,} keys of these feature definitions, which would be in the answers."
            " Replay with --clear to delete them first (live history is lost), or use another store."
        )
    return 0


def _midnight(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
