"""A first model for an empty registry: simulate a history, train on it, register the result."""

import subprocess
import sys
from collections.abc import Mapping

from cluster.environment import component_environment
from cluster.processes import TRAINING
from cluster.settings import ClusterSettings
from features.errors import ClusterError


def train_first_model(settings: ClusterSettings, base: Mapping[str, str]) -> None:
    """Run ``tollgate simulate`` and ``tollgate train``, which show their own progress.

    They run as processes of their own: training starts a local Ray, which must be gone before the head
    starts, and nothing of it stays in this process.

    Raises:
        ClusterError: one of them failed.
    """
    history = settings.home / "data" / "history"
    _run(
        settings,
        base,
        "simulate",
        "--out",
        str(history),
        "--transactions",
        str(settings.first_model_transactions),
    )
    _run(settings, base, "train", "--history", str(history))


def _run(settings: ClusterSettings, base: Mapping[str, str], *arguments: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "cluster", *arguments],
        env=component_environment(settings, TRAINING, base),
        cwd=settings.work,
        check=False,
    )
    if finished.returncode:
        raise ClusterError(
            f"`tollgate {' '.join(arguments)}` failed (exit code {finished.returncode}); see above."
        )
