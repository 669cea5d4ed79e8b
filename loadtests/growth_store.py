"""The online store as it grows: events an entity, entities, and transactions a micro-batch.

Every transaction is of a customer that made none since the store was filled, so that measuring does not lengthen
the histories that are measured. Filling is cheap: one customer is made event by event, the others are copies of
it inside the server, each with a key and a value of its own, which is what memory and time depend on.
"""

import os
import pickle
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

import numpy as np
import redis

from cluster.processes import VALKEY, owned_by, stop
from cluster.settings import LOOPBACK, ClusterSettings, Ports
from cluster.valkey import start_valkey
from cluster.waiting import wait_until
from features.definitions import DAY_MS
from features.formulas import feature_matrix
from features.online import OnlineStore, key_prefix
from features.transaction import TransactionBatch
from loadtests.growth_measures import ROUNDS, Measure, measure, timed_us

HISTORIES: Final = (10, 100, 1000)
BATCHES: Final = (1, 4, 16, 64, 256)
ENTITIES: Final = (1_000, 10_000, 100_000, 1_000_000)
MICRO_BATCH: Final = 64
"""Transactions a call, where it is not the batch that grows."""
USUAL_EVENTS: Final = 100
EVENTS_OF_MANY: Final = 10
"""Events a customer where the customers are what grows: a million of them are 1.1 GB then, and not 7."""
MERCHANTS: Final = 200
MERCHANT_EVENTS: Final = 100
"""Events of a merchant before it is measured: enough that its windows are read from tiles."""
SPAN_DAYS: Final = 29
"""Within the longest window, so that every event counts in it."""
CALLS: Final = 10
COPIES_A_CALL: Final = 5_000
STOP_S: Final = 10.0
REWRITE_WAIT_S: Final = 120.0
_COPY: Final = """
for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  redis.call('COPY', KEYS[1], KEYS[3] .. number)
  redis.call('COPY', KEYS[2], KEYS[4] .. number)
end
"""
_TEMPLATE: Final = "template"


@contextmanager
def own_valkey() -> Iterator["redis.Redis"]:
    """Yield a client of a Valkey of our own, started as the one-machine stack starts it; it goes with its data."""
    with TemporaryDirectory(prefix="tollgate-growth-") as folder:
        home = Path(folder).resolve()
        settings = ClusterSettings(home=home, config=home / "none.yaml", ports=Ports(valkey=_free_port()))
        for needed in (settings.logs, settings.work):
            needed.mkdir(parents=True)
        start_valkey(settings, os.environ)
        try:
            with redis.Redis.from_url(settings.redis_url) as client:
                yield client
        finally:
            stop(owned_by(home, VALKEY), STOP_S)


