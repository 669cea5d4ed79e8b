"""A trial: a steady load, a fault or a change in the midst of it, and the proof of what became of each payment."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cluster.settings import ClusterSettings
from features.errors import ClusterError
from loadtests.chaos.asked import Asked
from loadtests.chaos.client import Client, Habits
from loadtests.chaos.faults import Fault, Scene
from loadtests.chaos.payments import payments
from loadtests.chaos.places import Places
from loadtests.chaos.proof import Proof, archived, compare, counted, drain, miscounted, settled
from loadtests.chaos.row import Row, row_of

CALM_S: Final = 4.0
"""How long nothing may be impaired until a trial counts as recovered."""
POLL_S: Final = 0.2
RECOVERY_S: Final = 240.0


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial does.

    Attributes:
        name, words: of its row.
        acts: faults, each with the second of the load at which it strikes; one after the other.
        seconds: of load at least; it goes on until the service has recovered.
    """

    name: str
    words: str
    acts: Sequence[tuple[float, Fault]]
    seconds: float


async def run(
    trial: Trial,
    settings: ClusterSettings,
    habits: Habits,
    seed: int,
    say: Callable[[str], None],
    places: Places | None = None,
) -> Row:
    """Run a trial and return its row.

    Args:
        settings: of the stack, or of the head of several hosts.
        places: of the service; None: on this machine alone.

    Raises:
        ClusterError: a fault could not be made or repaired, or the stack did not recover.
    """
    prefix = f"{trial.name}-{uuid.uuid4().hex[:8]}"
    began = datetime.now(UTC)
    source = payments(prefix, seed)
    there = places or Places.of(settings)
    async with Client(there.urls, source, habits, seed, headers=there.headers) as client:
        struck_s = await _under_load(trial, settings, client, say)
        say("the proof")
        proof = await prove(settings, there, client, prefix, began)
    return row_of(trial.name, trial.words, client.asked, struck_s, proof)


async def prove(settings: ClusterSettings, places: Places, client: Client, prefix: str, began: datetime) -> Proof:
    """Return what became of the payments of a client, all of them decided or given up."""
    await asyncio.to_thread(settled, places.data)
    await client.repeat_all()
    sent = [one.payment for one in client.asked]
    failed = [one.payment for one in client.asked if one.told is None]
    over, under = miscounted(sent, failed, await counted(client, prefix, sent))
    archive = await asyncio.to_thread(drain, settings)
    rows = archived(archive, f"{prefix}-", [day for day in archive.days() if day >= began.date().isoformat()])
    return compare(client.asked, rows, (over, under))


async def _under_load(
    trial: Trial, settings: ClusterSettings, client: Client, say: Callable[[str], None]
) -> float:
    """Return when the first fault struck, once the service has recovered and every payment was seen to."""
    loop = asyncio.get_running_loop()
    scene = Scene(settings, lambda count: _send_many(loop, client, count))
    began_s = struck_s = time.monotonic()
    async with _sending(client):
        for number, (at_s, act) in enumerate(trial.acts):
            await asyncio.sleep(max(0.0, began_s + at_s - time.monotonic()))
            if number == 0:
                struck_s = time.monotonic()
            await asyncio.to_thread(act, scene)
        say("waiting for calm")
        await _recovered(client, max(began_s + trial.seconds, time.monotonic() + CALM_S))
    return struck_s


@asynccontextmanager
async def _sending(client: Client) -> AsyncIterator[None]:
    ended = asyncio.Event()
    sending = asyncio.create_task(client.send_until(ended))
    try:
        yield
    finally:
        ended.set()
        await sending
        await client.settle()


def _send_many(loop: asyncio.AbstractEventLoop, client: Client, count: int) -> None:
    for _ in range(count):
        loop.call_soon_threadsafe(client.send)


async def _recovered(client: Client, not_before_s: float) -> None:
    """Return once nothing has been impaired for a while, and not before some time.

    Raises:
        ClusterError: it lasted too long.
    """
    ends = max(time.monotonic(), not_before_s) + RECOVERY_S
    while (now := time.monotonic()) < not_before_s or now - _last_impaired_s(client.asked) < CALM_S:
        if now > ends:
            raise ClusterError(f"The service did not recover within {RECOVERY_S:g} s.")
        await asyncio.sleep(POLL_S)


def _last_impaired_s(asked: Sequence[Asked]) -> float:
    return max((a.ended_s for one in asked for a in one.attempts if a.impaired), default=0.0)
