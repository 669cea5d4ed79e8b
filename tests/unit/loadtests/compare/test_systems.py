"""The table of systems."""

import importlib.util

import pytest

from loadtests.compare.environments import REQUIREMENTS
from loadtests.compare.systems import REFERENCE, SYSTEMS, System, UnknownSystem, select

SERVED = [system for system in SYSTEMS if system.server]


def test_names_are_distinct_and_the_reference_is_one_of_them() -> None:
    names = [system.name for system in SYSTEMS]
    assert len(set(names)) == len(names)
    assert REFERENCE in names


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_each_says_what_it_does_and_with_what_settings(system: System) -> None:
    assert system.does
    assert system.settings
    assert system.path.startswith("/")


@pytest.mark.parametrize("system", SERVED, ids=lambda system: system.name)
def test_commands_name_programs_and_modules_that_exist(system: System) -> None:
    assert system.server
    for command in (system.server.start, system.server.prepare):
        filled = [part.format(bin="/bin", port="1", folder="/folder") for part in command]
        assert not command or filled[0].startswith("/bin/")
        for part in filled:
            if part.startswith("loadtests."):
                assert importlib.util.find_spec(part.partition(":")[0])


@pytest.mark.parametrize("system", SERVED, ids=lambda system: system.name)
def test_requirements_are_pinned_to_one_version_each(system: System) -> None:
    assert system.server
    if system.server.requirements is None:
        return
    lines = (REQUIREMENTS / system.server.requirements).read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins
    assert all(line.count("==") == 1 and "/" not in line for line in pins)


def test_all_are_checked_against_the_bundle_but_the_echo() -> None:
    assert [system.name for system in SYSTEMS if system.check == "none"] == ["echo"]


def test_bulk_is_measured_at_fewer_connections() -> None:
    [bulk] = select(["tollgate_json_bulk"])
    assert bulk.connections((1, 16, 64, 256)) == (1, 16)
    assert select(["tollgate"])[0].connections((1, 64)) == (1, 64)


def test_a_selection_keeps_the_order_of_the_table() -> None:
    assert [system.name for system in select(["litserve", "tollgate"])] == ["tollgate", "litserve"]
    assert tuple(select(())) == SYSTEMS


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownSystem, match="no system seldon; there are tollgate, "):
        select(["tollgate", "seldon"])
