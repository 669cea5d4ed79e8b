"""Bundles on this machine's disk: a replica that starts finds them when the registry has nothing for it."""

import json
import logging
import os
from pathlib import Path

import pytest

from deployments.kept_bundles import ABANDONED_S, KEPT, KeptBundles
from deployments.settings import ModelRef
from features.definitions import fingerprint
from tests.unit.training.bundles import small_bundle

REF = ModelRef(name="tollgate", alias="champion")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A bundle as it lies in the registry."""
    small_bundle().save(tmp_path / "files")
    return tmp_path / "files"


@pytest.fixture
def kept(tmp_path: Path) -> KeptBundles:
    return KeptBundles(tmp_path / "models")


def test_what_is_kept_is_loaded_as_it_was(kept: KeptBundles, files: Path) -> None:
    assert kept.load("tollgate", "7", fingerprint()) is None
    for _ in range(2):  # Each replica of a machine does so.
        kept.keep("tollgate", "7", files)
    bundle = kept.load("tollgate", "7", fingerprint())
    assert bundle is not None
    assert bundle.manifest.sha256 == json.loads((files / "bundle.json").read_text())["sha256"]
    assert kept.load("other", "7", fingerprint()) is None


@pytest.mark.parametrize("name", ["..", "../../escaped", "a/b", "100%", "@champion", ".hidden"])
def test_a_model_of_any_name_stays_in_the_folder(
    kept: KeptBundles, files: Path, tmp_path: Path, name: str
) -> None:
    before = set(tmp_path.iterdir())
    kept.keep(name, "1", files)
    kept.decides(ModelRef(name=name, alias=name), "1")
    assert kept.decided(ModelRef(name=name, alias=name)) == "1"
    assert kept.load(name, "1", fingerprint()) is not None
    assert kept.versions(name) == ["1"]
    assert set(tmp_path.iterdir()) == before | {tmp_path / "models"}


def test_a_damaged_one_and_one_of_other_features_are_not_served(
    kept: KeptBundles, files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept.keep("tollgate", "7", files)
    assert kept.load("tollgate", "7", "other") is None
    (tmp_path / "models/name=tollgate/7/lr.json").write_text("{}")
    assert kept.load("tollgate", "7", fingerprint()) is None
    assert "feature definitions" in caplog.text
    assert "its SHA-256 differs" in caplog.text
    kept.keep("tollgate", "7", files)
    assert kept.load("tollgate", "7", fingerprint()) is not None, "fetched well, it is whole again"
    assert {path.name for path in (tmp_path / "models/name=tollgate").iterdir()} == {"7"}


def test_the_newest_are_kept_and_what_decides_whatever_its_age(
    kept: KeptBundles, files: Path, tmp_path: Path
) -> None:
    kept.decides(REF, "1")
    for version in range(1, KEPT + 4):
        kept.keep("tollgate", str(version), files)
        os.utime(tmp_path / "models/name=tollgate" / str(version), (version, version))
    kept.keep("tollgate", str(KEPT + 3), files)
    assert kept.versions("tollgate") == [str(KEPT + 3), str(KEPT + 2), str(KEPT + 1), "1"]
    kept.decides(REF, "1")
    assert kept.versions("tollgate")[0] == "1", "what is taken into service again is no longer old"
    kept.decides(REF, str(KEPT + 3))
    assert kept.decided(REF) == str(KEPT + 3)
    assert kept.decided(ModelRef(name="tollgate", alias="other")) is None


def test_a_copy_that_was_never_finished_is_no_version_and_goes(
    kept: KeptBundles, files: Path, tmp_path: Path
) -> None:
    kept.keep("tollgate", "1", files)
    cut_off, at_work = tmp_path / "models/name=tollgate/.cut_off", tmp_path / "models/name=tollgate/.at_work"
    for folder in (cut_off, at_work):
        folder.mkdir()
        (folder / "lr.json").touch()
    past = cut_off.stat().st_mtime - ABANDONED_S - 1
    os.utime(cut_off, (past, past))
    assert kept.versions("tollgate") == ["1"]
    kept.keep("tollgate", "2", files)
    assert (cut_off.exists(), at_work.exists()) == (False, True)


def test_a_disk_that_takes_nothing_is_said_and_stops_nothing(
    files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "models").write_text("in the way")
    kept = KeptBundles(tmp_path / "models")
    with caplog.at_level(logging.WARNING):
        kept.keep("tollgate", "1", files)
        assert not kept.decides(REF, "1")
    assert "version 1 of tollgate is not kept in" in caplog.text
    assert "that version 1 decides is not noted in" in caplog.text
