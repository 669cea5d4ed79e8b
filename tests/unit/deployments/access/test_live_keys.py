"""The file of keys, read while it changes, breaks and comes back."""

import asyncio
from pathlib import Path

import pytest

from deployments.access import live_keys
from deployments.access.key_file import read_keys, write_keys
from deployments.access.keys import Rate, Scope, new_key
from deployments.access.live_keys import LiveKeys
from features.errors import InvalidKeys


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.yaml"


def test_what_was_written_is_read_and_this_user_alone_may_read_it(file: Path) -> None:
    keys = [
        new_key([Scope.SCORE, Scope.READ], name="a: b", rate=Rate(per_s=5, burst=10))[0],
        new_key([Scope.ADMIN])[0],
    ]
    write_keys(file, keys)
    assert read_keys(file) == keys
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("keys: [", "no YAML, line 1"),
        ("# tg_abcdefgh_secret\nkeys: [{not_after: 2026-02-30T00:00:00Z}]", "no YAML, line 2"),
        ("keys: !!int tg_abcdefgh_secret", "no YAML, line 1"),
        ("[" * 5000, "no YAML"),
        ("", "valid dictionary"),
        ("keys: 3", "keys"),
        ("keys: []\ncolour: red", "colour"),
        ("keys: [{id: abcdefgh, sha256: tg_abcdefgh_secret, scopes: [score]}]", "sha256"),
    ],
)
def test_a_file_that_is_none_is_refused_without_repeating_what_it_says(
    file: Path, content: str, said: str
) -> None:
    file.write_text(content)
    with pytest.raises(InvalidKeys, match=said) as refused:
        read_keys(file)
    assert "tg_abcdefgh_secret" not in str(refused.value)


def test_an_id_that_is_there_twice_is_refused(file: Path) -> None:
    key, _ = new_key([Scope.SCORE])
    write_keys(file, [key, key])
    with pytest.raises(InvalidKeys, match=key.id):
        read_keys(file)


def test_a_file_that_could_not_be_read_is_read_when_it_can(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    revoked, new = (new_key([Scope.SCORE])[0] for _ in range(2))
    write_keys(file, [revoked])
    live = LiveKeys(file)
    write_keys(file, [new])

    def refused(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    # Root reads everything, so a file of another owner is played. To mend the owner leaves the times as they are.
    with monkeypatch.context() as unreadable:
        unreadable.setattr(Path, "read_bytes", refused)
        live.refresh()
        assert "Permission denied" in live.problem
    live.refresh()
    assert live.ring.find(revoked.id.encode()) is None
    assert (len(live.ring), live.problem) == (1, "")


def test_a_file_that_was_away_and_is_as_it_was_is_no_problem(file: Path, tmp_path: Path) -> None:
    write_keys(file, [new_key([Scope.SCORE])[0]])
    live = LiveKeys(file)
    file.rename(tmp_path / "away")
    live.refresh()
    assert live.problem
    (tmp_path / "away").rename(file)
    live.refresh()
    assert live.problem == ""


def test_without_a_file_there_is_no_beginning(file: Path) -> None:
    with pytest.raises(InvalidKeys, match=r"keys\.yaml"):
        LiveKeys(file)


def test_a_change_of_the_file_is_taken_and_a_broken_one_keeps_the_old_keys(file: Path) -> None:
    (first, first_text), (second, second_text) = new_key([Scope.SCORE]), new_key([Scope.SCORE])
    write_keys(file, [first])
    live = LiveKeys(file)
    write_keys(file, [second])
    live.refresh()
    assert live.ring.find(first_text.encode()) is None
    assert live.ring.find(second_text.encode()) is not None
    for breaks in (
        lambda: file.write_text("keys: ["),
        lambda: file.write_text("keys: [{not_after: 2026-02-30T00:00:00Z}]"),
        file.unlink,
    ):
        breaks()
        live.refresh()
        assert "the old ones" in live.problem
        assert live.ring.find(second_text.encode()) is not None
    write_keys(file, [first])
    live.refresh()
    assert live.problem == ""
    assert live.ring.find(first_text.encode()) is not None


def test_a_defect_ends_no_watch_is_told_and_logged_once(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_keys(file, [])
    live = LiveKeys(file)
    write_keys(file, [new_key([Scope.SCORE])[0]])

    def defect(_: Path) -> None:
        raise AssertionError

    with monkeypatch.context() as broken:
        broken.setattr(live_keys, "read_keys", defect)
        live.refresh()
        live.refresh()
    assert "the old ones" in live.problem
    assert "by a defect" in live.problem
    assert len([one for one in caplog.records if one.exc_info]) == 1
    live.refresh()
    assert (len(live.ring), live.problem) == (1, "")


async def test_the_file_is_looked_at_again_and_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_keys, "POLL_S", 0)
    write_keys(file, [])
    live = LiveKeys(file)
    taken = asyncio.Event()
    loop, refresh = asyncio.get_running_loop(), live.refresh

    def refresh_and_tell() -> None:
        refresh()
        if len(live.ring):
            loop.call_soon_threadsafe(taken.set)

    monkeypatch.setattr(live, "refresh", refresh_and_tell)
    watching = asyncio.create_task(live.watch())
    write_keys(file, [new_key([Scope.SCORE])[0]])
    async with asyncio.timeout(30):
        await taken.wait()
    watching.cancel()
    assert len(live.ring) == 1
