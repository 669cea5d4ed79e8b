"""The payments of a trial, and the probes that count them."""

import json
from itertools import islice

import pytest

from loadtests.chaos.payments import Kind, Payment, payments, per, probes


def test_the_same_seed_gives_the_same_payments_but_for_their_time() -> None:
    one, other = (list(islice(payments("t", 7, lambda: 5.0), 50)) for _ in range(2))
    assert one == other
    assert one != list(islice(payments("t", 8, lambda: 5.0), 50))


def test_ids_are_of_the_trial_and_differ() -> None:
    ids = [one.transaction_id for one in islice(payments("t", 1), 100)]
    assert len(set(ids)) == 100
    assert all(name.startswith("t-") for name in ids)


def test_the_body_says_what_the_payment_is() -> None:
    one = next(payments("t", 1, lambda: 12.5))
    document = json.loads(one.body)
    assert document["transaction_id"] == one.transaction_id
    assert document["timestamp"] == 12.5
    assert round(document["amount"] * 100) == one.amount_minor


@pytest.mark.parametrize("kind", ["customer_id", "device_id", "merchant_id"])
@pytest.mark.parametrize("count", [3, 60, 600])
def test_there_is_a_probe_of_each_customer_device_and_merchant_after_all_payments(kind: Kind, count: int) -> None:
    sent = list(islice(payments("t", 1, lambda: 100.0), count))
    found = probes("t", sent)
    assert per(found, kind).keys() == per(sent, kind).keys()
    assert {one.time_s for one in found} == {101.0}


def test_probes_have_ids_of_their_own() -> None:
    sent = list(islice(payments("t", 1), 60))
    assert not ids_of(sent) & ids_of(probes("t", sent))
    assert probes("t", []) == []


def ids_of(sent: list[Payment]) -> set[str]:
    return {one.transaction_id for one in sent}
