"""What ``tollgate score`` says at its end."""

from collections.abc import Iterator

from rich.text import Text

from cluster.scoring.score import ScoreReport


def score_summary(report: ScoreReport) -> Text:
    """Return the summary of a scored file: how many rows were decided and how, and why others were not."""
    return Text("\n".join(_lines(report)))


def _lines(report: ScoreReport) -> Iterator[str]:
    rows = report.decided + report.failed
    rate = rows / report.duration_s if report.duration_s else 0.0
    took = f"{report.duration_s:.1f} s ({rate:,.0f} rows/s)"
    yield f"{report.decided:,} of {rows:,} rows decided in {took}: {report.out}"
    for decision, count in sorted(report.decisions.items()):
        yield f"  {decision:8} {count:>12,}"
    if report.failed:
        yield f"{report.failed:,} rows were not decided; the error columns say why:"
    for (code, field), count in sorted(report.reasons.items(), key=lambda item: -item[1]):
        yield f"  {code} {field}: {count:,}"
    if report.ignored:
        yield f"Columns that were not sent: {', '.join(report.ignored)}"
