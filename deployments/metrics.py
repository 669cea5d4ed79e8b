"""Metrics of micro-batcher, labels and links, in Ray's registry: on the dashboard, and for Prometheus."""

from ray.util.metrics import Counter, Gauge, Histogram

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
