from pathlib import Path
from typing import Any

import pytest

from deployments.app import build
from deployments.ledger.folders import archive_folder, data_folder, models_folder, spool_folder
from deployments.settings import AppArgs


def arguments(application: Any, name: str) -> tuple[Any, ...]:
    """Return what a deployment of the graph is made with."""
    found = application._bound_deployment
    if found.name == name:
        return tuple(found.init_args)
    inner = [one for one in found.init_args if hasattr(one, "_bound_deployment")]
    return next((given for one in inner if (given := arguments(one, name))), ())


def test_the_data_folder_is_that_of_the_machine_that_asks(tmp_path: Path) -> None:
    assert data_folder({"TOLLGATE_DATA_FOLDER": str(tmp_path)}) == tmp_path
    assert data_folder({}) == Path(".tollgate/data").resolve()


def test_the_machine_that_builds_the_graph_does_not_choose_the_folders_of_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOLLGATE_DATA_FOLDER", str(tmp_path))
    application = build(AppArgs())
    assert arguments(application, "Router")[-2:] == (None, None)
    assert arguments(application, "XGBoost")[-1] is None
    assert arguments(application, "DecisionLog")[1] is None


def test_a_folder_in_the_config_is_that_of_all(tmp_path: Path) -> None:
    application = build(AppArgs(data_folder=str(tmp_path)))
    assert arguments(application, "Router")[-2:] == (spool_folder(tmp_path), models_folder(tmp_path))
    assert arguments(application, "LogisticRegression")[-1] == models_folder(tmp_path)
    assert arguments(application, "XGBoost")[-1] == models_folder(tmp_path)
    assert arguments(application, "DecisionLog")[1] == archive_folder(tmp_path)
