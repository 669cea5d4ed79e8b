"""The decision log as a deployment: it drains decisions and labels in the background, and finds decisions."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from deployments.garbage import collect_seldom
from deployments.ledger.archive import Archive
from deployments.ledger.compaction import Compaction
from deployments.ledger.drain import Drain
from deployments.ledger.folders import archive_folder, data_folder
from deployments.ledger.kinds import LABELS
from deployments.ledger.search import Search
from deployments.ledger.stream import LogStream, log_client
from deployments.live_settings import LiveSettings
from deployments.metrics import LogMetrics
from deployments.settings import LogSettings
from deployments.status import Status, Uptime
from features.errors import ForeignLog, OnlineStoreUnavailable
from features.store_address import store_url

Result = TypeVar("Result")
Count = Callable[[int], None]
NICENESS: Final = 5
"""Of a drain that gives way: a third of the time of another, where both want a core. Less, and a log that is
filled at the peak rate would not be emptied meanwhile."""
REST: Final = 3.0
"""Times as long as it worked that the drain rests: then it takes a quarter of a core at most."""

logger = logging.getLogger("ray.serve")


class DecisionLog:
    """Moves decisions and labels from the store to Parquet, and answers GET /decisions/{transaction_id}.

    Args:
        redis_url: of the store.
        folder: of the archive; None: in the data folder of this machine.
        yields: whether the drain gives way to those that decide; not in their own process, where they would wait
            for a lock that it holds while it waits for a core.
    """

    def __init__(self, redis_url: str, folder: Path | None = None, yields: bool = False) -> None:
        collect_seldom()
        # On Linux a niceness is a thread's own: whoever asks for a decision does not wait for it.
        self._aside = ThreadPoolExecutor(1, "drain", os.nice, (NICENESS if yields else 0,))
        self._settings = LiveSettings(LogSettings)
        archive = Archive(folder or archive_folder(data_folder(os.environ)))
        client = log_client(store_url(redis_url, os.environ))
        self._log = LogStream(client)
        self._drain = Drain(self._log, archive, REST)
        self._labels = LogStream(client, LABELS.key)
        self._label_drain = Drain(self._labels, archive.labels, REST)
        self._compaction, self._label_compaction = Compaction(archive), Compaction(archive.labels)
        self._search = Search(self._log, archive)
        self._metrics = LogMetrics()
        self._uptime = Uptime()
        self._problems: dict[str, str] = {}
        self._background: asyncio.Task[None] | None = None

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take how often the log is drained (:class:`LogSettings`)."""
        self._settings.take(user_config)
        if self._background is None:
            self._background = asyncio.get_running_loop().create_task(self._drain_for_ever())

    async def find(self, transaction_id: str, day: str | None) -> dict[str, Any]:
        """Return the decision on a transaction with all that it came from.

        Args:
            day: of the decision, to look no further; YYYY-MM-DD.

        Raises:
            DecisionUnknown: there is none.
            OnlineStoreUnavailable: the store did not answer.
        """
        return await asyncio.to_thread(self._search.find, transaction_id, day)

    async def status(self) -> Status:
        """Return how much waits to be drained."""
        try:
            waiting, labels = await asyncio.to_thread(lambda: (self._log.length(), self._labels.length()))
        except OnlineStoreUnavailable as error:
            return self._uptime.status(False, str(error), self._settings.problem)
        detail = f"{waiting} batches wait, and {labels} requests of labels"
        problems = "; ".join(problem for problem in self._problems.values() if problem)
        return self._uptime.status(True, detail, self._settings.problem or problems)

    async def _drain_for_ever(self) -> None:
        # One file of each that is joined a turn: it takes a second or two of a core.
        turns: dict[str, Callable[[], Awaitable[object]]] = {
            "the log is not drained": self._drain_decisions,
            "labels are not drained": self._drain_labels,
            "files of the archive are not joined": lambda: self._run(self._compaction.step),
            "files of labels are not joined": lambda: self._run(self._label_compaction.step),
        }
        while True:
            await asyncio.sleep(self._settings.value.drain_interval_s)
            for failed, turn in turns.items():
                self._problems[failed] = await self._problem_of(failed, turn)

    async def _problem_of(self, failed: str, turn: Callable[[], Awaitable[object]]) -> str:
        """Do a part of a turn; return what went wrong, so that no other part suffers, and "" when nothing did."""
        try:
            await turn()
        except (OnlineStoreUnavailable, ForeignLog, OSError) as error:
            problem = f"{failed}: {error}"
            logger.error(problem)
            return problem
        except Exception:
            logger.exception(f"{failed}; it is tried again")
            return f"{failed}, by a defect; the replica's log has it"
        return ""

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._aside, work)

    async def _drain_decisions(self) -> None:
        await self._drain_all(self._drain, self._log, self._metrics.waiting, self._metrics.drained)

    async def _drain_labels(self) -> None:
        await self._drain_all(self._label_drain, self._labels, self._metrics.labels_waiting)

    async def _drain_all(
        self, drain: Drain, log: LogStream, waiting: Count, drained: Count = lambda _: None
    ) -> None:
        """Drain what is in a log now; what comes meanwhile has its turn the next time.

        Args:
            waiting: hears how many entries wait, before each cycle and at the end.
            drained: hears how many rows a cycle archived.
        """
        began = time.monotonic()
        through = await self._run(drain.end)
        more = through is not None
        waiting(await asyncio.to_thread(log.length))
        while more:
            cycle = await self._run(lambda: drain.cycle(through=through))
            if cycle.rows:
                drained(cycle.rows)
            waiting(await asyncio.to_thread(log.length))
            more = cycle.more
        # Where a turn takes longer than the time between two, the log grows: the next one does not rest.
        late = time.monotonic() - began > self._settings.value.drain_interval_s
        drain.rest = 0 if late else REST
