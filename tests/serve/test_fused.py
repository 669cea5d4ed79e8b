"""The fused graph, deployed over the distributed one: the same answers from one deployment."""

from pathlib import Path

import httpx
import pytest

from cluster.settings import PROJECT
from tests.serve.conftest import Stack, patient
from tests.serve.test_decisions import PAYLOADS, Json, payment
from tests.serve.test_labels import check_labels

pytestmark = pytest.mark.serve


def test_the_fused_graph_answers_as_the_distributed_one(stack: Stack, tmp_path: Path) -> None:
    port_base = str(httpx.URL(stack.http).port)
    distributed = answers(stack, "a")
    try:
        config = patient(PROJECT / "serve_config.fused.yaml", tmp_path)
        changed = stack.tollgate("up", "--port-base", port_base, "--config", str(config))
        assert changed.returncode == 0, changed.stderr
        with httpx.Client(base_url=stack.http, timeout=30) as client:
            assert set(client.get("/ready").json()["dependencies"]) == {
                "features",
                "feature_store",
                "registry",
                "lr_model",
                "xgb_model",
                "router",
                "decision_log",
                "ingress",
            }
            replicas = {one["replica"] for one in client.get("/ready").json()["dependencies"].values()}
            assert len(replicas) == 1
            check_labels(client, "labelled-shop-of-the-fused-graph")
        assert answers(stack, "b") == distributed
    finally:
        restored = stack.tollgate("up", "--port-base", port_base)
    assert restored.returncode == 0, restored.stderr


def answers(stack: Stack, run: str) -> list[Json]:
    """Return what is decided of each payload, its features included, for customers that nobody has seen."""
    decided = []
    with httpx.Client(base_url=stack.http, timeout=30) as client:
        for number, case in enumerate(PAYLOADS):
            named = {
                name: f"{run}-{number}"
                for name in ("customer_id", "merchant_id", "device_id")
                if name in case["body"]
            }
            body = {**payment(), **case["body"], **named, "transaction_id": f"fused-{run}-{number}"}
            answer = client.post("/predict", params={"include": "features"}, json=body)
            assert answer.status_code == 200, answer.text
            decided.append({key: value for key, value in answer.json().items() if key != "transaction_id"})
    return decided
