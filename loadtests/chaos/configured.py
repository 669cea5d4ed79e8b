"""The stack with a config for trials, and in the end with its own again."""

from collections.abc import Iterator
from contextlib import contextmanager

import yaml

from cluster.record import remember
from cluster.serve_config import config_to_deploy
from cluster.settings import ClusterSettings
from loadtests.chaos import stack_processes
from loadtests.chaos.changes import SERVED_KINDS
from loadtests.chaos.serve_changes import for_trials, put_in_force


@contextmanager
def configured(settings: ClusterSettings, replicas: int) -> Iterator[ClusterSettings]:
    """Deploy a copy of the stack's config that suits trials, and give the settings that name it.

    Whoever repairs the stack deploys the config of its settings, so they must name the copy.

    Raises:
        ClusterError: it did not come into force.
    """
    path, own = config_to_deploy(settings)
    copy = settings.home / f"chaos-{path.name}"
    copy.write_text(yaml.safe_dump(for_trials(own, replicas), sort_keys=False))
    changed = settings.model_copy(update={"config": copy})
    _, config = config_to_deploy(changed)

    def there() -> bool:
        return all(len(stack_processes.replicas(settings, kind)) == replicas for kind in SERVED_KINDS)

    remember(changed)
    try:
        put_in_force(settings, config, there)
        yield changed
    finally:
        remember(settings)
        put_in_force(settings, own, lambda: True)
