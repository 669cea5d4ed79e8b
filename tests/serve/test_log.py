"""The promises of docs/guarantees.md on the real graph: retries, the log, and a new champion."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from deployments.ledger.archive import Archive
from deployments.ledger.folders import archive_folder
from features.definitions import FEATURE_NAMES, fingerprint
from loadtests.chaos.second_version import second_version
from tests.serve.conftest import Stack
from tests.serve.test_decisions import Json, eventually, payment
from training.registry import Registry

pytestmark = pytest.mark.serve


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.http, timeout=60) as client:
        yield client


def named(**fields: object) -> Json:
    return payment(transaction_id=f"log-{time.monotonic_ns()}", **fields)


def test_a_retry_gets_the_decision_that_stands_and_another_body_is_refused(client: httpx.Client) -> None:
    body = named(amount=120.5)
    first = client.post("/predict", json=body).json()
    again = client.post("/predict", json=body).json()
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    assert {**again, "duplicate": False} == first
    other = client.post("/predict", json={**body, "amount": 121, "merchant_id": "m"})
    assert other.status_code == 409
    assert [detail["field"] for detail in other.json()["error"]["details"]] == ["merchant_id", "amount"]
    rows = client.post("/predict/batch", json=[body, {**body, "amount": 1}]).json()
    assert (rows["decided"], rows["failed"]) == (1, 1)
    assert rows["results"][0]["duplicate"]
    assert rows["results"][1]["error"]["code"] == "transaction_conflict"


def test_copies_at_one_moment_get_one_decision(client: httpx.Client) -> None:
    body = named()
    with ThreadPoolExecutor(16) as pool:
        answers = [one.json() for one in pool.map(lambda _: client.post("/predict", json=body), range(16))]
    assert sorted(answer.pop("duplicate") for answer in answers) == [False] + [True] * 15
    assert all(answer == answers[0] for answer in answers)


def test_a_decision_is_found_drained_and_made_again(stack: Stack, client: httpx.Client) -> None:
    body = named(amount=80)
    decided = client.post("/predict?include=features", json=body).json()
    found = client.get(f"/decisions/{body['transaction_id']}").json()
    assert found["features"] == decided["features"]
    assert list(found["features"]) == list(FEATURE_NAMES)
    assert (found["transaction"]["amount"], found["fingerprint"]) == (80, fingerprint())
    for name in ("decision", "fraud_probability", "model_scores", "rules", "explanation", "model_version"):
        assert found[name] == decided[name], name
    drained = stack.tollgate("drain")
    assert drained.returncode == 0, drained.stderr
    assert client.get(f"/decisions/{body['transaction_id']}").json() == found
    audited = stack.tollgate("audit")
    assert " 0 differences, " in audited.stderr, audited.stderr + audited.stdout
    # A replay with --clear forgets decisions and makes those of its history anew: they are there twice.
    none_twice = " 0 transactions logged more than once" in audited.stderr
    assert audited.returncode == (0 if none_twice else 1)
    archive = Archive(archive_folder(stack.home / "data"))
    rows = [row for day in archive.days() for table in archive.tables(day) for row in table.to_pylist()]
    live = Counter(row["transaction_id"] for row in rows if row["transaction_id"].startswith("log-"))
    assert set(live.values()) == {1}
    assert client.get("/decisions/nobody").status_code == 404


def test_a_new_champion_is_taken_under_load_without_a_failed_or_mixed_decision(
    stack: Stack, client: httpx.Client
) -> None:
    registry = Registry(stack.mlflow)
    old, new = second_version(stack.mlflow)
    seen: list[Json] = []

    def decide() -> str:
        answer = client.post("/predict", json=payment())
        assert answer.status_code == 200, answer.text
        seen.append(answer.json())
        return str(seen[-1]["model_version"])

    assert decide() == old
    registry.promote(new)
    try:
        eventually(lambda: decide() == new, "the new version decides")
    finally:
        registry.promote(old)
    eventually(lambda: decide() == old, "the old version decides again")
    assert {answer["model_version"] for answer in seen} == {old, new}
    assert {tuple(answer["degraded"]) for answer in seen} == {()}
