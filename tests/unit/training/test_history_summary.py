from io import StringIO
from pathlib import Path

from rich.console import Console, RenderableType

from training.history_summary import ingest_summary, simulation_summary
from training.ingest import ingest
from training.ingestion.mapping import parse_mapping
from training.simulate import simulate


def printed(summary: RenderableType) -> str:
    console = Console(width=160, file=StringIO())
    with console.capture() as capture:
        console.print(summary)
    return capture.get()


def test_a_simulation_is_summed_up_with_its_patterns(tmp_path: Path) -> None:
    report = simulate(tmp_path / "[red]out", transactions=1_000, days=7, show_progress=False)
    text = printed(simulation_summary(report))
    assert "1,000" in text
    assert "[red]out" in text
    assert all(f"{name:<20}" in text for name in report.patterns)


def test_rejected_rows_are_shown_with_number_reason_and_an_example(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("when,who,amount\n2025-01-01,c,1\n2025-01-01,c,[b]\n2025-01-01,c,\n")
    mapping = parse_mapping("columns: {event_time: when, customer_id: who, amount: amount}", "mine")
    report = ingest(tmp_path / "in.csv", tmp_path / "out", mapping, show_progress=False)
    text = printed(ingest_summary(report))
    assert "in.csv row 2: '[b]'" in text
    assert "in.csv row 3: nothing" in text
    assert "is not a finite number" in text
    assert "_rejected" in text
