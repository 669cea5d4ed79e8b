import base64
import re
from functools import cache
from io import StringIO

import pytest
from rich.console import Console

from tests.unit.training.evaluation.results import result
from training.evaluation.html_report import html_report
from training.evaluation.plots import plots
from training.evaluation.results import EvaluationResult
from training.evaluation.terminal import in_terminal, shown
from training.evaluation.threshold_words import assumptions, major, marks


def text_of(found: EvaluationResult) -> str:
    console = Console(width=160, file=StringIO())
    console.print(in_terminal(found))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@cache
def page_of(folds: int = 1, published: bool = False) -> str:
    return html_report(result(folds=folds, published=published))


def test_the_terminal_shows_metrics_with_intervals_folds_and_slices() -> None:
    found = result(folds=2)
    text = text_of(found)
    estimate = found.overall["ensemble"].average_precision
    assert f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})" in text
    for words in ("CP@10", "mean of 2 tests", "2016-07-25", "takeover", "left out as known", "XGBoost"):
        assert words in text
    assert "published figures" not in text
    for words in ("CP@10", "ECE"):
        assert text.count(words) == 2, "among the metrics, and of the slices"


def test_the_terminal_shows_published_figures_beside_those_found() -> None:
    found = result(published=True)
    text = text_of(found)
    assert f"{found.overall['lr'].roc_auc.value - 0.871:+.4f}" in text
    assert "published are 1,000/10 and 400/40" in text


def test_the_page_needs_nothing_beside_it_and_escapes_what_it_shows() -> None:
    page = page_of(folds=2, published=True)
    assert "Made &lt;up&gt; &amp; judged" in page
    assert not re.search(r'(src|href)="(?!data:image/svg\+xml;base64,)', page)
    assert page.count("<figure>") == 7
    for words in (
        "<th>CP@10</th>",
        "<th>ECE</th>",
        "Beside the published figures",
        "Each test",
        "takeover",
        "tollgate evaluate",
    ):
        assert words in page


def test_the_page_of_one_test_without_published_figures_leaves_their_sections_out() -> None:
    page = page_of()
    assert "Each test" not in page
    assert "Beside the published" not in page


def test_the_plots_are_images() -> None:
    for title, address in plots(result()).items():
        svg = base64.b64decode(address.removeprefix("data:image/svg+xml;base64,")).decode()
        assert "<svg" in svg, title


@pytest.mark.parametrize(("name", "value", "words"), [("cost", 1234.5, "1,234"), ("brier", 0.00271, "0.00271")])
def test_figures_are_written_with_the_digits_that_they_need(name: str, value: float, words: str) -> None:
    assert shown(name, value) == words


def cells(page: str, table: int) -> list[list[str]]:
    """Return the cells of each line of one of the page's tables of thresholds."""
    body = re.findall(r'<table class="choices">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)[table]
    return [re.findall(r"<td[^>]*>(.*?)</td>", line, re.DOTALL) for line in body.split("</tr>")[:-1]]


def test_the_page_prices_each_choice_of_thresholds_with_the_figures_of_the_json() -> None:
    found, page = result(folds=2, published=True), page_of(folds=2, published=True)
    for position, score in enumerate(("ensemble", "lr", "xgb")):
        table = found.thresholds[score]
        lines = cells(page, position)
        assert len(lines) == len(table.choices)
        for line, one in zip(lines, table.choices, strict=True):
            assert line == [
                f"{one.review:g}",
                f"{one.block:g}",
                f"{one.mean_reviews_a_day:,.1f}",
                f"{one.most_reviews_a_day:,}",
                f"{one.caught:,}",
                major(one.caught_minor),
                f"{one.recall:.3f}",
                f"{one.missed:,}",
                major(one.missed_minor),
                f"{one.wrong_blocks:,}",
                major(one.review_cost_minor),
                major(one.wrong_block_cost_minor),
                major(one.missed_cost_minor),
                major(one.cost_minor),
                ", ".join(marks(table, one)),
            ]


def test_the_page_marks_the_choices_and_states_what_they_were_priced_with() -> None:
    found, page = result(), page_of()
    for mark in ("served", "least-cost", "recall-favoured"):
        assert len(re.findall(rf'<tr class="[^"]*\b{mark}\b', page)) == 3, "one for each score"
    assert assumptions(found.settings.costs) in page
    assert f"the thresholds that are served {major(found.thresholds['ensemble'].served.cost_minor)}" in page


def test_the_terminal_prices_the_choices_that_have_a_name() -> None:
    found = result()
    text, table = text_of(found), found.thresholds["ensemble"]
    for one in (table.served, table.cheapest, table.favoured):
        (line,) = (line for line in text.splitlines() if f" {', '.join(marks(table, one))} " in line)
        assert f" {major(one.cost_minor)} " in line
