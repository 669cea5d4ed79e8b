"""What HAProxy hands to an ingress replica at once, and what it refuses; behind it a replica that waits."""

import csv
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from cluster.haproxy import start_script
from cluster.settings import ClusterSettings
from tests.integration.haproxy_texts import DEFAULTS
from tests.integration.waiting_replica import PATIENCE_S, Replica

PAYMENTS = 2
WAITING = 3
FEWER = 1
CLIENTS = 90
"""Of the 100 that may connect: far more than a fifth of the files that HAProxy has for them."""

# As Serve writes it, less what no request meets.
CONFIG = (
    DEFAULTS
    + """\
    balance leastconn
frontend http_frontend
    bind 127.0.0.1:{port}
    acl is_http-other path_beg /other/
    acl is_http-other path /other
    acl is_http-tollgate path_beg /
    acl is_http-tollgate path /
    use_backend http-other if is_http-other
    use_backend http-tollgate if is_http-tollgate
    default_backend default_backend
backend default_backend
    http-request return status 404 content-type text/plain lf-string "Path not found."
backend http-other
    server other 127.0.0.1:1 check
backend http-tollgate
    log global
    http-reuse always
    option httpchk GET /-/healthz
    http-check expect status 200
    default-server fastinter 250ms downinter 250ms fall 2 rise 2 inter 5s check
    server replica 127.0.0.1:{replica} check observe layer4 error-limit 3 on-error mark-down
    server proxy 127.0.0.1:1 check backup
listen stats
    bind unix@{folder}/stats.sock
    stats enable
"""
)


@pytest.fixture
def replica() -> Iterator[Replica]:
    with Replica() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.may_answer.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _few_payments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.haproxy.PAYMENTS", PAYMENTS)
    monkeypatch.setattr("cluster.haproxy.WAITING", WAITING)
    monkeypatch.setattr("cluster.haproxy.WAITING_OVERLOADED", FEWER)


@pytest.fixture
def _patient_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.haproxy.QUEUE_MS", PATIENCE_S * 1000)


