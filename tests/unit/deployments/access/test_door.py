"""Where the service may be open, and where it must have keys."""

from pathlib import Path

import pytest

from deployments.access.callers import Callers
from deployments.access.door import bound_host, check_door
from features.errors import InvalidKeys


@pytest.mark.parametrize("host", [None, "127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_loopback_no_keys_are_needed(host: str | None) -> None:
    check_door(host, {})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "tollgate.example", "localhost.example", ""])
def test_everywhere_else_keys_are_needed_unless_it_is_said_otherwise(host: str) -> None:
    with pytest.raises(InvalidKeys, match="tollgate keys create"):
        check_door(host, {"TOLLGATE_ALLOW_ANONYMOUS": "0"})
    check_door(host, {"TOLLGATE_API_KEYS_FILE": "/keys.yaml"})
    check_door(host, {"TOLLGATE_ALLOW_ANONYMOUS": "1"})


def test_without_serve_nothing_is_bound() -> None:
    assert bound_host() is None


def test_a_replica_whose_keys_are_missing_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidKeys, match="cannot be read"):
        Callers.of_this_replica({"TOLLGATE_API_KEYS_FILE": str(tmp_path / "none.yaml")})


def test_a_replica_that_others_reach_does_not_start_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.access.callers.bound_host", lambda: "0.0.0.0")
    with pytest.raises(InvalidKeys, match=r"0\.0\.0\.0"):
        Callers.of_this_replica({})
