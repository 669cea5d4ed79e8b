"""``tollgate up``: brings a stack to where all of it stands, from wherever it is."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

from cluster import head, registry, valkey
from cluster.environment import component_environment
from cluster.first_model import train_first_model
from cluster.gcs_store import check_gcs_store, forget_unfinished_shutdown
from cluster.ports import conflicts
from cluster.processes import MLFLOW, RAY, VALKEY, owned_by, stop
from cluster.reach import check_keys, check_shared_servers
from cluster.record import exclusive, refuse_changes, remember
from cluster.registry import Champion
from cluster.release import tell_nodes
from cluster.secret_files import make_secret
from cluster.serve_config import check_config, config_to_deploy, read_config, serves_the_champion
from cluster.serve_rest import deploy, wait_until_running
from cluster.settings import ClusterSettings
from cluster.steps import Steps
from cluster.waiting import wait_until
from deployments.access.door import check_door
from deployments.ledger.folders import models_folder
from deployments.live_settings import NOT_TAKEN
from features.definitions import fingerprint
from features.errors import ClusterError
from features.store_address import public_address
from training.api_key import key_headers

READY_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class UpResult:
    """What stands after ``up``; ``seconds`` says how long each step took."""

    already_running: bool
    champion: str
    seconds: dict[str, float]


def up(settings: ClusterSettings, environment: Mapping[str, str], steps: Steps) -> UpResult:
    """Start whatever of the stack does not stand yet, then deploy the Serve config and wait for it.

    Every part is first looked at: one that answers stays, the remains of one that does not are removed. So
    ``up`` on a running stack redeploys the config, and ``up`` after a crash repairs.

    Raises:
        InvalidKeys: the service would let everybody in, and not this machine alone; or there are no keys where
            they are said to be.
        StoreRefused: the online store, or Ray's, must not be reached like this.
        ClusterError: a port is taken, a part did not come up, or the stack stands with other settings.
    """
    check_door(settings.host, component_environment(settings, RAY, environment))
    check_config(settings.config)
    check_keys(settings)
    check_shared_servers(settings)
    with exclusive(settings.home):
        refuse_changes(settings)
        for folder in (settings.logs, settings.work, settings.data):
            folder.mkdir(parents=True, exist_ok=True)
        for secret in (settings.ray_token_file, settings.valkey_password_file):
            make_secret(secret)
        running = running_components(settings, steps)
        _check_ports(settings, steps)
        remember(settings)
        check_gcs_store(settings, environment)
        wait_for_store(settings, environment, steps, VALKEY in running)
        _registry(settings, environment, steps, MLFLOW in running)
        champion = champion_to_serve(settings, environment, steps)
        check_release(settings, champion, steps, serving=RAY in running)
        if RAY not in running:
            tell_nodes(settings)  # A head that runs goes on with the release that it was started with.
            if forget_unfinished_shutdown(settings):
                steps.say(
                    "An earlier `tollgate down` was cut off: what Ray kept of that cluster has been removed."
                    " Worker nodes that are still up need `tollgate down` and `tollgate join`."
                )
            with steps.step("Ray head"):
                head.start_head(settings, environment)
        _deploy(settings, steps)
    return UpResult(RAY in running, champion.version, steps.seconds)


def running_components(settings: ClusterSettings, steps: Steps) -> set[str]:
    """Return the components that run, and answer or load their data; stop the processes of all others."""
    answering: dict[str, Callable[[], bool]] = {
        VALKEY: lambda: (
            valkey.answers(settings.redis_url) or valkey.loaded_percent(settings.redis_url) is not None
        ),
        MLFLOW: lambda: registry.answers(settings.mlflow_uri),
        RAY: lambda: head.is_up(settings),
    }
    running = {name for name, up in answering.items() if owned_by(settings.home, name) and up()}
    remains = [one for one in owned_by(settings.home) if one.component not in running]
    if running:
        steps.say(f"Already running: {', '.join(sorted(running))}.")
    if remains:
        with steps.step("Removing what an earlier run left") as tell:
            parts = sorted({one.component for one in remains})
            tell(f"{len(remains)} processes of {', '.join(parts)}")
            if RAY not in running:
                head.stop_ray(settings)
            stop(remains, settings.waits.process_stop_s)
    if RAY not in running:
        head.keep_logs(settings)
    return running


def _check_ports(settings: ClusterSettings, steps: Steps) -> None:
    with steps.step("Ports"):
        if taken := conflicts(settings.needed_ports(), settings.home):
            raise ClusterError("\n".join(taken))


def wait_for_store(settings: ClusterSettings, environment: Mapping[str, str], steps: Steps, running: bool) -> None:
    """Return once the online store answers; start the embedded one, unless it is running.

    Raises:
        ClusterError: it does not.
    """
    if settings.redis_url_external:
        with steps.step("Online store (TOLLGATE_REDIS_URL)") as tell:
            valkey.wait_while_loading(settings.redis_url, tell)
            name = f"{settings.redis_address} (TOLLGATE_REDIS_URL)"
            valkey.check_answers(settings.redis_url, name)
            tell(valkey.check_keeps(settings.redis_url, name))
    elif not running:
        with steps.step("Valkey") as tell:
            valkey.start_valkey(settings, environment, tell)
    elif valkey.loaded_percent(settings.redis_url) is not None:
        with steps.step("Valkey") as tell:
            valkey.wait_while_loading(settings.redis_url, tell)


def _registry(settings: ClusterSettings, environment: Mapping[str, str], steps: Steps, running: bool) -> None:
    if not settings.mlflow_uri_external and not running:
        with steps.step("MLflow"):
            registry.start_mlflow(settings, environment)


def champion_to_serve(settings: ClusterSettings, environment: Mapping[str, str], steps: Steps) -> Champion:
    """Return what ``champion`` names; train a first model where it names none.

    Raises:
        ClusterError: the registry does not answer, or training failed.
    """
    with steps.step("Model registry") as tell:
        champion = registry.champion(settings.mlflow_uri)
        tell(f"champion is version {champion.version}" if champion else "no champion yet")
    if champion:
        return champion
    steps.say(f"Training a first model on {settings.first_model_transactions:,} simulated transactions.")
    with steps.step("First model", live=False):
        train_first_model(settings, environment)
        champion = registry.champion(settings.mlflow_uri)
    if champion is None:
        raise ClusterError(
            f"Training ended, but {public_address(settings.mlflow_uri)} still has no `{registry.ALIAS}`."
        )
    return champion


def check_release(settings: ClusterSettings, champion: Champion, steps: Steps, *, serving: bool) -> None:
    """Say what decides while the champion was trained on other features than this release computes.

    Args:
        serving: whether there are replicas, which go on as they are.

    Raises:
        ClusterError: nothing would.
    """
    if champion.fits or not serves_the_champion(read_config(settings.config)):
        return
    foreign = (
        f"Version {champion.version}, the champion, was trained on other features ({champion.fingerprint}) than"
        f" this release computes ({fingerprint()})"
    )
    if serving:
        steps.say(f"{foreign}: what runs goes on as it is.")
    elif decided := _decided_here(settings):
        steps.say(f"{foreign}: version {decided}, which decided last on this machine, goes on.")
    elif not settings.hosts.alone:
        steps.say(f"{foreign}: nodes that keep a version for this release go on with it.")
    else:
        raise ClusterError(
            f"{foreign}: nothing was deployed. Store and registry are up: `tollgate train` on your history makes a"
            " version for this release, and `tollgate backfill` loads the windows of its features; or"
            " `tollgate models rollback` goes back. Then `tollgate up` again. docs/operations.md: Upgrading."
        )


def _decided_here(settings: ClusterSettings) -> str:
    """Return the version for this release that decided last on this machine, "" where none can be served."""
    from deployments.served_bundles import kept_bundles  # It takes a second to import, and is hardly ever needed.
    from deployments.settings import ModelRef

    kept = kept_bundles(settings.mlflow_uri, models_folder(settings.data))
    version = kept.decided(ModelRef(name=registry.MODEL, alias=registry.ALIAS)) or ""
    return version if version and kept.load(registry.MODEL, version, fingerprint()) else ""


def _deploy(settings: ClusterSettings, steps: Steps) -> None:
    path, config = config_to_deploy(settings)
    with steps.step(f"Deploying {path.name}") as tell:
        deploy(settings, config)
        tell("")
        wait_until_running(settings, tell)
        tell("")
    with steps.step("Readiness"):
        last = "it did not answer"

        def ready() -> bool:
            nonlocal last
            try:
                answer = httpx.get(f"{settings.http_url}/ready", headers=key_headers(), timeout=READY_TIMEOUT_S)
            except httpx.TransportError as error:
                last = str(error)
                return False
            last = answer.text
            return answer.status_code == httpx.codes.OK

        if not wait_until(ready, settings.waits.ready_s):
            raise ClusterError(
                f"{settings.http_url}/ready did not become ready: {last}\n"
                f"The logs are in {settings.ray_logs}/serve."
            )
        if refused := not_taken(last):
            raise ClusterError("\n".join([f"{path} was deployed, but not all of it was taken.", *refused]))


def not_taken(ready: str) -> list[str]:
    """Return a sentence for each part that refused its settings, from the answer of GET /ready; with API keys in
    force it tells a stranger none.

    >>> not_taken('{"dependencies": {"router": {"problem": "%s: a rule is bad"}}}' % NOT_TAKEN)
    ['router: the new user_config was not taken, the old one stays: a rule is bad']
    """
    parts = json.loads(ready).get("dependencies", {})
    return [
        f"{name}: {state['problem']}" for name, state in parts.items() if NOT_TAKEN in state.get("problem", "")
    ]
