"""Metrics of the decision path, in Ray's registry: on the dashboard, and for Prometheus."""

from collections import Counter as Tally

import numpy as np
from ray.util.metrics import Counter, Gauge, Histogram

from deployments.decision import Decision, Decisions
from deployments.links.linked_call import CallReport

SIZES: list[float] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
MILLISECONDS: list[float] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000]


class BatchMetrics:
    """Observes a micro-batcher; a few microseconds a batch, nothing a transaction."""

    def __init__(self) -> None:
        self._longest_wait_s = 0.0
        self._size = Histogram("tollgate_batch_size", "Transactions of a micro-batch.", SIZES)
        self._wait = Histogram("tollgate_batch_wait_ms", "Wait of a batch's oldest transaction.", MILLISECONDS)
        self._took = Histogram("tollgate_batch_took_ms", "Time of a batch in the graph.", MILLISECONDS)
        self._failed = Counter("tollgate_failed_batches", "Batches that the graph did not decide.")
        self._queued = Gauge("tollgate_queued_transactions", "Transactions that wait for a slot.")
        self._dropped = Counter(
            "tollgate_dropped_transactions",
            "Transactions not computed: refused (queue full), expired (waited too long), abandoned (client left).",
            ("why",),
        )

    def began(self, size: int, waited_s: float, queued: int) -> None:
        """A batch of so many transactions went out; its oldest had waited so long; so many wait still."""
        self._longest_wait_s = max(self._longest_wait_s, waited_s)
        self._size.observe(size)
        self._wait.observe(waited_s * 1000)
        self._queued.set(queued)

    def ended(self, took_s: float, failed: bool) -> None:
        """A batch is computed, or failed."""
        self._took.observe(took_s * 1000)
        if failed:
            self._failed.inc()

    def longest_wait_s(self) -> float:
        """Return the longest wait of a batch's oldest transaction since this was asked last; 0 without a batch."""
        longest_s, self._longest_wait_s = self._longest_wait_s, 0.0
        return longest_s

    def waiting(self, queued: int) -> None:
        """So many transactions wait."""
        self._queued.set(queued)

    def dropped(self, why: str, weight: int) -> None:
        """So many transactions are not computed."""
        self._dropped.inc(weight, {"why": why})


class LabelMetrics:
    """Counts labels by what became of them."""

    def __init__(self) -> None:
        self._labels = Counter(
            "tollgate_labels",
            "Labels by outcome (new, repeated, corrected, superseded, conflict) and source.",
            ("outcome", "source"),
        )

    def taken(self, outcome: str, source: str, count: int) -> None:
        """So many labels of a source had this outcome."""
        self._labels.inc(count, {"outcome": outcome, "source": source})


class CircuitMetrics:
    """State and failures of the circuits of dependencies."""

    def __init__(self) -> None:
        self._open = Gauge("tollgate_circuit_open", "1 while a dependency is left alone.", ("dependency",))
        self._failures = Counter(
            "tollgate_dependency_failures", "Calls that failed or had no answer in time.", ("dependency",)
        )

    def circuit(self, dependency: str, is_open: bool) -> None:
        """The circuit of a dependency opened or closed."""
        self._open.set(float(is_open), {"dependency": dependency})

    def failed(self, dependency: str) -> None:
        """A call failed, or had no answer in time."""
        self._failures.inc(1, {"dependency": dependency})


class DecisionMetrics:
    """Counts what was decided of transactions, once a batch."""

    def __init__(self) -> None:
        self._decided = Counter(
            "tollgate_decisions", "Decided transactions; retries and conflicts are not counted.", ("decision",)
        )
        self._rules = Counter("tollgate_fired_rules", "Decided transactions in which a rule fired.", ("rule",))
        self._retries = Counter("tollgate_retries", "Transactions that got the decision that stands.")
        self._conflicts = Counter("tollgate_conflicts", "Transactions whose id stands for another body.")
        self._degraded = Counter(
            "tollgate_degraded_decisions", "Transactions that were decided without a part.", ("part",)
        )

        self._superseded = Counter(
            "tollgate_superseded_decisions",
            "Decisions that were told while the store was away, and do not stand: another was recorded first.",
        )

    def superseded(self, decisions: int) -> None:
        """So many decisions were told that do not stand."""
        self._superseded.inc(decisions)

    def decided(self, decisions: Decisions) -> None:
        """A batch was decided; rows that had been before, and conflicts, are no new decisions."""
        retries, conflicts = len(decisions.earlier), len(decisions.conflicts)
        old = decisions.earlier.keys() | decisions.conflicts.keys()
        counts = np.bincount(decisions.decision, minlength=len(Decision))
        for row in old:
            counts[decisions.decision[row]] -= 1
        for decision, count in zip(Decision, counts.tolist(), strict=True):
            if count:  # Ray's counters refuse a zero.
                self._decided.inc(count, {"decision": decision.name})
        if retries:
            self._retries.inc(retries)
        if conflicts:
            self._conflicts.inc(conflicts)
        fired = Tally(rule for row, rules in decisions.rules.items() if row not in old for rule in rules)
        for rule, count in fired.items():
            self._rules.inc(count, {"rule": rule})
        for part in decisions.degraded:
            self._degraded.inc(len(decisions.decision), {"part": part})


class AccessMetrics:
    """Counts requests that were not let in."""

    def __init__(self) -> None:
        self._refused = Counter(
            "tollgate_refused_requests",
            "Requests that the gate answered itself, by status: key (401), scope (403), rate (429), size (413,"
            " 414, 431), route (404, 405).",
            ("status",),
        )

    def refused(self, status: int) -> None:
        """A request got this status and went no further."""
        self._refused.inc(1, {"status": str(status)})


class LogMetrics:
    """What the drain of the decision log did, and what waits."""

    def __init__(self) -> None:
        self._drained = Counter("tollgate_drained_decisions", "Decisions moved to the archive.")
        self._waiting = Gauge("tollgate_undrained_batches", "Batches of the log that are not archived yet.")
        self._labels = Gauge("tollgate_undrained_labels", "Requests with labels that are not archived yet.")

    def drained(self, transactions: int) -> None:
        """So many decisions are in the archive now."""
        self._drained.inc(transactions)

    def waiting(self, entries: int) -> None:
        """So many batches wait."""
        self._waiting.set(entries)

    def labels_waiting(self, entries: int) -> None:
        """So many requests with labels wait."""
        self._labels.set(entries)


class LinkMetrics:
    """Counts the calls of other deployments by their road, once a second."""

    def __init__(self) -> None:
        self._links = Gauge("tollgate_links", "Open links to replicas of a deployment.", ("call",))
        self._calls = Counter(
            "tollgate_calls",
            "Calls of a deployment, a batch each: by link, by serve, or repeated (its link ended unanswered).",
            ("call", "road"),
        )

    def report(self, report: CallReport) -> None:
        """Record what was called since the last report."""
        self._links.set(report.links, {"call": report.call})
        for road in ("by_link", "by_serve", "repeated"):
            if calls := getattr(report, road):
                self._calls.inc(calls, {"call": report.call, "road": road.removeprefix("by_")})
