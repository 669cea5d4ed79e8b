"""The payments of a trial, and the probes that count them."""

import json
from itertools import islice

from loadtests.chaos.payments import payments, per_customer, probes


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


def test_there_is_a_probe_a_customer_after_all_of_its_payments() -> None:
    sent = list(islice(payments("t", 1, lambda: 100.0), 60))
    found = probes("t", sent)
    assert {one.customer_id for one in found} == set(per_customer(sent))
    assert all(one.time_s > 100.0 for one in found)
    assert not {one.transaction_id for one in found} & {one.transaction_id for one in sent}
    assert probes("t", []) == []
