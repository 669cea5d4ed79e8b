"""``tollgate upgrade-store``: the installed Valkey takes the place of the one that runs, on the same data."""

from collections.abc import Mapping

from cluster import valkey
from cluster.down import VALKEY_GRACE_S, stop_part
from cluster.processes import VALKEY, owned_by
from cluster.record import exclusive
from cluster.settings import ClusterSettings
from cluster.steps import Steps
from cluster.up import wait_for_store
from features.errors import ClusterError


def upgrade_store(settings: ClusterSettings, environment: Mapping[str, str], steps: Steps) -> tuple[str, str]:
    """Stop the embedded Valkey in order, so that its append-only file is whole; start the installed one on that.

    Everything else goes on: payments are decided meanwhile without the store, and recorded once it answers.

    Returns:
        the version that ran, and the one that runs.

    Raises:
        ClusterError: the store is a server of somebody's own, none of this stack answers, or the new one does not.
    """
    if settings.redis_url_external:
        raise ClusterError("The store is a server of yours (TOLLGATE_REDIS_URL): upgrade it by its own means.")
    with exclusive(settings.home):
        if not owned_by(settings.home, VALKEY) or not valkey.answers(settings.redis_url):
            raise ClusterError("No Valkey of this stack answers: `tollgate up` starts the installed one.")
        valkey.installed_binary()  # Before the one that runs is stopped.
        before = valkey.version(settings.redis_url)
        if stop_part(settings, steps, "Stopping Valkey", VALKEY, VALKEY_GRACE_S):
            steps.say("Valkey did not end in time and was killed; docs/guarantees.md says what that may lose.")
        wait_for_store(settings, environment, steps, running=False)
        return before, valkey.version(settings.redis_url)
