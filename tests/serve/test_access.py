"""Who gets into the real stack: keys at every door of it, and no secret where others could read it."""

import copy
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import psutil
import pytest
import redis

from cluster.processes import RAY, VALKEY, owned_by
from cluster.record import remembered
from deployments.access.key_file import write_keys
from deployments.access.keys import Rate, Scope, new_key
from features.store_address import public_address
from tests.serve.conftest import Stack
from tests.serve.test_decisions import deployed_config, eventually, payment, serve_deploy

pytestmark = pytest.mark.serve

ANSWERS = (
    "/api/serve/applications/",
    "/api/v0/nodes",
    "/api/v0/actors?detail=1",
    "/api/v0/workers?detail=1",
    "/api/v0/runtime_envs",
    "/nodes?view=details",
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A file of keys, and the keys of it by name."""
    path = tmp_path_factory.mktemp("keys") / "keys.yaml"
    score, score_text = new_key([Scope.SCORE])
    read, read_text = new_key([Scope.READ])
    slow, slow_text = new_key([Scope.SCORE], rate=Rate(per_s=0.1, burst=20))
    write_keys(path, [score, read, slow])
    return path, {"score": score_text, "read": read_text, "slow": slow_text}


@pytest.fixture(scope="module")
def locked(stack: Stack, keys: tuple[Path, dict[str, str]]) -> Iterator[Stack]:
    """The stack with keys in force, and afterwards as it was: a variable of the ingress replaces its replicas."""
    path, _ = keys
    config = deployed_config(stack)
    changed = copy.deepcopy(config)
    [ingress] = [d for d in changed["applications"][0]["deployments"] if d["name"] == "Ingress"]
    ingress["ray_actor_options"]["runtime_env"]["env_vars"]["TOLLGATE_API_KEYS_FILE"] = str(path)
    serve_deploy(stack, changed, path.parent / "locked.yaml")
    try:
        eventually(lambda: settled_at(stack, 401), "keys are asked for")
        yield stack
    finally:
        serve_deploy(stack, config, path.parent / "open.yaml")
    eventually(lambda: settled_at(stack, 200), "keys are not asked for any more")


def settled_at(stack: Stack, status: int) -> bool:
    """Return whether the application runs as deployed, and answers strangers like this."""
    application = stack.ask_ray("/api/serve/applications/").json()["applications"]["tollgate"]
    return (
        application["status"] == "RUNNING" and httpx.get(f"{stack.http}/model", timeout=30).status_code == status
    )


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def doors(stack: Stack) -> list[str]:
    """Return every address that answers payments: HAProxy's, of each ingress replica, of Serve's own proxy."""
    found = [stack.http]
    for one in owned_by(stack.home, RAY):
        if "Ingress" in one.name or "ProxyActor" in one.name:
            listening = [c.laddr for c in one.process.net_connections("tcp4") if c.status == psutil.CONN_LISTEN]
            found += [f"http://127.0.0.1:{address.port}" for address in listening]
    return found


def test_every_door_asks_for_a_key_and_opens_to_its_scope(
    locked: Stack, keys: tuple[Path, dict[str, str]]
) -> None:
    _, texts = keys
    found = doors(locked)
    assert len(found) >= 3
    for url in found:
        with httpx.Client(base_url=url, timeout=30) as client:
            refused = client.post("/predict", json=payment())
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthorized"), url
            assert client.post("/predict", json=payment(), headers=bearer(texts["read"])).status_code == 403
            decided = client.post("/predict", json=payment(), headers=bearer(texts["score"]))
            assert (decided.status_code, decided.json()["degraded"]) == (200, []), url
            assert client.post("/predict/batch", json=[payment()]).status_code == 401
            assert client.get("/health").status_code == 200
            assert client.get("/ready").json().keys() == {"ready"}
            assert "ingress" in client.get("/ready", headers=bearer(texts["read"])).json()["dependencies"]


def test_rows_of_a_bulk_request_count_and_revoked_keys_end(
    locked: Stack, keys: tuple[Path, dict[str, str]]
) -> None:
    path, texts = keys
    with httpx.Client(base_url=locked.http, timeout=30) as client:
        slow = bearer(texts["slow"])
        assert client.post("/predict/batch", json=[payment() for _ in range(50)], headers=slow).status_code == 200
        late = client.post("/predict/batch", json=[payment()], headers=slow)
        assert (late.status_code, late.json()["error"]["code"]) == (429, "rate_limited")
        assert int(late.headers["retry-after"]) > 100
        new, new_text = new_key([Scope.SCORE])
        before = path.read_text()
        try:
            write_keys(path, [new])
            eventually(lambda: predicted(client, new_text) == 200, "the new key")
            assert predicted(client, texts["score"]) == 401
            path.write_text("keys: [")
            assert predicted(client, new_text) == 200
        finally:
            path.write_text(before)
        eventually(lambda: predicted(client, texts["score"]) == 200, "the old keys again")


def predicted(client: httpx.Client, text: str) -> int:
    return client.post("/predict", json=payment(), headers=bearer(text)).status_code


def test_no_secret_is_where_others_could_read_it(locked: Stack, keys: tuple[Path, dict[str, str]]) -> None:
    settings = remembered(locked.home)
    assert settings is not None
    files = (settings.ray_token_file, settings.valkey_password_file)
    secrets = {file.name: file.read_text().strip() for file in files}
    secrets |= {name: text.split("_", 2)[2] for name, text in keys[1].items()}
    shown = {path: locked.ask_ray(path).text for path in ANSWERS}
    shown["serve config"] = serve(locked, "config")
    shown["serve status"] = serve(locked, "status")
    for one in owned_by(locked.home):
        shown[f"command line of {one}"] = " ".join(one.process.cmdline())
    for folder in (settings.logs, settings.ray_logs.resolve(), settings.work):
        shown |= {str(file): file.read_text(errors="replace") for file in folder.rglob("*") if file.is_file()}
    assert "TOLLGATE_API_KEYS_FILE" in shown["serve config"]
    assert len(shown) > 30
    found = [(place, name) for place, text in shown.items() for name, secret in secrets.items() if secret in text]
    assert found == []


def serve(stack: Stack, command: str) -> str:
    shown = subprocess.run(
        [sys.executable, "-m", "ray.serve.scripts", command, "--address", stack.dashboard],
        env={**os.environ, **stack.ray_variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return shown.stdout


def test_ray_and_the_store_ask_for_their_secrets(stack: Stack) -> None:
    for headers, status in (({}, 401), ({"authorization": "Bearer wrong"}, 403)):
        for path in ("/api/serve/applications/", "/api/jobs/", "/api/v0/nodes"):
            assert httpx.get(stack.dashboard + path, headers=headers, timeout=30).status_code == status
    # A call of a replica past Serve carries a pickle: without the token it is refused before that is read.
    refused = [refusal_of(port) for port in ports_on_all_interfaces(stack)]
    assert refused
    assert set(refused) == {grpc.StatusCode.UNAUTHENTICATED}
    with redis.Redis.from_url(public_address(stack.redis)) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def ports_on_all_interfaces(stack: Stack) -> list[int]:
    """Return what the stack listens on beyond loopback: the replicas' own gRPC, which Ray lets nobody bind."""
    found = []
    for one in owned_by(stack.home):
        for connection in one.process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN and "127.0.0.1" not in connection.laddr.ip:
                assert "ServeReplica" in one.name, f"{one} listens on {connection.laddr}"
                found.append(connection.laddr.port)
    return found


def refusal_of(port: int) -> grpc.StatusCode:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Ray Serve warns of how it declares its own fields.
        from ray.serve.generated import serve_pb2, serve_pb2_grpc
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as refused:
        serve_pb2_grpc.ASGIServiceStub(channel).HandleRequest(serve_pb2.ASGIRequest(), timeout=30)
    return refused.value.code()


def test_a_stack_that_others_could_reach_is_not_started_without_keys(stack: Stack, tmp_path: Path) -> None:
    assert owned_by(stack.home, VALKEY)
    refused = stack.tollgate("up", "--host", "0.0.0.0", "--home", str(tmp_path / "open"))
    assert refused.returncode == 1
    assert "tollgate keys create" in refused.stderr
