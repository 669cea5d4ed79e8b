"""Whatever is wrong with a YAML text is an error of YAML."""

import pytest
import yaml

from features.yaml_text import parse_yaml


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "line 1"),
        ("a: 1\nb: 2026-02-30", r"day is out of range for month\n.*line 2"),
        ("a: 2026-01-01T00:00:00+99:99", "offset"),
        ("a: !!int x", "invalid literal"),
        ("a: !!bool foo", "no such value"),
        ("a: !!int ''", "no such value"),
        ("a: !!timestamp x", "no such value"),
        ("a: \x00", "special characters"),
        ("[" * 5000, "nested too deeply"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
    ],
)
def test_what_is_wrong_is_told_and_where(text: str, said: str) -> None:
    with pytest.raises(yaml.YAMLError, match=said):
        parse_yaml(text)
