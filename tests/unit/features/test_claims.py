"""Claims: equal for equal bodies alone, and able to say where two bodies differ."""

from dataclasses import fields
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from features.claims import CLAIM_FIELDS, claims, differences
from features.transaction import TEXT_COLUMNS, Transaction, TransactionBatch

TEXT = st.text(min_size=1, max_size=4) | st.sampled_from(['"', '","', "\n", "\\", "null", "é", "a\x00b", "[1,2]"])
BODIES = st.fixed_dictionaries(
    {
        "timestamp": st.integers(1_700_000_000, 1_700_000_003),
        "customer_id": TEXT,
        "amount": st.sampled_from([1.0, 1.01, 250.0]),
    },
    optional={
        "merchant_id": TEXT,
        "device_id": TEXT,
        "currency": st.sampled_from(["EUR", "USD"]),
        "merchant_category": TEXT,
        "transaction_type": TEXT,
        "geo_location": TEXT,
    },
)
PLACES = st.sampled_from([{}, {"lat": 1.0, "long": 2.0}, {"lat": 1.0, "long": 2.5}])


@given(st.lists(st.tuples(BODIES, PLACES), min_size=1, max_size=8))
def test_claims_are_equal_exactly_when_the_bodies_are_and_name_the_fields_that_differ(
    pairs: list[tuple[dict[str, Any], dict[str, float]]],
) -> None:
    bodies = [body | place for body, place in pairs]
    made = claims(TransactionBatch.of([Transaction.model_validate(body) for body in bodies]))
    for body, claim in zip(bodies, made, strict=True):
        assert b"\n" not in claim
        for other, another in zip(bodies, made, strict=True):
            different = {name for name in CLAIM_FIELDS if body.get(name) != other.get(name)}
            assert set(differences(claim, another)) == different
            assert (claim == another) == (not different)


def test_a_claim_does_not_depend_on_its_neighbours() -> None:
    one = Transaction.model_validate({"timestamp": 1_700_000_000, "customer_id": "a", "amount": 1})
    other = Transaction.model_validate({"timestamp": 1_700_000_000, "customer_id": 'b"', "amount": 2})
    [alone] = claims(TransactionBatch.of([one]))
    assert alone == b'["a",null,null,null,null,null,null,1700000000000,100,-2147483648,-2147483648]'
    assert claims(TransactionBatch.of([other, one, one]))[1:] == [alone, alone]


def test_a_claim_is_laid_out_as_those_that_the_store_holds_already() -> None:
    body = {"timestamp": 1_700_000_000, "amount": 2.5, "lat": 1.5, "long": -2.5, "transaction_id": "t"}
    words = {"customer_id": "c", "merchant_id": "m", "device_id": "d", "currency": "EUR"}
    words |= {"merchant_category": "k", "transaction_type": "online", "geo_location": "g"}
    [claim] = claims(TransactionBatch.of([Transaction.model_validate(body | words)]))
    assert claim == b'["c","m","d","EUR","k","online","g",1700000000000,250,1500000,-2500000]'


def test_every_text_of_a_transaction_but_its_id_is_in_its_claim() -> None:
    texts = {field.name for field in fields(TransactionBatch) if str(field.type).startswith("list[str")}
    assert {"transaction_id", *TEXT_COLUMNS} == texts
