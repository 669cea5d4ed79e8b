from pathlib import Path

from cluster.serve_rest import Application, Deployment, failure


def test_a_failure_names_the_deployment_serves_words_and_its_log() -> None:
    broken = Deployment("Router", "UNHEALTHY", "no module named x", 0, 1, ("/serve/replica_1.log",))
    fine = Deployment("Ingress", "HEALTHY", "", 1, 1, ("/serve/replica_2.log",))
    said = failure([Application("tollgate", "DEPLOY_FAILED", "it broke", (broken, fine))], Path("/logs"))
    assert "tollgate is DEPLOY_FAILED. it broke" in said
    assert "Router is UNHEALTHY. no module named x" in said
    assert "/logs/serve/replica_1.log" in said
    assert "Ingress" not in said
