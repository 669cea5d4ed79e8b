from pathlib import Path

import pytest

from features.errors import InvalidHistory
from training.ingestion.mapping import load_mapping, parse_mapping, shipped_mappings

LEAST = "columns: {event_time: t, customer_id: c, amount: a}\n"


def test_the_least_mapping_has_sound_defaults() -> None:
    mapping = parse_mapping(LEAST, "mine")
    assert mapping.source_columns == ("t", "c", "a")
    assert (mapping.amount_unit, mapping.timestamp.format, mapping.timestamp.timezone) == ("major", "auto", "UTC")
    assert (mapping.column("amount"), mapping.column("merchant_id")) == ("a", None)
    assert (mapping.constant("currency"), mapping.prefix("customer_id")) == (None, "")
    assert mapping.replacements("fraud_pattern") == {}


def test_yaml_scalars_are_the_text_of_cells() -> None:
    mapping = parse_mapping(
        LEAST + "labels: {fraud: [1, true, F], legit: [0.0]}\nvalues: {fraud_pattern: {0: null, 2: x}}", "mine"
    )
    assert mapping.labels.fraud == ("1", "true", "F")
    assert mapping.labels.legit == ("0.0",)
    assert mapping.replacements("fraud_pattern") == {"0": None, "2": "x"}


def test_every_shipped_mapping_is_valid() -> None:
    assert shipped_mappings() == ("handbook", "tollgate")
    assert load_mapping("handbook").prefix("merchant_id") == "T"
    assert load_mapping("tollgate").amount_unit == "minor"


def test_a_mapping_is_loaded_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(LEAST)
    assert load_mapping(path).source_columns == ("t", "c", "a")


def test_an_unknown_mapping_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidHistory, match=r"no column mapping handbok.*handbook, tollgate"):
        load_mapping("handbok")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("columns: [", "is not YAML"),
        ("- 1", "must be a mapping of keys"),
        ("colums: {}", "the key colums is unknown"),
        (LEAST + "timestamp: {zone: UTC}", "the key timestamp.zone is unknown"),
        ("columns: {event_time: t, customer_id: c, amount: a, colour: x}", "the key columns.colour is unknown"),
        (LEAST + "values: {mood: {1: x}}", "the key values.mood is unknown"),
        (LEAST + "constants: {amount: 3}", "the key constants.amount is unknown"),
        ("columns: {customer_id: c, amount: a}", "columns must name the source of event_time"),
        ("columns: {event_time: t, amount: a}", "columns must name the source of customer_id"),
        ("columns: {event_time: t, customer_id: c}", "columns must name the source of amount"),
        ("columns: {event_time: t, customer_id: c, amount: 3}", "columns.amount: "),
        (LEAST + "timestamp: {timezone: Europe/Atlantis}", "Europe/Atlantis is no time zone"),
        (LEAST + "timestamp: {unit: hours}", "timestamp.unit: "),
        (LEAST + "amount_unit: cents", "amount_unit: "),
        (LEAST + "labels: {fraud: []}", "labels.fraud: "),
        (LEAST + "may_be_absent: [amount]", "amount cannot be in may_be_absent"),
        ("columns: {event_time: t, customer_id: c, amount: a, lat: x}", "lat and long are mapped together"),
        (
            "columns: {event_time: t, customer_id: c, amount: a, currency: x}\nconstants: {currency: EUR}",
            "currency is mapped to a column and has a constant",
        ),
        (LEAST + "constants: {currency: ''}", "constants.currency: "),
        (LEAST + "csv: {delimiter: ';;'}", "csv.delimiter: "),
    ],
)
def test_a_wrong_mapping_is_refused_with_the_key(text: str, message: str) -> None:
    with pytest.raises(InvalidHistory) as caught:
        parse_mapping(text, "mine")
    assert "column mapping mine" in str(caught.value)
    assert message in str(caught.value)
