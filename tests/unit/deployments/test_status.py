from deployments.status import Status, decides


def status(ok: bool) -> Status:
    return Status(ok=ok, detail="", problem="", replica="", uptime_s=0.0)


def test_a_node_decides_while_every_part_serves_that_decisions_wait_for() -> None:
    assert decides({"router": status(True), "features": status(True), "decision_log": status(True)})
    assert not decides({"router": status(True), "features": status(False), "decision_log": status(True)})


def test_a_node_decides_also_while_nobody_archives_what_it_decided() -> None:
    assert decides({"router": status(True), "decision_log": status(False)})
