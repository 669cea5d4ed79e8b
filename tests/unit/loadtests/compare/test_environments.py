"""Environments: what pip says is passed on, and nothing is installed twice."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from loadtests.compare import environments
from loadtests.compare.environments import programs, reason, run_nice, version_of
from loadtests.compare.errors import PeerUnavailable


def test_what_fails_is_named_with_the_reason_that_it_printed() -> None:
    failing = "import sys; sys.exit('WARNING: slow\\nERROR: No matching distribution found for x==1')"
    with pytest.raises(PeerUnavailable, match="not installed: No matching distribution found for x==1"):
        run_nice((sys.executable, "-c", failing))


def test_what_is_installed_is_not_installed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    requirements = tmp_path / "requirements-peer.txt"
    calls: list[Sequence[str]] = []

    def install(command: Sequence[str]) -> None:
        calls.append(command)
        (tmp_path / "environments" / "peer").mkdir(parents=True, exist_ok=True)

    for content, commands in (("x==1", 2), ("x==1", 2), ("x==2", 4)):
        requirements.write_text(content)
        assert (
            programs(requirements.name, tmp_path / "environments", install) == tmp_path / "environments/peer/bin"
        )
        assert len(calls) == commands
    assert calls[1][-2:] == ("-r", str(requirements))


def test_what_was_not_installed_to_its_end_is_installed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    (tmp_path / "requirements-peer.txt").write_text("x==1")
    calls: list[Sequence[str]] = []

    def interrupted(command: Sequence[str]) -> None:
        calls.append(command)
        raise PeerUnavailable("the network is down")

    for _ in range(2):
        with pytest.raises(PeerUnavailable):
            programs("requirements-peer.txt", tmp_path / "environments", interrupted)
    assert len(calls) == 2


def test_what_needs_nothing_of_its_own_runs_where_we_do(tmp_path: Path) -> None:
    assert programs(None, tmp_path) == Path(sys.executable).parent


def test_output_without_an_error_line_is_passed_on_as_it_ends() -> None:
    assert reason("Traceback:\n  MemoryError\n\n") == "MemoryError"
    assert reason("") == "no output"


def test_the_version_of_a_peer_is_the_pinned_one() -> None:
    assert version_of("requirements-litserve.txt", "litserve")[0].isdigit()
    assert version_of("requirements-litserve.txt", "bentoml") == "unknown"
