"""A locustfile that sends real history, in order of arrival, with the ids and the event times that it had.

    locust -f loadtests/replayfile.py --history data/history --headless -u 16 -t 60s HistoryReplay

Users take the next transaction in turns, so that up to as many are under way at once as there are users: with one
user, or in the batches of ``HistoryBulkReplay``, the order is exact. The run ends when the history does. A
transaction_id that the online store knows is decided, but not counted again: replay into an empty store
(``tollgate replay --clear`` empties it) to see the history grow.
"""

from pathlib import Path
from typing import Any

from locust import events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.exception import StopUser

from loadtests.history_feed import HistoryFeed
from loadtests.users import Client


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: LocustArgumentParser) -> None:
    """Declare what is replayed."""
    parser.add_argument("--history", env_var="LOCUST_HISTORY", default="", help="History folder to replay.")
    parser.add_argument(
        "--history-limit", type=int, env_var="LOCUST_HISTORY_LIMIT", default=None, help="Transactions at most."
    )


@events.init.add_listener  # type: ignore[untyped-decorator]
def open_history(environment: Environment, **_: Any) -> None:
    """Open the history before the first user begins."""
    options = environment.parsed_options
    if options is None or not options.history:
        raise SystemExit("Give the history to replay: --history FOLDER, as `tollgate ingest` writes it.")
    if options.processes or options.worker or options.master:
        raise SystemExit("A replay runs in one process: several would each send the whole history.")
    Replay.feed = HistoryFeed(Path(options.history), options.history_limit)


class Replay(Client):
    """Takes transactions from the one feed; the last user to find it empty ends the run."""

    abstract = True
    feed: HistoryFeed

    def take(self, count: int) -> list[dict[str, Any]]:
        """Return the next bodies.

        Raises:
            StopUser: the history has ended.
        """
        # Nothing in it gives way to another user, so that no two of them read at once.
        bodies = Replay.feed.next(count)
        if not bodies:
            runner = self.environment.runner
            assert runner is not None
            runner.quit()
            raise StopUser
        return bodies


class HistoryReplay(Replay):
    """Sends one transaction a request."""

    @task
    def predict(self) -> None:
        """POST /predict."""
        [body] = self.take(1)
        self.decide(body)


class HistoryBulkReplay(Replay):
    """Sends ``--batch-size`` transactions a request."""

    @task
    def predict_batch(self) -> None:
        """POST /predict/batch."""
        self.decide_many(self.take(self.options.batch_size))
