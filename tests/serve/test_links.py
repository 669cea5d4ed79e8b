"""Links between the replicas of a real graph: they are used, and a replica killed behind one harms little."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import psutil
import pytest

from cluster.processes import owned_by
from tests.serve.conftest import Stack

pytestmark = pytest.mark.serve

CALLED = ("Router", "Features", "LogisticRegression", "XGBoost")
PATIENCE_S = 90.0
POLL_S = 0.25


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.http, timeout=30) as client:
        yield client


def decide(client: httpx.Client) -> httpx.Response:
    payment = {"timestamp": datetime.now(UTC).isoformat(), "customer_id": "linked", "amount": 25.5}
    return client.post("/predict", json=payment)


def replica(stack: Stack, deployment: str) -> psutil.Process | None:
    """The process of a deployment's one replica, None while there is none."""
    for one in owned_by(stack.home):
        process = psutil.Process(one.process.pid)
        if process.cmdline()[:1] == [f"ray::ServeReplica:tollgate:{deployment}"]:
            return process
    return None


def callers(process: psutil.Process | None) -> int:
    """How many links lead to a replica: sockets under a name of ours, less the one that listens."""
    if process is None:
        return 0
    named = [c for c in process.net_connections("unix") if "tollgate-links" in str(c.laddr)]
    return max(len(named) - 1, 0)


def until_linked(stack: Stack, client: httpx.Client) -> list[httpx.Response]:
    """Decide payments until every hop has a link; return the answers."""
    deadline = time.monotonic() + PATIENCE_S
    answers = [decide(client)]
    while any(callers(replica(stack, name)) == 0 for name in CALLED):
        assert time.monotonic() < deadline, "not every hop got a link"
        time.sleep(POLL_S)  # Serve gives no notice when it has replaced a replica.
        answers.append(decide(client))
    return answers


def test_every_hop_of_a_decision_goes_over_a_link(stack: Stack, client: httpx.Client) -> None:
    assert all(answer.status_code == 200 for answer in until_linked(stack, client))


def test_a_replica_that_is_killed_is_replaced_and_linked_again(stack: Stack, client: httpx.Client) -> None:
    until_linked(stack, client)
    killed = replica(stack, "LogisticRegression")
    assert killed is not None
    killed.kill()
    killed.wait(30)
    for answer in until_linked(stack, client):
        # Decided, by the other model if need be, or told to come again; never lost, never an error of ours.
        assert answer.status_code in (200, 503)
        assert answer.status_code == 503 or answer.json()["degraded"] in ([], ["lr"])
    last = decide(client)
    assert (last.status_code, last.json()["degraded"]) == (200, [])
