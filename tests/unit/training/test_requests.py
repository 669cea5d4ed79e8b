"""A history row becomes a request that the door reads back to the same row."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.history import history_to_batch
from features.transaction import MAX_AMOUNT, Transaction, TransactionBatch, amount_to_minor
from tests.parity.histories import histories, history_table
from tests.parity.oracle import Event
from training.requests import request_bodies


@given(histories())
def test_a_request_is_read_back_to_the_same_transaction(events: list[Event]) -> None:
    table = history_table(events)
    bodies = json.loads(json.dumps(request_bodies(table)))
    read = TransactionBatch.of([Transaction.model_validate_json(json.dumps(body)) for body in bodies])
    expected = history_to_batch(table)
    assert read.transaction_id == expected.transaction_id
    assert (read.customer_id, read.merchant_id) == (expected.customer_id, expected.merchant_id)
    assert read.device_id == expected.device_id
    for name in ("event_time_ms", "amount_minor", "lat_udeg", "long_udeg"):
        np.testing.assert_array_equal(getattr(read, name), getattr(expected, name))


@given(st.integers(1, MAX_AMOUNT * 100))
def test_every_amount_survives_major_units_and_json(amount_minor: int) -> None:
    [body] = request_bodies(history_table([Event("t", 0, amount_minor, "ann")]))
    assert amount_to_minor(json.loads(json.dumps(body["amount"]))) == amount_minor


def test_what_a_row_lacks_its_request_lacks_too() -> None:
    [body] = request_bodies(history_table([Event("t", 1_533_686_400_001, 2550, "ann")]))
    assert body == {
        "transaction_id": "t",
        "timestamp": "2018-08-08T00:00:00.001Z",
        "customer_id": "ann",
        "amount": 25.5,
    }
