"""No pickle is loaded by a server: a model file can hold data, never code."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.training.bundles import small_bundle

PROJECT = Path(__file__).parents[2]
LOAD_PATH = (
    "deployments/served_bundles.py",
    "training/registry.py",
    "training/bundle.py",
    "training/models.py",
    "training/onnx_trees.py",
    "training/calibration.py",
    "training/steps.py",
)
"""What a bundle passes from the registry into a server."""
CODE_IN_DATA = {"pickle", "cloudpickle", "joblib", "dill", "marshal", "shelve", "skops"}
CALLS = {"pyfunc", "load_model_from", "allow_pickle", "eval", "exec"}

# The interpreter tells of every class that a pickle names, whoever reads it. XGBoost copies objects by pickle in
# other places, so the files are read alone.
WATCHED = """
import sys
from pathlib import Path
from features.definitions import fingerprint
from training.bundle import Bundle
import pickle

named = []
sys.addaudithook(lambda event, arguments: named.append(arguments) if event == "pickle.find_class" else None)
pickle.loads(pickle.dumps(Path("x")))
assert named, "the hook hears nothing"
named.clear()
bundle = Bundle.load(Path(sys.argv[1]), fingerprint())
bundle.warm()
sys.exit(f"a pickle was read: {named}" if named else 0)
"""


@pytest.mark.parametrize("file", LOAD_PATH)
def test_no_module_on_the_load_path_can_read_a_pickle(file: str) -> None:
    for node in ast.walk(ast.parse((PROJECT / file).read_text())):
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & CODE_IN_DATA
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in CODE_IN_DATA
        elif isinstance(node, ast.Name):
            assert node.id not in CALLS
        elif isinstance(node, ast.Attribute):
            assert node.attr not in CALLS
        elif isinstance(node, ast.keyword):
            assert node.arg not in CALLS


def test_loading_and_warming_a_bundle_reads_no_pickle(tmp_path: Path) -> None:
    small_bundle().save(tmp_path / "bundle")
    watched = subprocess.run(
        [sys.executable, "-c", WATCHED, str(tmp_path / "bundle")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert watched.returncode == 0, watched.stderr
