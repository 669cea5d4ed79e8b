import socket
import subprocess
from pathlib import Path

from cluster.ports import conflicts, holders_of, is_taken, ours_holds
from cluster.settings import LOOPBACK, NeededPort
from tests.unit.cluster.conftest import Start

LISTENING = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print('here', flush=True);"
    "print(s.getsockname()[1], flush=True); sys.stdin.read()"
)


def test_a_port_held_by_a_stranger_is_reported_with_its_name_its_holder_and_a_way_out(
    tmp_path: Path, start: Start
) -> None:
    child = start(program=LISTENING)
    port = _port_of(child)
    [sentence] = conflicts([NeededPort("http", LOOPBACK, port)], tmp_path)
    assert f"Port {port} (http)" in sentence
    assert "python" in sentence
    assert f"(pid {child.pid})" in sentence
    assert "tollgate up --port http=NUMBER" in sentence


def test_a_port_held_by_our_own_stack_is_no_conflict(tmp_path: Path, start: Start) -> None:
    port = _port_of(start(home=tmp_path, program=LISTENING))
    assert conflicts([NeededPort("http", LOOPBACK, port)], tmp_path) == []


def test_another_stack_is_named_once_however_many_ports_it_holds(tmp_path: Path, start: Start) -> None:
    other = tmp_path / "other"
    ports = [_port_of(start(home=other, program=LISTENING)) for _ in range(2)]
    needed = [NeededPort(name, LOOPBACK, port) for name, port in zip(("http", "mlflow"), ports, strict=True)]
    [sentence] = conflicts(needed, tmp_path / "mine")
    assert f"{ports[0]} (http), {ports[1]} (mlflow)" in sentence
    assert f"TOLLGATE_HOME={other} tollgate down" in sentence


def test_a_free_port_is_no_conflict(tmp_path: Path, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    assert is_taken(NeededPort("http", LOOPBACK, port))
    listener.close()
    assert conflicts([NeededPort("http", LOOPBACK, port)], tmp_path) == []


def test_a_listener_on_one_interface_takes_the_port_from_one_that_needs_all(listener: socket.socket) -> None:
    assert is_taken(NeededPort("haproxy_stats", "", listener.getsockname()[1]))


def test_a_connection_in_time_wait_does_not_hold_the_port(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    served, _ = listener.accept()
    served.close()  # The side that closes first keeps the port in TIME_WAIT.
    client.close()
    listener.close()
    assert not is_taken(NeededPort("http", LOOPBACK, port))


def test_the_holders_of_a_port_are_found_by_its_number(start: Start) -> None:
    child = start(program=LISTENING)
    assert [process.pid for process in holders_of(_port_of(child))] == [child.pid]


def test_a_stranger_on_the_port_is_not_taken_for_our_server(tmp_path: Path, start: Start) -> None:
    ours, foreign = start(home=tmp_path, program=LISTENING), start(program=LISTENING)
    assert ours_holds(_port_of(ours), tmp_path)
    assert not ours_holds(_port_of(foreign), tmp_path)


def _port_of(child: subprocess.Popen[str]) -> int:
    assert child.stdout is not None
    return int(child.stdout.readline())
