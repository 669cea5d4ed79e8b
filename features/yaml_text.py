"""YAML as people write it: whatever is wrong with it is one kind of error, which says where."""

from typing import Any

import yaml


class Loader(yaml.SafeLoader):
    """Safe, and tells of a value that cannot be (30 February) as of any other mistake."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return the value of a node.

        Raises:
            yaml.YAMLError: it has none.
        """
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            problem = str(error) if isinstance(error, ValueError) else "this is no such value"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from error


def parse_yaml(text: str | bytes, loader: type[Loader] = Loader) -> Any:
    """Return what a YAML text holds.

    >>> parse_yaml("since: 2026-02-28")
    {'since': datetime.date(2026, 2, 28)}

    Raises:
        yaml.YAMLError: it is not YAML, holds a value that cannot be, or is nested too deeply.
    """
    try:
        return yaml.load(text, loader)
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error
