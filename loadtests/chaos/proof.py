"""The proof at the end of a trial: what clients were told is archived once, and each payment is counted once."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis

from cluster.settings import ClusterSettings
from deployments.decision import DECISION_NAMES
from deployments.ledger.archive import Archive
from deployments.ledger.drain import Drain
from deployments.ledger.folders import archive_folder, spool_folder
from deployments.ledger.record import model_version
from deployments.ledger.spool import SUFFIX
from deployments.ledger.stream import LogStream
from features.errors import ClusterError
from loadtests.chaos.asked import WITHOUT_STORE, Asked, Attempt, Told
from loadtests.chaos.client import Client
from loadtests.chaos.payments import Kind, Payment, per, probes

SETTLED_S: Final = 120.0
POLL_S: Final = 0.5
COUNTS: Final[Mapping[Kind, str]] = {
    "customer_id": "count_last_24h",
    "device_id": "device_count_last_24h",
    "merchant_id": "merchant_count_last_24h",
}
"""The feature that says how many payments of each the store has counted; trials take less than a day.

That of merchants is exact here, too: of its window only the far end is snapped, which lies before the trial."""
STORE_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Proof:
    """What a trial did to the record; all empty where nothing was lost.

    Attributes:
        lost: ids whose decision was told and is not in the archive.
        archived_twice: ids that the archive holds more than once.
        otherwise: ids whose archived decision is none that was told; or another than the first that was told,
            where all were made with the store at hand.
        unremembered: ids whose repetition in the end was not known as a duplicate, with the store at hand.
        counted_twice: payments too many in the windows of the store.
        uncounted: payments too few in them.
    """

    lost: list[str] = field(default_factory=list)
    archived_twice: list[str] = field(default_factory=list)
    otherwise: list[str] = field(default_factory=list)
    unremembered: list[str] = field(default_factory=list)
    counted_twice: int = 0
    uncounted: int = 0


def waiting_bytes(data: Path) -> int:
    """Return how many bytes of decisions wait on a machine's disk for the store."""
    total = 0
    for path in spool_folder(data).glob(f"*{SUFFIX}"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue  # Its entries were recorded meanwhile.
    return total


Counted = dict[Kind, dict[str, int]]
"""How many payments of each customer, device and merchant the store has counted."""


async def counted(client: Client, trial: str, sent: list[Payment]) -> Counted:
    """Return how many payments the store has counted, as a later payment of each sees it.

    Raises:
        ClusterError: a probe was not decided, or without history.
    """
    found: Counted = {kind: {} for kind in COUNTS}
    for probe in probes(trial, sent):
        answer = await client.decide(Asked(probe), "?include=features")
        document = {} if answer is None else answer.json()
        if answer is None or document["degraded"]:
            raise ClusterError(f"The probe {probe.transaction_id} was not decided as a whole: {document}")
        for kind, feature in COUNTS.items():
            found[kind][getattr(probe, kind)] = round(document["features"][feature])
    return found


def miscounted(sent: Sequence[Payment], failed: Sequence[Payment], found: Counted) -> tuple[int, int]:
    """Return how many payments the store has too many, and how many too few, of whatever it has most wrong.

    A payment that failed may be counted or not: nobody was told of it.
    """
    wrong = [_miscounted(per(sent, kind), per(failed, kind), found[kind]) for kind in COUNTS]
    return max(over for over, _ in wrong), max(under for _, under in wrong)


def _miscounted(most: Counter[str], unsure: Counter[str], found: Mapping[str, int]) -> tuple[int, int]:
    over = sum(max(0, found[name] - count) for name, count in most.items())
    under = sum(max(0, count - unsure[name] - found[name]) for name, count in most.items())
    return over, under


def drain(settings: ClusterSettings) -> Archive:
    """Move what waits in the store to the archive, as ``tollgate drain`` does, and return the archive."""
    archive = Archive(archive_folder(settings.data))
    with redis.Redis.from_url(settings.redis_url, socket_timeout=STORE_TIMEOUT_S) as client:
        cycle = Drain(LogStream(client), archive)
        while cycle.cycle().entries:
            pass
    return archive


def archived(archive: Archive, trial: str, days: Sequence[str]) -> list[tuple[str, Told]]:
    """Return id and decision of every archived row of a trial."""
    rows: list[tuple[str, Told]] = []
    columns = ["transaction_id", "decision", "probability", "lr_version", "xgb_version"]
    for day in days:
        for table in archive.tables(day):
            found = (row for row in table.select(columns).to_pylist() if row["transaction_id"].startswith(trial))
            rows.extend((row["transaction_id"], told_of(row)) for row in found)
    return rows


def told_of(row: dict[str, Any]) -> Told:
    """Return what a client was told of an archived row."""
    probability = row["probability"]
    return Told(
        DECISION_NAMES[row["decision"]],
        None if probability != probability else probability,  # NaN: no model answered.
        model_version(row["lr_version"], row["xgb_version"]),
    )


def compare(asked: Sequence[Asked], rows: Sequence[tuple[str, Told]], counts: tuple[int, int]) -> Proof:
    """Return what the archive says against what clients were told.

    Args:
        rows: of the archive.
        counts: payments that the store has too many, and too few.
    """
    times = Counter(name for name, _ in rows)
    recorded = dict(rows)
    told = {one.payment.transaction_id: one for one in asked if one.told is not None}
    return Proof(
        lost=[name for name in told if name not in times],
        archived_twice=[name for name, count in times.items() if count > 1],
        otherwise=[name for name, one in told.items() if name in recorded and not _stands(one, recorded[name])],
        unremembered=[name for name, one in told.items() if not _remembered(one.attempts[-1])],
        counted_twice=counts[0],
        uncounted=counts[1],
    )


def _remembered(last: Attempt) -> bool:
    """Return whether the last answer knew of an earlier one, or was given without the store and could not."""
    return last.duplicate or bool(WITHOUT_STORE & set(last.degraded))


def _stands(one: Asked, recorded: Told) -> bool:
    if one.without_store:
        return any(attempt.told == recorded for attempt in one.attempts)
    return one.told == recorded


def settled(folders: Sequence[Path], wait: Callable[[float], None] = time.sleep) -> None:
    """Return once no decision waits on a disk any more.

    Args:
        folders: of data, one a machine.

    Raises:
        ClusterError: some still did after ``SETTLED_S``.
    """
    ends = time.monotonic() + SETTLED_S
    while waiting := {folder: size for folder in folders if (size := waiting_bytes(folder))}:
        if time.monotonic() > ends:
            found = ", ".join(f"{size} bytes in {spool_folder(folder)}" for folder, size in waiting.items())
            raise ClusterError(f"Decisions still wait for the store: {found}.")
        wait(POLL_S)
