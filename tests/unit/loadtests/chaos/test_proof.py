"""The proof: each kind of loss and each kind of double counting is found."""

import json
from pathlib import Path

import httpx
import pytest

from deployments.ledger.folders import spool_folder
from features.errors import ClusterError
from loadtests.chaos import proof
from loadtests.chaos.asked import Told
from loadtests.chaos.client import Client
from loadtests.chaos.payments import Kind, Payment, per
from loadtests.chaos.proof import (
    COUNTS,
    Counted,
    Proof,
    compare,
    counted,
    miscounted,
    settled,
    told_of,
    waiting_bytes,
)
from tests.unit.loadtests.chaos.fakes import TOLD, a_payment, asked, attempt
from tests.unit.loadtests.chaos.test_client import client_of

GOOD = [asked(attempt(), attempt(duplicate=True), number=number) for number in range(2)]
ROWS = [("p-0", TOLD), ("p-1", TOLD)]


def test_what_was_told_is_archived_and_counted_once_leaves_nothing_to_say() -> None:
    assert compare(GOOD, [*ROWS, ("p-probe-0", TOLD)], (0, 0)) == Proof()


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([ROWS[0]], Proof(lost=["p-1"])),
        ([*ROWS, ROWS[1]], Proof(archived_twice=["p-1"])),
        ([ROWS[0], ("p-1", Told("BLOCK", 0.9, "3"))], Proof(otherwise=["p-1"])),
    ],
)
def test_a_record_that_is_not_what_was_told_is_named(rows: list[tuple[str, Told]], found: Proof) -> None:
    assert compare(GOOD, rows, (0, 0)) == found


def test_of_two_decisions_one_made_without_the_store_either_may_stand() -> None:
    other = Told("BLOCK", 0.9, "3")
    one = asked(attempt(degraded=("feature_store",)), attempt(told=other), attempt(duplicate=True))
    assert compare([one], [("p-0", other)], (0, 0)) == Proof()
    assert compare([one], [("p-0", Told("REVIEW", 0.9, "3"))], (0, 0)).otherwise == ["p-0"]


def test_a_repetition_that_was_decided_anew_is_named() -> None:
    assert compare([asked(attempt(), attempt())], ROWS, (1, 2)) == Proof(
        unremembered=["p-0"], counted_twice=1, uncounted=2
    )


def test_a_repetition_without_the_store_need_not_know_of_the_first() -> None:
    again = attempt(degraded=("feature_store", "decision_log"))
    assert compare([asked(attempt(), again)], ROWS, (0, 0)) == Proof()


def test_what_nobody_was_told_need_not_be_archived() -> None:
    assert compare([asked(attempt(503))], [], (0, 0)) == Proof()


def found_of(sent: list[Payment]) -> Counted:
    """What a store has counted that has counted these, each once."""
    return {kind: dict(per(sent, kind)) for kind in COUNTS}


@pytest.mark.parametrize("kind", list(COUNTS))
def test_payments_too_many_and_too_few_do_not_cancel_out(kind: Kind) -> None:
    sent = [a_payment(0, "a", merchant="m"), a_payment(1, "a", merchant="m"), a_payment(2, "b", merchant="n")]
    found = found_of(sent)
    assert miscounted(sent, [], found) == (0, 0)
    first, _, second = (getattr(one, kind) for one in sent)
    found[kind] = {first: 3, second: 0}
    assert miscounted(sent, [], found) == (1, 1)


def test_a_payment_that_is_counted_twice_of_customer_device_and_merchant_is_one_too_many() -> None:
    sent = [a_payment(0), a_payment(1)]
    assert miscounted(sent, [], found_of([*sent, sent[0]])) == (1, 0)


def test_a_payment_that_failed_may_be_counted_or_not() -> None:
    sent = [a_payment(0, "a"), a_payment(1, "a")]
    assert miscounted(sent, sent[:1], found_of(sent)) == (0, 0)
    assert miscounted(sent, sent[:1], found_of(sent[1:])) == (0, 0)
    assert miscounted(sent, sent[:1], found_of([*sent, sent[0]])) == (1, 0)


def test_a_row_without_scores_was_told_without_a_probability() -> None:
    row = {"decision": 0, "probability": float("nan"), "lr_version": "", "xgb_version": ""}
    assert told_of(row) == Told("APPROVE", None, "")


def test_the_proof_waits_for_the_disk_and_says_when_it_waits_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, data = tmp_path / "one", tmp_path / "other"
    assert waiting_bytes(data) == 0
    folder = spool_folder(data)
    folder.mkdir(parents=True)
    (folder / "one.spool").write_bytes(b"12345")
    assert waiting_bytes(data) == 5
    settled([empty, data], lambda _: (folder / "one.spool").unlink())
    (folder / "two.spool").write_bytes(b"1")
    monkeypatch.setattr(proof, "SETTLED_S", 0.0)
    with pytest.raises(ClusterError, match=f"still wait for the store: 1 bytes in {folder}"):
        settled([empty, data], lambda _: None)


class Counting:
    """A service that has counted seven payments of each customer, six of each device, five of each merchant."""

    def __init__(self, degraded: list[str]) -> None:
        self._degraded = degraded

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.url.query == b"include=features"
        return httpx.Response(
            200,
            json={
                "transaction_id": json.loads(request.content)["transaction_id"],
                "decision": "APPROVE",
                "fraud_probability": 0.1,
                "model_version": "3",
                "duplicate": False,
                "degraded": self._degraded,
                "features": {"count_last_24h": 7.0, "device_count_last_24h": 6.0, "merchant_count_last_24h": 5.0},
            },
        )


async def _counted(client: Client) -> Counted:
    return await counted(client, "t", [a_payment(0, "a"), a_payment(1, "b")])


async def test_the_count_of_each_is_what_its_probe_sees() -> None:
    async with client_of(Counting([])) as client:
        assert await _counted(client) == {
            "customer_id": {"a": 7, "b": 7},
            "device_id": {"a-d": 6, "b-d": 6},
            "merchant_id": {"m0": 5},
        }


async def test_a_probe_without_history_proves_nothing() -> None:
    async with client_of(Counting(["feature_store"])) as client:
        with pytest.raises(ClusterError, match="was not decided as a whole"):
            await _counted(client)
