from pathlib import Path

import pytest

from cluster.secret_files import make_secret, read_secret
from features.errors import ClusterError


def test_a_secret_is_made_once_and_this_user_alone_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "token"
    make_secret(path)
    first = read_secret(path)
    make_secret(path)
    assert read_secret(path) == first
    assert len(first) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_two_secrets_differ(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_secret(tmp_path / name)
    assert read_secret(tmp_path / "one") != read_secret(tmp_path / "two")


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    make_secret(path)
    path.chmod(0o640)
    for use in (make_secret, read_secret):
        with pytest.raises(ClusterError, match="600"):
            use(path)


def test_a_secret_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="token"):
        read_secret(tmp_path / "token")
