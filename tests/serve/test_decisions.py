"""The real graph over HTTP: what clients send, right and wrong, and what analysts change while it runs."""

import copy
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from cluster.processes import owned_by
from features.definitions import FEATURE_NAMES, fingerprint
from tests.serve.conftest import Stack

pytestmark = pytest.mark.serve

PAYLOADS = json.loads((Path(__file__).parents[1] / "payloads.json").read_text())
PATIENCE_S = 60.0
POLL_S = 0.25

Json = dict[str, Any]


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.http, timeout=30) as client:
        yield client


def payment(**fields: object) -> Json:
    return {
        "timestamp": datetime.now(UTC).isoformat(),
        "customer_id": f"c-{time.monotonic_ns()}",
        "amount": 25.5,
        **fields,
    }


def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(POLL_S)  # Polls a server that gives no notice.


@pytest.mark.parametrize("case", PAYLOADS, ids=lambda case: str(case["name"]))
def test_every_payload_of_a_real_client_is_accepted_as_it_is(client: httpx.Client, case: Json) -> None:
    answer = client.post("/predict", json=case["body"])
    assert answer.status_code == 200, answer.text
    decided = answer.json()
    assert decided["degraded"] == []
    assert decided["decision"] in ("BLOCK", "REVIEW", "APPROVE")
    assert decided["transaction_id_assigned"] == ("transaction_id" not in case["body"])
    if case["expect_prediction"] is not None:
        assert decided["prediction"] == case["expect_prediction"]


def test_a_blocked_payment_is_explained_in_words(client: httpx.Client) -> None:
    night = datetime.now(UTC).replace(hour=2) - timedelta(days=1)
    decided = client.post("/predict", json=payment(amount=5000, timestamp=night.isoformat())).json()
    assert decided["decision"] == "BLOCK"
    assert decided["prediction"] == "FRAUD"
    assert decided["rules"] == ["large_at_night"]
    assert decided["explanation"][0] == {
        "source": "rule",
        "code": "large_at_night",
        "text": "a payment of more than 2,000 at night",
    }
    assert {reason["source"] for reason in decided["explanation"]} == {"rule", "model"}


def test_history_is_counted_and_a_retry_is_not(client: httpx.Client) -> None:
    noon = datetime.now(UTC).replace(hour=12) - timedelta(days=1)

    def send(number: int, transaction_id: str) -> Json:
        body = payment(
            customer_id="retrier",
            transaction_id=transaction_id,
            amount=10.25,
            timestamp=(noon + timedelta(minutes=number)).isoformat(),
        )
        answer: Json = client.post("/predict?include=features", json=body).json()
        return answer

    first, second = send(0, "r-0"), send(1, "r-1")
    again = send(0, "r-0")
    third = send(2, "r-2")
    assert [a["features"]["count_last_1h"] for a in (first, second, again, third)] == [0, 1, 0, 2]
    assert again["features"] == first["features"]
    assert third["features"]["amount_last_1h"] == 20.5
    assert list(third["features"]) == list(FEATURE_NAMES)


def test_transactions_of_one_request_see_each_other_in_order(client: httpx.Client) -> None:
    now = datetime.now(UTC) - timedelta(hours=2)
    items = [
        payment(customer_id="sequence", timestamp=(now + timedelta(seconds=i)).isoformat()) for i in range(300)
    ]
    answer = client.post("/predict/batch?include=features", json=items).json()
    assert (answer["decided"], answer["failed"]) == (300, 0)
    assert [result["index"] for result in answer["results"]] == list(range(300))
    assert [result["features"]["count_last_24h"] for result in answer["results"]] == list(range(300))


