"""How the graph scales: each replica says how busy its process is, and the policy keeps that near a target.

A hop carries a whole micro-batch a call, so few calls are ever under way, however loaded it is: the number of
ongoing requests, by which Serve scales as a rule, says nothing here. What a replica can run out of is the one
core that Python lets it use.
"""

import time
from typing import Any

from ray.serve.config import AutoscalingContext


class BusyShare:
    """Measures the share of a core that this process used since it was last asked."""

    def __init__(self) -> None:
        self._wall_s = time.monotonic()
        self._cpu_s = time.process_time()
        self._share = 0.0

    def since_last(self) -> float:
        """Return CPU seconds a second, from 0 to about 1 (more with several busy threads)."""
        wall_s, cpu_s = time.monotonic(), time.process_time()
        if wall_s > self._wall_s:
            self._share = (cpu_s - self._cpu_s) / (wall_s - self._wall_s)
            self._wall_s, self._cpu_s = wall_s, cpu_s
        return self._share


class ByBusyShare:
    """Serve's autoscaling policy: as many replicas as bring the mean busy share to the target.

    Serve applies the bounds, factors and delays of ``autoscaling_config`` to what it returns.

    Args:
        target: share of a core, 0 < target < 1.
    """

    def __init__(self, target: float = 0.6) -> None:
        if not 0 < target < 1:
            raise ValueError(f"target must lie between 0 and 1, not {target}")
        self._target = target

    def __call__(self, context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
        """Return the wanted number of replicas, and no state of its own."""
        shares = (context.aggregated_metrics or {}).get("busy", {})
        if not shares:
            return context.target_num_replicas, {}
        mean = sum(shares.values()) / len(shares)
        return context.current_num_replicas * mean / self._target, {}
