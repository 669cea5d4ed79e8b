"""The model card: what it says of a bundle, and that it travels in it."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from features.definitions import FEATURE_NAMES, fingerprint
from features.errors import BundleRefused
from tests.unit.training.bundles import small_bundle
from tests.unit.training.evaluation.results import judged_fold, result
from tests.unit.training.test_parameter_file import TUNED
from training.bundle import CARD_FILE, Bundle, Period
from training.evaluation.bootstrap import Estimate
from training.model_card import ModelCard, card_in_terminal, model_card


def made_up_card(**manifest: object) -> ModelCard:
    return model_card(small_bundle().manifest.model_copy(update=manifest), judged_fold().fold, result())


def test_it_names_data_periods_sizes_features_and_figures() -> None:
    card = made_up_card(data="history payments")
    assert (card.data, card.training_rows, card.test_rows) == ("history payments", 500, 400)
    assert set(card.periods) == {"train", "validation", "test"}
    assert (card.fingerprint, card.features) == (fingerprint(), FEATURE_NAMES)
    assert set(card.metrics) == {"lr", "xgb", "ensemble"}
    assert {one.grouping for one in card.slices} == {one.grouping for one in result().slices}


def test_limits_follow_from_what_was_found() -> None:
    few = " ".join(made_up_card(training_frauds=20, calibration=None).limits)
    assert "Trained on 20 frauds alone" in few
    assert "Not calibrated" in few
    assert "Fewer than 50 frauds" in few
    many = " ".join(made_up_card(training_frauds=5000).limits)
    assert "Trained on" not in many
    assert "Not calibrated" not in many


def test_it_says_how_time_was_divided() -> None:
    fold, manifest = judged_fold().fold, small_bundle().manifest
    week = timedelta(days=7)
    assert made_up_card().protocol.startswith("Split by time: ")
    later = replace(
        fold,
        train=Period(since=fold.test.since - 4 * week, until=fold.test.since - 3 * week),
        validation=Period(since=fold.test.since - 3 * week, until=fold.test.since - 2 * week),
    )
    assert model_card(manifest, later, result()).protocol == (
        "Split by time: trained, then weights and calibration on the validation period, then a gap of 14 days in"
        " which labels become known, then judged on the test period."
    )
    before = replace(later, train=later.validation, validation=later.train, known_since=fold.test.since)
    said = model_card(manifest, before, result()).protocol
    assert "weights and calibration on the validation period, then trained, then a gap of 14 days" in said
    assert said.endswith("Customers known as defrauded are left out of it.")


def test_parameters_that_were_chosen_on_days_of_the_test_are_a_limit() -> None:
    manifest, fold = small_bundle().manifest, judged_fold().fold
    on_it = TUNED.model_copy(update={"until": fold.test.until})
    said = [one for one in model_card(manifest, fold, result(), on_it).limits if "flatter" in one]
    assert said == [on_it.overlap(fold.test.since)]
    before = TUNED.model_copy(update={"until": fold.test.since})
    for tuned in (before, None):
        assert "flatter" not in " ".join(model_card(manifest, fold, result(), tuned).limits)


def test_it_survives_json_also_where_a_figure_is_undefined() -> None:
    card = made_up_card()
    undefined = Estimate(float("nan"), float("nan"), float("nan"))
    first = card.slices[0]
    card = card.model_copy(
        update={"slices": (first.model_copy(update={"metrics": replace(first.metrics, f1=undefined)}),)}
    )
    text = card.model_dump_json()
    assert json.loads(text)["slices"][0]["metrics"]["f1"]["value"] is None
    assert ModelCard.model_validate_json(text).model_dump_json() == text


def test_it_lies_in_the_bundle_under_a_digest(tmp_path: Path) -> None:
    card = json.loads(made_up_card().model_dump_json())
    replace(small_bundle(), card=card).save(tmp_path)
    assert Bundle.load(tmp_path, fingerprint()).card == card
    (tmp_path / CARD_FILE).write_text("{}", encoding="utf-8")
    with pytest.raises(BundleRefused, match=r"card.json of the bundle is not the file that was saved"):
        Bundle.load(tmp_path, fingerprint())


def test_a_bundle_without_a_card_is_served_as_before(tmp_path: Path) -> None:
    small_bundle().save(tmp_path)
    assert not (tmp_path / CARD_FILE).exists()
    assert Bundle.load(tmp_path, fingerprint()).card is None


def test_the_terminal_shows_figures_with_intervals_and_the_limits() -> None:
    console = Console(width=160)
    with console.capture() as shown:
        console.print(card_in_terminal(made_up_card(), "7"))
    for words in (
        "Version 7",
        "95% intervals by customer",
        "logistic regression",
        " to ",
        "Limits",
        "another season",
    ):
        assert words in shown.get()