@pytest.fixture
def config(tmp_path: Path, replica: Replica) -> Path:
    """What Serve writes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    path = tmp_path / "haproxy.cfg"
    path.write_text(CONFIG.format(folder=tmp_path, port=port, replica=replica.server_address[1]))
    (tmp_path / "500.http").touch()
    return path


@contextmanager
def started(script: Path, config: Path) -> Iterator[str]:
    """Give the address of HAProxy, which answers; it ends with the context."""
    [port] = re.findall(r"bind 127\.0\.0\.1:(\d+)", config.read_text())
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen([script, "-db", "-f", config]) as server:
        try:
            while not answers(address):
                assert server.poll() is None, "HAProxy has ended"
            yield address
        finally:
            server.terminate()


@pytest.fixture
def service(script: Path, config: Path) -> Iterator[str]:
    """The address of HAProxy in front of the replica."""
    with started(script, config) as address:
        yield address


def answers(address: str) -> bool:
    try:
        httpx.get(f"{address}/health", timeout=PATIENCE_S, verify=False)
    except httpx.TransportError:
        return False
    return True


def post(address: str, path: str = "/predict", headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.post(f"{address}{path}", content=b"{}", headers=headers, timeout=PATIENCE_S, verify=False)


def test_more_payments_than_a_replica_takes_at_once_are_refused_by_haproxy(service: str, replica: Replica) -> None:
    with ThreadPoolExecutor() as others:
        taken = [others.submit(post, service) for _ in range(PAYMENTS)]
        replica.waits_for(PAYMENTS)
        refused = post(service)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"]["code"] == "unavailable"
        replica.may_answer.set()
        assert [one.result().status_code for one in taken] == [200] * PAYMENTS
    assert post(service).status_code == 200


@pytest.mark.usefixtures("_patient_queue")
def test_one_that_finds_the_places_and_the_queue_full_is_refused_at_once(
    script: Path, config: Path, replica: Replica
) -> None:
    with started(script, config) as service, ThreadPoolExecutor() as others:
        taken = [others.submit(post, service) for _ in range(PAYMENTS)]
        replica.waits_for(PAYMENTS)
        waiting = [others.submit(post, service) for _ in range(WAITING)]
        while queued(config) < WAITING:
            pass  # HAProxy gives no notice; the test's own timeout ends what would last.
        refused = post(service)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"]["code"] == "overloaded"
        assert not any(one.done() for one in waiting)
        replica.may_answer.set()
        assert [one.result().status_code for one in (*taken, *waiting)] == [200] * (PAYMENTS + WAITING)


@pytest.mark.usefixtures("_patient_queue")
def test_while_most_are_refused_fewer_may_wait(script: Path, config: Path, replica: Replica) -> None:
    with started(script, config) as service, ThreadPoolExecutor() as others:
        refused = False
        while not refused:  # What was refused a second ago is forgotten: a slow machine needs another turn.
            filled = fill(others, service, config, replica, WAITING)
            assert {post(service).status_code for _ in range(4 * (PAYMENTS + WAITING))} == {503}
            replica.may_answer.set()
            assert {one.result().status_code for one in filled} == {200}
            replica.may_answer.clear()
            filled = fill(others, service, config, replica, FEWER)
            next_one = others.submit(post, service)
            while not (refused := next_one.done()) and queued(config) == FEWER:
                pass
            replica.may_answer.set()
            assert {one.result().status_code for one in filled} == {200}
            answer = next_one.result()
            assert answer.status_code == (503 if refused else 200)
            replica.may_answer.clear()
        assert answer.json()["error"]["code"] == "overloaded"


def fill(
    others: ThreadPoolExecutor, service: str, config: Path, replica: Replica, waiting: int
) -> list[Future[httpx.Response]]:
    """Post as many payments as the replica takes at once, and so many more that wait; return them."""
    while replica.arrived.acquire(blocking=False):
        pass
    posted = [others.submit(post, service) for _ in range(PAYMENTS)]
    replica.waits_for(PAYMENTS)
    posted += [others.submit(post, service) for _ in range(waiting)]
    while queued(config) < waiting:
        assert not any(one.done() for one in posted)
    return posted


def queued(config: Path) -> int:
    """Return how many requests wait in HAProxy, as its statistics say."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(config.parent / "stats.sock"))) as client:
        lines = client.get("http://haproxy/haproxy?stats;csv").text.lstrip("# ").splitlines()
    rows = list(csv.DictReader(lines))
    [backend] = [row for row in rows if (row["pxname"], row["svname"]) == ("http-tollgate", "BACKEND")]
    return int(backend["qcur"])


def test_bulk_requests_and_streams_take_no_payments_place(service: str, replica: Replica) -> None:
    with ThreadPoolExecutor() as others:
        bulk = [others.submit(post, service, "/predict/batch") for _ in range(PAYMENTS + 1)]
        replica.waits_for(PAYMENTS + 1)
        payment = others.submit(post, service)
        replica.waits_for(1)
        replica.may_answer.set()
        assert {one.result().status_code for one in (*bulk, payment)} == {200}


LENGTH = b"content-length: %d\r\n\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n%x\r\n"
WIDE = b"x: %s\r\n" % (b"a" * 2_900) * 4
"""Headers that fill most of HAProxy's buffer."""


