from typing import Any

from cluster.ray_command import VARIABLE, hiding, without_password


class Started:
    """Stands for what starts a process: keeps what it was called with."""

    def __init__(self) -> None:
        self.command: list[str] = []
        self.options: dict[str, Any] = {}

    def __call__(self, command: list[str], *_: str, **options: Any) -> str:
        self.command, self.options = command, options
        return "process"


def test_a_password_moves_from_the_command_line_to_the_environment() -> None:
    started = Started()
    command = ["gcs_server", "--redis_port=6379", "--redis_password=secret"]
    assert hiding(started)(command, "gcs_server", env_updates={"A": "1"}, fate_share=True) == "process"
    assert started.command == ["gcs_server", "--redis_port=6379", "--fromenv=redis_password"]
    assert started.options == {"env_updates": {"A": "1", VARIABLE: "secret"}, "fate_share": True}


def test_a_command_without_a_password_is_started_as_it_is() -> None:
    started = Started()
    hiding(started)(["raylet", "--port=1"], "raylet", env_updates=None)
    assert started.command == ["raylet", "--port=1"]
    assert started.options == {"env_updates": None}


def test_what_never_connects_to_the_store_is_told_no_password() -> None:
    started = Started()
    without_password(started)(["address"], redis_password="secret", fate_share=False)
    assert started.options == {"redis_password": None, "fate_share": False}


def test_ray_starts_its_processes_by_the_functions_that_are_replaced() -> None:
    from ray._private import services

    assert {"start_ray_process", "start_raylet", "start_ray_client_server"} <= vars(services).keys()
    assert "start_ray_process" in services.start_gcs_server.__code__.co_names
    assert "--redis_password=" in str(services.start_gcs_server.__code__.co_consts)