def test_a_bad_item_leaves_its_neighbours_unharmed(client: httpx.Client) -> None:
    items = [payment(), payment(amount=-1), payment(colour="red"), payment()]
    results = client.post("/predict/batch", json=items).json()["results"]
    assert ["error" in result for result in results] == [False, True, True, False]
    assert results[1]["error"]["details"][0]["field"] == "amount"
    assert results[2]["error"]["details"][0]["field"] == "colour"


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/predict", b'{"timestamp": 1, ', 400, "body"),
        ("/predict", b"", 400, "body"),
        ("/predict", json.dumps(payment(amount=1e10)).encode(), 422, "amount"),
        ("/predict", json.dumps(payment(amount=float("nan"))).encode(), 422, "amount"),
        ("/predict", json.dumps(payment(timestamp="9999-01-01T00:00:00")).encode(), 422, "timestamp"),
        ("/predict", json.dumps(payment(transaction_id="x" * 2**20)).encode(), 422, "transaction_id"),
        ("/predict", json.dumps(payment(colour="red")).encode(), 422, "colour"),
        ("/predict?include=everything", json.dumps(payment()).encode(), 422, "query.include"),
        ("/predict/batch", b"[]", 422, "body"),
        ("/predict/batch", json.dumps(["not", "objects"]).encode(), 200, None),
        ("/predict/batch", b"[" + b",".join([b"{}"] * 100_001) + b"]", 422, "body"),
        ("/predict/batch", b"[" + b",".join([json.dumps(payment()).encode()] * 100_001) + b"]", 413, "body"),
    ],
)
def test_bad_input_gets_an_error_that_names_the_field(
    client: httpx.Client, path: str, body: bytes, status: int, field: str | None
) -> None:
    with ThreadPoolExecutor(8) as neighbours:
        beside = [neighbours.submit(client.post, "/predict", json=payment()) for _ in range(16)]
        answer = client.post(path, content=body)
        assert [neighbour.result().status_code for neighbour in beside] == [200] * 16
    assert answer.status_code == status, answer.text[:300]
    if field is not None:
        error = answer.json()["error"]
        assert error["message"]
        assert error["details"][0]["field"] == field


def test_the_hot_route_answers_in_front_of_serves_own_layers(client: httpx.Client) -> None:
    # Serve's layers give each answer an id; the hot route repeats the client's alone.
    assert "x-request-id" in client.get("/health").headers
    assert "x-request-id" not in client.post("/predict", json=payment()).headers
    answer = client.post("/predict", json=payment(), headers={"x-request-id": "mine"})
    assert answer.headers.get_list("x-request-id") == ["mine"]


def test_the_model_page_names_version_fingerprint_metrics_and_features(client: httpx.Client) -> None:
    model = client.get("/model").json()
    assert model["fingerprint"] == model["bundle"]["feature_fingerprint"] == fingerprint()
    assert model["bundle"]["feature_names"] == list(FEATURE_NAMES)
    assert set(model["bundle"]["metrics"]) == {"lr", "xgb", "ensemble"}
    assert client.post("/predict", json=payment()).json()["model_version"] == model["version"]


def test_readiness_names_each_dependency(client: httpx.Client) -> None:
    ready = client.get("/ready").json()
    assert ready["ready"]
    assert set(ready["dependencies"]) == {
        "features",
        "feature_store",
        "registry",
        "lr_model",
        "xgb_model",
        "router",
        "decision_log",
        "ingress",
    }


def test_a_new_policy_takes_effect_without_a_restart(stack: Stack, client: httpx.Client, tmp_path: Path) -> None:
    config = deployed_config(stack)
    before = replicas(client)
    with redeployed(stack, config, tmp_path, {"id": "any", "when": "amount > 0", "reason": "all are blocked"}):
        eventually(lambda: client.post("/predict", json=payment()).json()["rules"] == ["any"], "the new rule")
        assert replicas(client) == before
    eventually(lambda: client.post("/predict", json=payment()).json()["rules"] == [], "the old rules again")
    assert replicas(client) == before


def test_a_rule_that_does_not_compile_changes_nothing(stack: Stack, client: httpx.Client, tmp_path: Path) -> None:
    config = deployed_config(stack)
    before = replicas(client)
    with redeployed(stack, config, tmp_path, {"id": "broken", "when": "amonut > 1", "reason": "a typing error"}):
        eventually(lambda: "amonut" in client.get("/ready").text, "the reason on GET /ready")
        assert client.get("/ready").status_code == 200
        assert client.post("/predict", json=payment()).json()["decision"] == "APPROVE"
    eventually(lambda: "amonut" not in client.get("/ready").text, "no problem any more")
    assert replicas(client) == before


