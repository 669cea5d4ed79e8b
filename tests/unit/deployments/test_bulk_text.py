"""A JSON bulk request with text that is not Unicode: one item fails by its field, the others are decided."""

import json
from typing import Any

import pytest

from tests.unit.deployments.bodies import GOOD, encode, error_of, fields_of, good, scoring
from tests.unit.deployments.graph import Graph


@pytest.mark.parametrize("text", [b'"\xff"', b'"Caf\xe9"', b'"\\ud800"', b'"\\udc00 and more"'])
@pytest.mark.parametrize("field", ["customer_id", "transaction_id", "merchant_category"])
async def test_text_that_is_not_unicode_fails_its_item_by_its_field_and_no_other(text: bytes, field: str) -> None:
    bad = encode(good())[:-1] + b', "%b": %b}' % (field.encode(), text)
    answer = await scoring(Graph()).predict_batch(b"[%b,%b,%b]" % (encode(GOOD), bad, encode(GOOD)), b"")
    body = json.loads(answer.body)
    assert (answer.status, body["decided"], body["failed"]) == (200, 2, 1)
    assert body["results"][1]["index"] == 1
    assert fields_of(body["results"][1]["error"]) == [field]
    assert "string" in body["results"][1]["error"]["message"]


@pytest.mark.parametrize("nested", [b'{"a":' * 300 + b"1" + b"}" * 300, b"[" * 300 + b"]" * 300, b"01", b'"\x01"'])
async def test_what_is_no_json_for_another_reason_is_not_parsed_again(
    nested: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parsed(*_: Any, **__: Any) -> None:
        raise AssertionError("the lenient parser takes a hundred times as long")

    monkeypatch.setattr("deployments.json_bulk._leniently", parsed)
    answer = await scoring(Graph()).predict_batch(b"[%b,%b]" % (nested, encode(GOOD)), b"")
    assert error_of(answer, 400)["code"] == "invalid_json"


async def test_beside_text_that_is_not_unicode_all_other_items_mean_what_they_mean_without_it() -> None:
    others = [
        good(customer_id="Caf\u00e9 \U0001f600"),
        good(amount=-1),
        {"na\u00efve": 1},
        3,
        None,
        good(device_id="d"),
    ]
    bad = encode(GOOD)[:-1] + b', "name \\udfff": 1}'
    whole = await scoring(Graph()).predict_batch(b"[%b,%b]" % (b",".join(map(encode, others)), bad), b"")
    alone = await scoring(Graph()).predict_batch(encode(others), b"")
    rows, expected = (json.loads(answer.body)["results"] for answer in (whole, alone))
    for row in (*rows, *expected):
        row.pop("transaction_id", None)
    assert rows[:-1] == expected
    assert fields_of(rows[-1]["error"]) == ["name ?"]
