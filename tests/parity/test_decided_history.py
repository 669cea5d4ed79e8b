"""What was decided gives a history whose features are those that were logged, bit for bit, labels included."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import redis
from hypothesis import given

from cluster.retraining.decided_history import decided_history
from deployments.ledger.archive import Archive
from deployments.ledger.drain import Drain
from deployments.ledger.entry_id import EntryId
from deployments.ledger.kinds import DECISIONS, LABELS
from deployments.ledger.record import Entry
from deployments.ledger.stream import LogStream
from features.formulas import Matrix, feature_matrix
from features.history import history_to_batch
from features.label import LABEL_LOG_KEY
from features.offline import offline_matrix
from features.online import OnlineStore
from tests.parity.histories import MONDAY, history_table, labelled_histories
from tests.parity.oracle import DAY, Event
from tests.parity.test_online import SIZES, batches, give
from tests.unit.deployments.ledger.entries import decided, stored
from training.history_files import read_days

LATER_MS = MONDAY + 1000 * DAY
"""When everything is decided and known, by the clock of the store; the payments say other times."""


@given(labelled_histories(max_size=24), SIZES)
def test_features_of_the_history_are_those_that_were_logged(
    valkey_socket: str, store: OnlineStore, events: list[Event], sizes: list[int]
) -> None:
    arrivals = [replace(e, fraud=False, labels=e.labels or ()) for e in [*events, Event("last", MONDAY, 1, "zoe")]]
    with TemporaryDirectory() as folder, redis.Redis(unix_socket_path=valkey_socket) as client:
        store.clear()
        client.delete(LABEL_LOG_KEY)
        archive = Archive(Path(folder) / "archive")
        logged = decide(store, archive, arrivals, sizes)
        while Drain(LogStream(client, LABELS.key), archive.labels).cycle().rows:
            pass
        out = Path(folder) / "history"
        report = decided_history(
            archive,
            out,
            genuine_after_days=0,
            labels_since=date(2000, 1, 1),
            show_progress=False,
            clock=lambda: LATER_MS / 1000,
        )
        history = read_days(out)
    assert (report.rows, report.tally.labels, report.tally.repeated) == (len(arrivals), report.all_labels, 0)
    row = {event.id: at for at, event in enumerate(arrivals)}
    order = [row[name] for name in history.column("transaction_id").to_pylist()]
    assert history.column("arrival").to_pylist() == order
    np.testing.assert_array_equal(offline_matrix(history), logged[order])
    assert history.column("is_fraud").to_pylist() == [stands(arrivals[at]) for at in order]


def stands(event: Event) -> int:
    """Return the verdict of an event that was known last."""
    verdict = False
    for _, fraud in event.labels or ():
        verdict = fraud
    return int(verdict)


def decide(store: OnlineStore, archive: Archive, arrivals: Sequence[Event], sizes: list[int]) -> Matrix:
    """Give micro-batches to the store and to the archive, and labels as they become known; return the features."""
    clock = 0
    pending = [(known, event, fraud) for event in arrivals for known, fraud in event.labels or ()]
    seen: list[Matrix] = []
    for number, events in enumerate(batches(arrivals, sizes)):
        clock = max(clock, *(event.time for event in events))
        give(store, in_time([label for label in pending if label[0] < clock]), "analyst")
        pending = [label for label in pending if label[0] >= clock]
        batch = history_to_batch(history_table(events))
        seen.append(feature_matrix(store.observe(batch)))
        usual = decided(batch)
        entry, name = (
            Entry(usual.header, batch, seen[-1], usual.decisions),
            EntryId(LATER_MS + number // 3, number % 3),
        )
        assert archive.write(DECISIONS.rows_of([stored(name, entry)]), name, name, {})
    give(store, in_time(pending), "analyst")
    return np.vstack(seen)


def in_time(labels: Sequence[tuple[int, Event, bool]]) -> list[tuple[int, Event, bool]]:
    """Return labels in the order in which they became known."""
    return sorted(labels, key=lambda label: label[0])