def test_without_the_store_payments_are_decided_and_say_so(stack: Stack, client: httpx.Client) -> None:
    [valkey] = [one.process for one in owned_by(stack.home) if one.name == "valkey-server"]
    process = psutil.Process(valkey.pid)
    process.suspend()
    try:
        body = payment(transaction_id=f"missed-{time.monotonic_ns()}", amount=700)
        decided = client.post("/predict", json=body)
        assert decided.status_code == 200
        assert decided.json()["degraded"] == ["feature_store", "decision_log"]
        assert decided.json()["rules"] == ["large_without_history"]
        ready = client.get("/ready")
        assert ready.status_code == 503
        dependencies = ready.json()["dependencies"]
        assert not dependencies["feature_store"]["ok"]
        assert dependencies["features"]["ok"]
        assert dependencies["registry"]["ok"]
    finally:
        process.resume()
    eventually(lambda: client.post("/predict", json=payment()).json()["degraded"] == [], "history again")
    # What the store missed is recorded and counted, once.
    path = f"/decisions/{body['transaction_id']}"
    eventually(lambda: client.get(path).status_code == 200, "the decision is on record")
    assert client.get(path).json()["decision"] == decided.json()["decision"] == "REVIEW"
    later = payment(customer_id=body["customer_id"])
    assert client.post("/predict?include=features", json=later).json()["features"]["count_last_1h"] == 1


def test_a_replay_finds_no_difference_between_online_and_offline(stack: Stack) -> None:
    # The history that the first model was trained on; the last 2,000 transactions of it.
    shown = stack.tollgate(
        "replay", "--history", str(stack.home / "data" / "history"), "--clear", "--limit", "2000"
    )
    assert shown.returncode == 0, shown.stderr + shown.stdout


def replicas(client: httpx.Client) -> dict[str, str]:
    dependencies = client.get("/ready").json()["dependencies"]
    return {name: status["replica"] for name, status in dependencies.items()}


def deployed_config(stack: Stack) -> Json:
    applications = stack.ask_ray("/api/serve/applications/").json()["applications"]
    [source] = Path(stack.home).glob("serve_config*.yaml")
    config: Json = yaml.safe_load(source.read_text())
    assert config["applications"][0]["name"] in applications
    return config


@contextmanager
def redeployed(stack: Stack, config: Json, folder: Path, rule: Json) -> Iterator[None]:
    """Let the policy have this one rule for a while, by `serve deploy` as an engineer calls it."""
    changed = copy.deepcopy(config)
    [router] = [d for d in changed["applications"][0]["deployments"] if d["name"] == "Router"]
    router["user_config"]["rules"] = [{"action": "BLOCK", **rule}]
    serve_deploy(stack, changed, folder / "changed.yaml")
    try:
        yield
    finally:
        serve_deploy(stack, config, folder / "original.yaml")


def serve_deploy(stack: Stack, config: Json, file: Path) -> None:
    file.write_text(yaml.safe_dump(config))
    environment = {**os.environ, **stack.ray_variables}
    command = [sys.executable, "-m", "ray.serve.scripts", "deploy", str(file), "--address", stack.dashboard]
    deployed = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert deployed.returncode == 0, deployed.stderr


def test_metrics_of_the_served_decisions_equal_those_of_the_offline_path(stack: Stack, tmp_path: Path) -> None:
    # The test period of the first model, which it has not seen.
    history = str(stack.home / "data" / "history")
    shown = stack.tollgate(
        "evaluate", "--live", "--clear", "--history", history, "--replicates", "20", "--out", str(tmp_path)
    )
    assert shown.returncode == 0, shown.stderr + shown.stdout
    assert "Every metric of the served decisions equals the offline one." in shown.stdout
    assert json.loads((tmp_path / "evaluation.json").read_text())["folds"][0]["frauds"] > 0
