"""What the document of the API says of keys, and that the service keeps to it."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.access.callers import Callers
from deployments.access.key_file import write_keys
from deployments.access.keys import Scope, new_key
from deployments.access.live_keys import LiveKeys
from deployments.access.routes import ROUTES
from deployments.ingress import Ingress
from tests.unit.deployments.graph import FeaturesHandle, LogHandle, RouterHandle

OPERATIONS = [(method, path.replace("*", "{transaction_id}")) for method, path in ROUTES]


@pytest.fixture
def keyed(tmp_path: Path) -> Ingress:
    key, _ = new_key(scopes=[Scope.SCORE])
    write_keys(tmp_path / "keys.yaml", [key])
    return Ingress(RouterHandle(), FeaturesHandle(), LogHandle(), Callers(LiveKeys(tmp_path / "keys.yaml")))


async def ask(ingress: Ingress, method: str, path: str) -> httpx.Response:
    app = ingress.in_front_of(ingress.__serve_build_asgi_app__())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tollgate") as http:
        return await http.request(method, path)


async def requirements(ingress: Ingress) -> dict[tuple[str, str], list[dict[str, Any]]]:
    document = (await ask(ingress, "GET", "/openapi.json")).json()
    assert document["components"]["securitySchemes"].keys() == {"bearer", "header"}
    return {
        (method.upper(), path): operation["security"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


async def test_each_operation_names_the_scope_that_it_asks_for(keyed: Ingress) -> None:
    said = await requirements(keyed)
    assert said.keys() == set(OPERATIONS)
    assert said["POST", "/predict"] == [{"bearer": ["score"]}, {"header": ["score"]}]
    assert said["GET", "/decisions/{transaction_id}"] == [{"bearer": ["read"]}, {"header": ["read"]}]
    assert said["POST", "/labels"] == [{"bearer": ["admin"]}, {"header": ["admin"]}]


async def test_without_keys_in_force_every_operation_is_said_to_be_open() -> None:
    said = await requirements(Ingress(RouterHandle(), FeaturesHandle(), LogHandle()))
    assert all({} in alternatives for alternatives in said.values())


@pytest.mark.parametrize(("method", "path"), [one for one in OPERATIONS if one[1] != "/ready"])
async def test_what_is_said_to_need_a_key_is_refused_without_one(keyed: Ingress, method: str, path: str) -> None:
    said = await requirements(keyed)
    answer = await ask(keyed, method, path)
    assert (answer.status_code == 401) == ({} not in said[method, path])
