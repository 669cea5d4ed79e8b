"""What a simulation or an ingestion did, for the terminal."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from training.ingest import IngestReport
from training.simulate import SimulationReport


def simulation_summary(report: SimulationReport) -> RenderableType:
    """Return the report of a simulation as something that a rich console prints."""
    facts = _facts("Simulated history")
    facts.add_row("written to", escape(f"{report.out} ({report.bytes_written / 1e6:.1f} MB)"))
    facts.add_row("days", f"{report.first_day} to {report.last_day}")
    facts.add_row("transactions", f"{report.transactions:,} in {report.duration_s:.1f} s")
    facts.add_row("customers", f"{report.customers:,}")
    facts.add_row("merchants", f"{report.merchants:,}")
    facts.add_row("devices", f"{report.devices:,}")
    facts.add_row("frauds", f"{report.frauds:,} ({report.frauds / report.transactions:.2%})")
    for pattern, count in report.patterns.items():
        facts.add_row(f"  {pattern}", f"{count:,}")
    facts.add_row("seed", str(report.seed))
    return facts


def ingest_summary(report: IngestReport) -> RenderableType:
    """Return the report of an ingestion as something that a rich console prints."""
    facts = _facts("Ingested history")
    facts.add_row("read from", escape(str(report.source)))
    facts.add_row("written to", escape(f"{report.out} ({report.bytes_written / 1e6:.1f} MB)"))
    facts.add_row("days", f"{report.first_day} to {report.last_day} ({report.days})" if report.days else "none")
    facts.add_row("rows read", f"{report.rows_in:,} in {report.duration_s:.1f} s")
    facts.add_row("rows written", f"{report.rows_written:,}")
    facts.add_row("  fraudulent", f"{report.frauds:,}")
    facts.add_row("  without label", f"{report.unlabelled:,}")
    facts.add_row("rows rejected", f"{report.rows_rejected:,}")
    if report.absent_columns:
        facts.add_row("absent columns", escape(", ".join(report.absent_columns)))
    return Group(facts, *_rejections(report))


def _rejections(report: IngestReport) -> list[RenderableType]:
    if report.rows_rejected == 0:
        return []
    table = Table(title="Rejected rows", title_justify="left")
    for name in ("rows", "field", "reason", "for example"):
        table.add_column(name, justify="right" if name == "rows" else "left")
    for (field, reason), count in report.reasons.items():
        example = next(e for e in report.examples if (e.field, e.reason) == (field, reason))
        value = "nothing" if example.value is None else repr(example.value)
        table.add_row(f"{count:,}", field, reason, escape(f"{example.file} row {example.row}: {value}"))
    return [table, escape(f"All rejected rows, as they were: {report.rejected_file}")]


def _facts(title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column()
    return table
