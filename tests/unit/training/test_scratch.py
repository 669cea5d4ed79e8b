"""Folders for temporary files: gone at the end, whatever the end was, and clear words where there is no room."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from features.errors import OutOfSpace
from training.scratch import PREFIX, check_space, scratch_folder


def test_the_folder_is_gone_at_the_end(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        (folder / "rows").write_text("many")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_the_folder_is_gone_after_an_error(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), scratch_folder(tmp_path):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(OutOfSpace, match=f"A disk is full.*{tmp_path}.*set TMPDIR"), scratch_folder(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_another_error_of_the_system_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), scratch_folder(tmp_path):
        raise PermissionError(errno.EACCES, "no")


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_uses_is_not(tmp_path: Path) -> None:
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()
    (left / "in-use").touch()
    with scratch_folder(tmp_path) as first:
        assert not left.exists()
        with scratch_folder(tmp_path):
            assert first.exists()


def test_a_folder_of_another_program_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / f"{PREFIX}without-a-lock"
    other.mkdir()
    with scratch_folder(tmp_path):
        assert other.exists()


def test_too_little_space_is_said_before_anything_is_written(tmp_path: Path) -> None:
    free_bytes = shutil.disk_usage(tmp_path).free
    check_space(tmp_path, free_bytes // 2)
    with pytest.raises(OutOfSpace, match=r"GB of free space, and the features of this run need up to"):
        check_space(tmp_path, free_bytes * 2)