class Population:
    """Customers with the same number of events each, who pay once and in turn.

    Args:
        client: of a server that holds nothing else; it is emptied.
        customers: how many; each has one device.
        events: of each customer and of its device, over the last ``SPAN_DAYS`` days.
    """

    def __init__(self, client: "redis.Redis", customers: int, events: int) -> None:
        # Otherwise Valkey frees it meanwhile, and what is measured would be the difference.
        client.execute_command("FLUSHALL", "SYNC")  # type: ignore[no-untyped-call]
        self.client = client
        self._customers = customers
        self._next = 0
        self._now_ms = int(time.time() * 1000)
        self.store = OnlineStore(client)
        self._meet_merchants()
        for at in range(0, events, 256):
            self.store.append(self._events_of_template(at, min(at + 256, events), events))
        before = used_bytes(client)
        self._copy()
        self.bytes_a_key = (used_bytes(client) - before) / (2 * customers)
        # To fill a store makes Valkey rewrite its append-only file, beside which everything is slower.
        wait_until(lambda: not _is_rewriting(client), REWRITE_WAIT_S)

    def batch(self, size: int) -> TransactionBatch:
        """Return a micro-batch of customers who did not pay yet (of the first again, after the last)."""
        numbers = [(self._next + offset) % self._customers for offset in range(size)]
        self._next += size
        return batch_of(
            [f"n{self._next + offset}" for offset in range(size)],
            np.full(size, self._now_ms + self._next, np.int64),
            [f"c{number}" for number in numbers],
            [f"d{number}" for number in numbers],
            [f"m{number % MERCHANTS}" for number in numbers],
        )

    def observe(self, size: int) -> Callable[[], object]:
        """Return a call that observes a micro-batch; to make the batch is no part of what the store does."""
        batches = iter([self.batch(size) for _ in range(CALLS * ROUNDS + 1)])
        return lambda: self.store.observe(next(batches))

    def _copy(self) -> None:
        prefix = key_prefix()
        keys = [
            *(prefix + b"c:" + _TEMPLATE.encode(), prefix + b"d:" + _TEMPLATE.encode()),
            *(prefix + b"c:c", prefix + b"d:d"),
        ]
        for first in range(0, self._customers, COPIES_A_CALL):
            last = min(first + COPIES_A_CALL, self._customers) - 1
            self.client.eval(_COPY, len(keys), *keys, first, last)

    def _meet_merchants(self) -> None:
        ids = [f"m{number}" for number in range(MERCHANTS)]
        for number in range(MERCHANT_EVENTS):
            self.store.append(merchant_events(ids, [number] * MERCHANTS, MERCHANT_EVENTS, self._now_ms))

    def _events_of_template(self, start: int, stop: int, events: int) -> TransactionBatch:
        number = np.arange(start, stop)
        times = self._now_ms - SPAN_DAYS * DAY_MS + number * (SPAN_DAYS * DAY_MS // events)
        size = stop - start
        return batch_of([f"t{n}" for n in number], times, [_TEMPLATE] * size, [_TEMPLATE] * size, [None] * size)


def history_growth(client: "redis.Redis", done: Callable[[], None]) -> Iterator[Measure]:
    """Yield what a micro-batch costs, and a key weighs, for entities of 10 to 1,000 events."""
    for events in HISTORIES:
        people = Population(client, MICRO_BATCH * (CALLS * ROUNDS + 1), events)
        yield from _store_measures("history", events, people, MICRO_BATCH)
        yield measure("history", events, "memory a customer or device", "bytes", [people.bytes_a_key])
        done()


def batch_growth(client: "redis.Redis", done: Callable[[], None]) -> Iterator[Measure]:
    """Yield what micro-batches of 1 to 256 transactions cost, and weigh between replicas."""
    for size in BATCHES:
        people = Population(client, size * (CALLS * ROUNDS + 1), USUAL_EVENTS)
        yield from _store_measures("batch", size, people, size)
        columns = people.store.observe(people.batch(size))
        yield measure("batch", size, "formulas", "us a call", timed_us(partial(feature_matrix, columns), CALLS))
        weights = {"a batch": people.batch(size), "its matrix": feature_matrix(columns)}
        for name, value in weights.items():
            pickled = len(pickle.dumps(value, protocol=5)) / size
            yield measure("batch", size, f"{name} between replicas", "bytes a transaction", [pickled])
        done()


def entity_growth(client: "redis.Redis", most: int, done: Callable[[], None]) -> Iterator[Measure]:
    """Yield what a micro-batch costs, and a key weighs, in a store of up to ``most`` customers."""
    for customers in entity_sizes(most):
        people = Population(client, customers, EVENTS_OF_MANY)
        yield from _store_measures("entities", customers, people, MICRO_BATCH)
        yield measure("entities", customers, "memory a customer or device", "bytes", [people.bytes_a_key])
        yield measure("entities", customers, "memory of the store", "MB", [used_bytes(client) / 1e6])
        done()


def entity_sizes(most: int) -> tuple[int, ...]:
    """Return the numbers of customers up to a bound, which is itself the largest."""
    return (*(size for size in ENTITIES if size < most), most)


def _store_measures(section: str, size: int, people: Population, batch: int) -> Iterator[Measure]:
    call = people.observe(batch)
    times_us: list[float] = []
    stats: list[dict[str, float]] = []
    call()
    for _ in range(ROUNDS):
        people.client.config_resetstat()
        times_us += timed_us(call, CALLS, rounds=1, warm=False)
        stats.append(_stats(people.client))
    transactions = CALLS * batch
    yield measure(section, size, "store", "us a call", times_us)
    yield measure(section, size, "store, a transaction", "us", [time_us / batch for time_us in times_us])
    for name, unit, key in (
        ("script in the server", "us a transaction", "script_us"),
        ("to the store", "bytes a transaction", "in_bytes"),
        ("from the store", "bytes a transaction", "out_bytes"),
    ):
        yield measure(section, size, name, unit, [one[key] / transactions for one in stats])


def _stats(client: "redis.Redis") -> dict[str, float]:
    commands = client.info("commandstats")
    traffic = client.info("stats")
    scripts = sum(value["usec"] for name, value in commands.items() if name.startswith("cmdstat_eval"))
    return {
        "script_us": scripts,
        "in_bytes": traffic["total_net_input_bytes"],
        "out_bytes": traffic["total_net_output_bytes"],
    }


def _is_rewriting(client: "redis.Redis") -> bool:
    state = client.info("persistence")
    return bool(state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"])


def used_bytes(client: "redis.Redis") -> int:
    """Return the memory that the server's data takes."""
    return cast(int, client.info("memory")["used_memory"])


def merchant_bytes(client: "redis.Redis") -> Iterator[Measure]:
    """Yield what a merchant weighs that had 10 to 1,000 payments."""
    store = OnlineStore(client)
    now_ms = int(time.time() * 1000)
    for events in HISTORIES:
        name = f"of-{events}"
        # As payments come: a string that is appended to bit by bit has more room than it fills.
        for number in range(events):
            store.append(merchant_events([name], [number], events, now_ms))
        size = client.memory_usage(key_prefix() + b"m:" + name.encode(), samples=0) or 0
        yield measure("history", events, "memory a merchant", "bytes", [size])


def merchant_events(merchants: list[str], numbers: list[int], of: int, now_ms: int) -> TransactionBatch:
    """Return one payment at each of these merchants: its event of that number, of so many until now."""
    number = np.array(numbers)
    times = now_ms - SPAN_DAYS * DAY_MS + number * (SPAN_DAYS * DAY_MS // of)
    ids = [f"first-{merchant}-{number}" for merchant, number in zip(merchants, numbers, strict=True)]
    return batch_of(ids, times, [f"x-{i}" for i in ids], [None] * len(ids), list(merchants))


def batch_of(
    ids: list[str],
    event_time_ms: "np.ndarray[Any, np.dtype[np.int64]]",
    customers: list[str],
    devices: list[str] | list[None],
    merchants: list[str] | list[None],
) -> TransactionBatch:
    """Return a micro-batch of payments of 12.34 in Amsterdam."""
    size = len(ids)
    nothing: list[str | None] = [None] * size
    return TransactionBatch(
        transaction_id=ids,
        event_time_ms=event_time_ms,
        amount_minor=np.full(size, 1234, np.int64),
        customer_id=customers,
        merchant_id=list(merchants),
        device_id=list(devices),
        lat_udeg=np.full(size, 52_370_000, np.int32),
        long_udeg=np.full(size, 4_900_000, np.int32),
        currency=["EUR"] * size,
        merchant_category=nothing,
        transaction_type=nothing,
        geo_location=nothing,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
