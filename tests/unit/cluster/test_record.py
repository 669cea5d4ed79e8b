import json
import stat
import subprocess
import sys

import pytest

from cluster.record import exclusive, forget, refuse_changes, remember, remembered
from cluster.settings import ClusterSettings, Ports
from features.errors import ClusterError
from tests.unit.cluster.conftest import Start


def on_another_port(settings: ClusterSettings) -> ClusterSettings:
    return settings.model_copy(update={"ports": Ports(**(settings.ports.model_dump() | {"http": 8123}))})


def test_what_is_remembered_is_what_was_given(settings: ClusterSettings) -> None:
    remember(settings)
    assert remembered(settings.home) == settings
    forget(settings)
    assert remembered(settings.home) is None


def test_other_releases_can_read_what_is_remembered(settings: ClusterSettings) -> None:
    remember(settings)
    path = settings.home / "run.json"
    written = json.loads(path.read_text())
    assert None not in written.values(), "earlier ones refuse names that they do not know"
    path.write_text(json.dumps(written | {"of_a_later_release": 1}))
    assert remembered(settings.home) == settings


def test_a_running_stack_refuses_another_folder_of_decisions(settings: ClusterSettings, start: Start) -> None:
    remember(settings)
    start(home=settings.home)
    with pytest.raises(ClusterError, match="data_folder"):
        refuse_changes(settings.model_copy(update={"data_folder": settings.home / "elsewhere"}))


def test_the_record_is_readable_by_its_owner_alone(settings: ClusterSettings) -> None:
    remember(settings)
    assert stat.S_IMODE((settings.home / "run.json").stat().st_mode) == 0o600


def test_a_damaged_record_is_named(settings: ClusterSettings) -> None:
    for damaged in ("{", "[]", '{"home": 1}', "7"):
        (settings.home / "run.json").write_text(damaged)
        with pytest.raises(ClusterError, match=r"run\.json"):
            remembered(settings.home)


def test_a_running_stack_refuses_other_ports_and_says_what_differs(
    settings: ClusterSettings, start: Start
) -> None:
    remember(settings)
    start(home=settings.home)
    refuse_changes(settings)
    with pytest.raises(ClusterError, match="ports"):
        refuse_changes(on_another_port(settings))


def test_keys_that_were_made_since_are_named(settings: ClusterSettings, start: Start) -> None:
    remember(settings)
    start(home=settings.home)
    keys = settings.home / "secrets" / "api_keys.yaml"
    with pytest.raises(
        ClusterError, match=r"started without API keys, and there are some now, in .*api_keys\.yaml"
    ):
        refuse_changes(settings.model_copy(update={"api_keys_file": keys}))


def test_a_stack_that_is_gone_refuses_nothing(settings: ClusterSettings) -> None:
    remember(settings)
    refuse_changes(on_another_port(settings))


def test_a_second_command_on_the_same_state_folder_is_turned_away(settings: ClusterSettings) -> None:
    program = (
        "import sys; from pathlib import Path; from cluster.record import exclusive;"
        "lock = exclusive(Path(sys.argv[1])); lock.__enter__(); print('here', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(settings.home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": ":".join(sys.path)},
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "here"
        with pytest.raises(ClusterError, match=f"pid {other.pid}"), exclusive(settings.home):
            pass
        other.kill()
    with exclusive(settings.home):
        pass
