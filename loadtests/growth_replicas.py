"""Throughput and latency of a running stack with one ingress replica and with two, measured in turns with wrk."""

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from cluster.serve_config import config_to_deploy
from cluster.serve_rest import deploy, wait_until_running
from cluster.settings import ClusterSettings
from loadtests.growth_measures import Measure, measure
from loadtests.wrk import Sample, find_wrk, run_wrk

REPLICAS: Final = (1, 2)
CONNECTIONS: Final = 64
ROUNDS: Final = 3
WARM_UP_S: Final = 2
SETTLE_S: Final = 4.0
"""Serve takes a new config, and HAProxy the new replicas, a moment after they were accepted."""


def replica_growth(settings: ClusterSettings, seconds: int, done: Callable[[], None]) -> Iterator[Measure]:
    """Yield rate and latency with 1 and 2 ingress replicas; in the end the stack has its own config again.

    Raises:
        ClusterError: Serve refused a config, or it did not come up.
        WrkFailed: wrk is missing, or no request was answered with a success.
    """
    wrk = find_wrk("wrk")
    url = f"{settings.http_url}/predict"
    _, config = config_to_deploy(settings)
    samples: dict[int, list[Sample]] = {replicas: [] for replicas in REPLICAS}
    try:
        for _ in range(ROUNDS):
            for replicas in REPLICAS:
                deploy(settings, held(config, replicas))
                time.sleep(SETTLE_S)  # Serve shows the old state until its controller has taken the config.
                wait_until_running(settings, lambda _: None)
                run_wrk(wrk, url, CONNECTIONS, WARM_UP_S)
                samples[replicas].append(run_wrk(wrk, url, CONNECTIONS, seconds))
                done()
    finally:
        deploy(settings, config)
    for replicas, found in samples.items():
        yield measure("replicas", replicas, "decisions", "/s", [sample.requests_per_s for sample in found])
        yield measure("replicas", replicas, "p50", "ms", [sample.p50_ms for sample in found])
        yield measure("replicas", replicas, "p99", "ms", [sample.p99_ms for sample in found])
        yield measure("replicas", replicas, "failed", "requests", [float(sample.failed) for sample in found])


def held(config: dict[str, Any], ingress_replicas: int) -> dict[str, Any]:
    """Return a copy of a Serve config with so many ingress replicas, and one of each other deployment.

    Bounds of the autoscaler are narrowed rather than taken away, since that changes no code version.
    """
    changed = copy.deepcopy(config)
    for application in changed["applications"]:
        for deployment in application["deployments"]:
            replicas = ingress_replicas if deployment["name"] == "Ingress" else 1
            if "autoscaling_config" in deployment:
                deployment["autoscaling_config"] |= {"min_replicas": replicas, "max_replicas": replicas}
    return changed
