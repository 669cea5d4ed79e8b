"""Backfill: load history into the online store, so that a service goes live with full windows.

Running it twice counts nothing twice, because of three things in the store:

* the *mark* of a backfill, the transaction that it loaded last: the next one goes on after it. The mark is
  written after each batch, and lives as long as a silent event log does (``LOG_TTL_S``, 34 days);
* the event log of each customer: of a batch that was counted before its mark was written, and of what the live
  service counted, a transaction that its customer's log still holds (32 days, 4,096 events) is not counted again;
* one key a labelled transaction, with the verdict that stands: a label is counted once.

The limit: a transaction older than that which came into the store *without* a backfill (live, or by the
backfill of a history with another first row) is counted again at its merchant. Then clear, and load anew.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa  # type: ignore[import-untyped]
import redis
import redis.exceptions

from features.errors import OnlineStoreUnavailable
from features.history import history_to_batch
from features.layout import LOG_TTL_S
from features.online import OnlineStore, key_prefix
from features.store_address import public_address
from features.transaction import transaction_hash
from training.arrivals import Arrivals, milliseconds
from training.fraud_labels import FraudLabels
from training.progress import progress_bar

BATCH_ROWS: Final = 512
"""Rows a script call: it keeps the store from its other clients for some 5 ms."""
TIMEOUT_S: Final = 30.0
"""Bound on connecting and on each answer: a store that loads its append-only file may take its time."""


@dataclass(frozen=True, slots=True)
class BackfillReport:
    """What a backfill did.

    Attributes:
        until: the store is now as it would be at this moment.
        loaded: rows sent to the store. Of those it may have known some, which it did not count again.
        too_old: rows so old that no window reaches them any more, left out.
        already_loaded: rows that an earlier backfill loaded, left out.
        labels: fraud labels that were counted now.
        cleared: keys deleted before the start.
        duration_s: how long it took, in seconds.
    """

    until: datetime
    loaded: int
    too_old: int
    already_loaded: int
    labels: int
    cleared: int
    duration_s: float

    def __rich__(self) -> str:
        """Return the report in sentences."""
        cleared = f"Cleared {self.cleared:,} keys. " if self.cleared else ""
        return (
            f"{cleared}Loaded {self.loaded:,} transactions and {self.labels:,} fraud labels into the online store,"
            f" as of {self.until:%Y-%m-%d %H:%M} UTC, in {self.duration_s:.1f} s."
            f" Left out: {self.too_old:,} older than any window reaches, {self.already_loaded:,} loaded before."
        )


def backfill(
    history: Path,
    *,
    redis_url: str,
    until: datetime | None = None,
    since: datetime | None = None,
    clear: bool = False,
    show_progress: bool = True,
) -> BackfillReport:
    """Load the history before ``until`` into the online store, with the fraud labels known by then.

    Of a whole history labels that became known after its last transaction are loaded, too, until now.

    Args:
        history: a history folder.
        redis_url: the online store.
        until: the moment at which the store shall stand; UTC without a time zone; None: the end of the history.
            Rows that arrived after the first one at or after it are not loaded.
        since: leave out what arrived before the first row at or after it; None: load all that can matter.
        clear: first delete every key of these feature definitions, and no other.
        show_progress: draw a progress bar on stderr.

    Raises:
        InvalidHistory: the history cannot be read, or is empty.
        OnlineStoreUnavailable: the store did not answer; running it again is safe.
    """
    began = time.perf_counter()
    arrivals = Arrivals.of(history)
    with open_store(redis_url) as (store, client):
        cleared = store.clear() if clear else 0
        end = until or arrivals.end
        known_by = until or max(end, datetime.now(UTC))
        report = load(store, client, arrivals, end, since, known_by=known_by, show_progress=show_progress)
    return replace(report, cleared=cleared, duration_s=time.perf_counter() - began)


def load(
    store: OnlineStore,
    client: "redis.Redis",
    arrivals: Arrivals,
    until: datetime,
    since: datetime | None = None,
    *,
    known_by: datetime | None = None,
    show_progress: bool,
) -> BackfillReport:
    """Load arrivals into an open store; see :func:`backfill`.

    Args:
        known_by: labels that became known until then are loaded; None: ``until``.
    """
    began = time.perf_counter()
    oldest, stop = arrivals.first_that_counts(until), arrivals.first_at(until)
    start = oldest if since is None else max(oldest, arrivals.first_at(since))
    table = arrivals.rows(start, stop)
    mark = BackfillMark(client, arrivals)
    at = mark.resume(table)
    append(store, table.slice(at), mark, show_progress=show_progress)
    labels = labels_known(table, known_by or until).apply(store)
    return BackfillReport(until, len(table) - at, oldest, at, labels, 0, time.perf_counter() - began)


@contextmanager
def open_store(redis_url: str) -> Iterator[tuple[OnlineStore, "redis.Redis"]]:
    """Yield the store at an address, and its client; what Redis raises becomes OnlineStoreUnavailable.

    Raises:
        OnlineStoreUnavailable: the address is none, or nothing answers there.
    """
    try:
        client = redis.Redis.from_url(redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
    except ValueError as error:
        raise OnlineStoreUnavailable(f"{public_address(redis_url)!r} is no address of a store: {error}") from error
    with client:
        try:
            client.ping()
            yield OnlineStore(client), client
        except redis.exceptions.RedisError as error:
            raise OnlineStoreUnavailable(f"the online store did not answer: {error}") from error


class BackfillMark:
    """Remembers in the store which transaction of a history was loaded last.

    Args:
        client: of the store.
        arrivals: the history; its first row is what it is recognised by, so it may grow at its end.
    """

    def __init__(self, client: "redis.Redis", arrivals: Arrivals) -> None:
        self._client = client
        first = arrivals.rows(0, 1).column("transaction_id")[0].as_py()
        self._key = key_prefix() + b"b:%016x" % transaction_hash(first)

    def resume(self, table: pa.Table) -> int:
        """Return the row of a table after the marked one; 0 when the mark is not in it."""
        marked = self._client.get(self._key)
        if not isinstance(marked, bytes):
            return 0
        return int(table.column("transaction_id").index(marked.decode()).as_py()) + 1

    def set(self, transaction_id: str) -> None:
        """Remember a transaction, all before it being loaded."""
        self._client.set(self._key, transaction_id.encode(), ex=LOG_TTL_S)


def append(store: OnlineStore, table: pa.Table, mark: BackfillMark, *, show_progress: bool) -> None:
    """Count the rows of a table, in its order, without reading their past."""
    with progress_bar(show=show_progress) as progress:
        task = progress.add_task("Loading history", total=len(table))
        for at in range(0, len(table), BATCH_ROWS):
            batch = history_to_batch(table.slice(at, BATCH_ROWS))
            store.append(batch)
            mark.set(batch.transaction_id[-1])
            progress.advance(task, len(batch))


def labels_known(table: pa.Table, until: datetime) -> FraudLabels:
    """Return the fraud labels of a table that are known at ``until``."""
    labels = FraudLabels.of(table)
    return labels.take(labels.known_ms <= milliseconds(until))