@pytest.mark.parametrize(
    "sent",
    [
        LENGTH % 9 + b"{",
        LENGTH % 30_000 + b" " * 20_000,
        LENGTH % 6_144 + b" " * 6_143,
        CHUNKED % 9 + b"{",
        CHUNKED % 30_000 + b" " * 20_000,
        WIDE + LENGTH % 6_000 + b" " * 5_900,
        WIDE[:6_000] + b"\r\n" + LENGTH % 6_144 + b" " * 6_143,
        WIDE + CHUNKED % 30_000 + b" " * 20_000,
    ],
    ids=[
        "begun",
        "long",
        "nearly whole",
        "a chunk begun",
        "a long chunk",
        "wide",
        "all but wide",
        "wide and a long chunk",
    ],
)
@pytest.mark.parametrize("target", [b"/predict", b"/predict?" + b"a" * 1_010, b"/predict?" + b"a" * 10_000])
def test_a_payment_whose_body_does_not_come_takes_no_place_either(
    service: str, replica: Replica, target: bytes, sent: bytes
) -> None:
    replica.may_answer.set()
    stalled = [socket.create_connection(httpx.URL(service).netloc.decode().split(":")) for _ in range(PAYMENTS)]
    try:
        for connection in stalled:
            connection.sendall(b"POST %s HTTP/1.1\r\nhost: x\r\n%s" % (target, sent))
        for _ in range(3):
            assert post(service).status_code == 200
    finally:
        for connection in stalled:
            connection.close()


@pytest.mark.parametrize(("header", "others"), [("authorization", 1), ("x-api-key", 1), ("x-api-key", 0)])
def test_requests_with_a_key_say_among_how_many_replicas_they_are_spread(
    script: Path, config: Path, replica: Replica, header: str, others: int
) -> None:
    replica.may_answer.set()
    server = next(line for line in config.read_text().splitlines() if "server replica" in line)
    added = f"\n{server.replace(' replica ', ' other ')}" * others
    config.write_text(config.read_text().replace(server, server + added))
    with started(script, config) as service:
        for path in ("/predict", "/predict/batch"):
            post(service, path, {header: "tg_a_b", "x-tollgate-replicas": "9"})
            post(service, path)
    assert replica.told == [str(1 + others), None] * 2


def test_however_many_clients_there_are_connections_to_a_replica_are_used_again(
    service: str, replica: Replica
) -> None:
    replica.may_answer.set()
    with ExitStack() as clients:
        for _ in range(CLIENTS):
            clients.enter_context(socket.create_connection(httpx.URL(service).netloc.decode().split(":")))
        for _ in range(5):
            assert post(service).status_code == 200
    assert len(replica.connections) == 1


@pytest.mark.parametrize(("page", "status"), [("DRAINING", 200), ("UNHEALTHY", 503)])
def test_a_replica_that_goes_is_asked_until_another_is_named_and_an_unhealthy_one_is_not(
    script: Path, config: Path, replica: Replica, page: str, status: int
) -> None:
    replica.may_answer.set()
    replica.health = (503, page)
    config.write_text(config.read_text().replace("inter 5s", "inter 100ms"))
    with started(script, config) as address:
        for _ in range(5):
            assert replica.checked.acquire(timeout=PATIENCE_S)
        assert post(address).status_code == status


def without_replicas(config: str) -> str:
    """Return a configuration as Serve writes it while its one ingress replica takes a new ``user_config``."""
    return re.sub(r"    server replica .*\n", "", config)


def test_where_serve_names_no_replica_that_of_before_is_asked_on_both_roads(
    script: Path, config: Path, replica: Replica
) -> None:
    replica.may_answer.set()
    written = config.read_text()
    with started(script, config) as address:
        assert post(address).status_code == 200
    for _ in range(2):  # Also when Serve says so twice.
        config.write_text(without_replicas(written))
        with started(script, config) as address:
            assert post(address).status_code == 200
            assert post(address, "/predict/batch").status_code == 200


def test_a_replica_of_before_that_is_gone_is_found_out(script: Path, config: Path, replica: Replica) -> None:
    written = config.read_text()
    with started(script, config):
        pass
    replica.shutdown()
    replica.server_close()
    config.write_text(without_replicas(written))
    with started(script, config) as address:
        refused = post(address)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")


def test_a_new_start_of_the_stack_knows_no_replica(
    settings: ClusterSettings, script: Path, config: Path, replica: Replica
) -> None:
    replica.may_answer.set()
    written = config.read_text()
    with started(script, config):
        pass
    start_script(settings)
    config.write_text(without_replicas(written))
    with started(script, config) as address:
        assert post(address).status_code == 503
