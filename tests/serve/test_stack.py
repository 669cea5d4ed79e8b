"""What `tollgate status` and `up` say of the running stack, and where its metrics are."""

import contextlib
import time

import httpx
import psutil
import pytest

from cluster.processes import RAY, owned_by
from cluster.record import remembered
from cluster.waiting import wait_until
from tests.serve.conftest import Stack
from tests.serve.test_decisions import payment

pytestmark = pytest.mark.serve


def test_the_status_of_a_stack_that_stands_names_every_part_and_is_exit_code_0(stack: Stack) -> None:
    shown = stack.tollgate("status")
    assert shown.returncode == 0, shown.stdout
    for part in ("Valkey", "champion is version", "ALIVE", "Ingress", "Router", "ready"):
        assert part in shown.stdout


def test_up_on_a_running_stack_deploys_again_and_starts_nothing_new(stack: Stack) -> None:
    before = {one.process.pid for one in owned_by(stack.home, RAY) if one.name in ("gcs_server", "raylet")}
    port_base = httpx.URL(stack.http).port
    shown = stack.tollgate("up", "--port-base", str(port_base))
    assert shown.returncode == 0, shown.stderr
    assert "running already" in shown.stderr
    after = {one.process.pid for one in owned_by(stack.home, RAY) if one.name in ("gcs_server", "raylet")}
    assert before == after


def test_a_running_stack_is_not_moved_to_other_ports(stack: Stack) -> None:
    refused = stack.tollgate("up", "--port", "http=29999")
    assert refused.returncode == 1
    assert "tollgate down" in refused.stderr


def test_decisions_are_counted_where_prometheus_looks(stack: Stack) -> None:
    payment = {"timestamp": 1_770_000_000, "customer_id": "metrics", "amount": 12}
    assert httpx.post(f"{stack.http}/predict", json=payment, timeout=30).status_code == 200
    settings = remembered(stack.home)
    assert settings is not None
    url = f"http://127.0.0.1:{settings.ports.metrics}/metrics"

    def counted() -> bool:
        lines = httpx.get(url, timeout=30).text.splitlines()
        return any(line.startswith("ray_tollgate_decisions_total{") and 'decision="' in line for line in lines)

    assert wait_until(counted, 60)  # Replicas report every 10 s.


def test_after_kill_9_of_everything_up_brings_back_what_was_decided(stack: Stack) -> None:
    body = payment(transaction_id=f"before-{time.monotonic_ns()}")
    decided = httpx.post(f"{stack.http}/predict", json=body, timeout=30).json()
    assert decided["duplicate"] is False
    processes = [one.process for one in owned_by(stack.home)]
    assert {"valkey-server", "raylet", "gcs_server", "haproxy"} <= {process.name() for process in processes}
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=30)
    port_base = httpx.URL(stack.http).port
    shown = stack.tollgate("up", "--port-base", str(port_base))
    assert shown.returncode == 0, shown.stderr
    again = httpx.post(f"{stack.http}/predict", json=body, timeout=30).json()
    assert again == {**decided, "duplicate": True}
    later = payment(customer_id=body["customer_id"])
    counted = httpx.post(f"{stack.http}/predict?include=features", json=later, timeout=30).json()
    assert counted["features"]["count_last_1h"] == 1
