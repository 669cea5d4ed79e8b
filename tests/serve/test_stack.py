"""What `tollgate status` and `up` say of the running stack, and where its metrics are."""

import httpx
import pytest

from cluster.processes import RAY, owned_by
from cluster.record import remembered
from cluster.waiting import wait_until
from tests.serve.conftest import Stack

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
