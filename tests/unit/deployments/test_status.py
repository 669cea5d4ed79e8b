import pytest

from deployments.status import Status, decides


def status(ok: bool) -> Status:
    return Status(ok=ok, detail="", problem="", replica="", uptime_s=0.0)


def test_a_node_decides_while_every_part_serves_that_decisions_wait_for() -> None:
    assert decides({"router": status(True), "features": status(True), "decision_log": status(True)})
    assert not decides({"router": status(True), "features": status(False), "decision_log": status(True)})


@pytest.mark.parametrize("away", ["decision_log", "registry"])
def test_a_node_decides_also_without_what_no_decision_waits_for(away: str) -> None:
    assert decides({"router": status(True), away: status(False)})
