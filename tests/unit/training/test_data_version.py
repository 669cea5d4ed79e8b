import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from features.errors import InvalidHistory
from tests.parity.histories import history_table
from tests.unit.training.written_histories import two_months, write_history
from training.data_version import DataVersion, data_version
from training.history_files import REJECTED


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return write_history(tmp_path / "history", history_table(two_months(300)))


def files_of(history: Path) -> list[Path]:
    return sorted(history.glob("day=*/*.parquet"))


def test_every_file_has_the_digest_of_its_content(history: Path) -> None:
    found = data_version(history)
    expected = {
        f.relative_to(history).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files_of(history)
    }
    assert found.files == expected
    assert list(found.files) == sorted(expected)
    assert len(expected) > 50


def test_the_digest_is_that_of_sha256sum(history: Path) -> None:
    command = "LC_ALL=C sha256sum day=*/*.parquet | sha256sum"
    printed = subprocess.run(command, shell=True, cwd=history, check=True, capture_output=True, text=True).stdout
    assert data_version(history).sha256 == printed.split()[0]


def test_the_same_content_in_another_folder_is_the_same_version(history: Path) -> None:
    before = data_version(history)
    assert data_version(history.rename(history.with_name("moved"))) == before


def changed_byte(history: Path) -> None:
    file = files_of(history)[3]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def removed_file(history: Path) -> None:
    files_of(history)[3].unlink()


def renamed_day(history: Path) -> None:
    files_of(history)[-1].parent.rename(history / "day=2030-01-01")


@pytest.mark.parametrize("change", [changed_byte, removed_file, renamed_day])
def test_any_other_content_is_another_version(history: Path, change: object) -> None:
    before = data_version(history)
    assert callable(change)
    change(history)
    assert data_version(history).sha256 != before.sha256


def test_what_no_reader_reads_does_not_count(history: Path) -> None:
    before = data_version(history)
    (history / REJECTED).mkdir()
    (history / REJECTED / "part-0.parquet").write_bytes(b"set aside")
    (files_of(history)[0].parent / "_note.parquet").write_bytes(b"not a part")
    assert data_version(history) == before
    assert isinstance(before, DataVersion)


def test_a_folder_that_is_no_history_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidHistory, match="holds no day="):
        data_version(tmp_path)


def test_a_file_that_cannot_be_read_is_named(history: Path) -> None:
    file = files_of(history)[0]
    file.unlink()
    os.symlink(history / "nowhere", file)
    with pytest.raises(InvalidHistory, match=r"part-0\.parquet cannot be read"):
        data_version(history)
