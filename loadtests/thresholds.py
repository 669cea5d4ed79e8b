"""What a run must have shown to pass."""

from dataclasses import dataclass

from loadtests.results import Totals


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Bounds on the totals of a run; None: no bound.

    Attributes:
        max_failed_share: failed requests / requests.
        max_p99_ms: of all requests of the run, the failed included.
        min_rps: requests a second over the whole run.
    """

    max_failed_share: float | None = 0.0
    max_p99_ms: float | None = None
    min_rps: float | None = None

    def broken(self, totals: Totals) -> list[str]:
        """Return a sentence for each bound that was not kept; each names the bound and the value.

        >>> Thresholds(min_rps=500).broken(Totals("all", 1000, 0, 400.0, 9.0, 50.0))
        ['min-rps: 400.0 requests/s were made, fewer than 500.']
        """
        if not totals.requests:
            return ["No request was made, so that nothing was measured."]
        sentences = []
        share, p99_ms, rps = totals.failed_share, totals.p99_ms, totals.requests_per_s
        if self.max_failed_share is not None and share > self.max_failed_share:
            sentences.append(
                f"max-failed-share: {share:.4%} of the requests failed ({totals.failures:,} of"
                f" {totals.requests:,}), more than {self.max_failed_share:.4%}."
            )
        if self.max_p99_ms is not None and (p99_ms is None or p99_ms > self.max_p99_ms):
            took = "no answer came" if p99_ms is None else f"p99 was {p99_ms:,.0f} ms"
            sentences.append(f"max-p99-ms: {took}, more than {self.max_p99_ms:,.0f} ms.")
        if self.min_rps is not None and rps < self.min_rps:
            sentences.append(f"min-rps: {rps:,.1f} requests/s were made, fewer than {self.min_rps:g}.")
        return sentences
