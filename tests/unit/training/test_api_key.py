from pathlib import Path

import pytest

from features.errors import InvalidKeys
from training.api_key import key_headers


def test_the_key_comes_from_the_environment_or_from_a_file_that_it_names(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("tg_b_2\n")
    assert key_headers({}) == {}
    assert key_headers({"TOLLGATE_API_KEY": "tg_a_1"}) == {"authorization": "Bearer tg_a_1"}
    assert key_headers({"TOLLGATE_API_KEY_FILE": str(file)}) == {"authorization": "Bearer tg_b_2"}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidKeys, match="none"):
        key_headers({"TOLLGATE_API_KEY_FILE": str(tmp_path / "none")})
