"""What pydantic found wrong, in words that hold no input."""

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from features.faults import Fault, all_faults, faults, first_fault

SECRET = "tg_live_0123456789"


class Key(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ids: list[int]
    since: int = 0
    until: int = 0

    @model_validator(mode="after")
    def _in_order(self) -> "Key":
        if self.until < self.since:
            raise ValueError("it ends before it begins")
        return self


def refused(value: object) -> ValidationError:
    with pytest.raises(ValidationError) as error:
        Key.model_validate(value)
    return error.value


def test_each_fault_has_its_place_and_what_was_expected() -> None:
    error = refused({"ids": [1, None], "since": None})
    assert faults(error) == [
        Fault("ids.1", "Input should be a valid integer"),
        Fault("since", "Input should be a valid integer"),
    ]
    assert first_fault(error) == "ids.1: Input should be a valid integer"
    assert all_faults(error) == "ids.1: Input should be a valid integer; since: Input should be a valid integer"


def test_a_fault_of_the_whole_has_no_place() -> None:
    assert first_fault(refused([])).startswith("Input should be a valid dictionary")


def test_what_a_validator_of_ours_says_stands_alone() -> None:
    assert first_fault(refused({"ids": [], "since": 2, "until": 1})) == "it ends before it begins"


def test_no_input_is_told() -> None:
    error = refused({"ids": [SECRET], "since": {"key": SECRET}})
    assert SECRET in str(error)
    assert SECRET not in all_faults(error)
    assert SECRET not in repr(faults(error))
