"""``tollgate keys`` in several processes at once."""

import subprocess
import sys
from pathlib import Path

from deployments.access.key_file import read_keys


def test_commands_at_once_lose_no_key(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    create = [sys.executable, "-m", "cluster", "keys", "create", "--scope", "score", "--file", str(file)]
    running = [subprocess.Popen(create, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(5)]
    for one in running:
        one.communicate()
    assert [one.returncode for one in running] == [0] * 5
    assert len(read_keys(file)) == 5
