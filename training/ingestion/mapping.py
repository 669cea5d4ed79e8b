"""The column mapping: which column of a foreign table is which field of the history, and how to read it.

A mapping is a small YAML file; ``training/mappings/`` holds those that come with Tollgate.
"""

import zoneinfo
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from features.errors import InvalidHistory
from features.yaml_text import parse_yaml

IdField = Literal["transaction_id", "customer_id", "merchant_id", "device_id"]
WordField = Literal["currency", "merchant_category", "transaction_type", "geo_location", "fraud_pattern"]
OtherField = Literal["event_time", "amount", "lat", "long", "is_fraud", "label_known_at", "arrival"]
HistoryField = IdField | WordField | OtherField
ConstantField = Literal[
    "merchant_id", "device_id", "currency", "merchant_category", "transaction_type", "geo_location"
]

ID_FIELDS: Final = get_args(IdField)
WORD_FIELDS: Final = get_args(WordField)
REQUIRED_FIELDS: Final = ("event_time", "customer_id", "amount")
MAX_LENGTH: Final = 64
"""Longest id or word, in characters; as the contract at the door has it."""

_Key = TypeVar("_Key", bound=str)
_Value = TypeVar("_Value")


def _as_text(value: object) -> object:
    """Return a YAML scalar as the text that the same value has as a column's cell: true, 1, F."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


Cell = Annotated[str, BeforeValidator(_as_text)]
Word = Annotated[str, BeforeValidator(_as_text), Field(min_length=1, max_length=MAX_LENGTH)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TimestampFormat(_Part):
    """How the event time is written."""

    format: str = Field(
        "auto", min_length=1, description="auto: a timestamp type or ISO 8601; else a strptime format."
    )
    unit: Literal["s", "ms", "us", "ns"] | None = Field(None, description="For numbers: units since the epoch.")
    timezone: str = Field("UTC", description="IANA name; for times that carry no offset of their own.")

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{name} is no time zone of the IANA data base") from error
        return name


class Labels(_Part):
    """Which cells mean what; an empty cell means: no label."""

    fraud: tuple[Cell, ...] = Field(("1", "1.0", "true", "True", "TRUE"), strict=False, min_length=1)
    legit: tuple[Cell, ...] = Field(("0", "0.0", "false", "False", "FALSE"), strict=False)


class CsvFormat(_Part):
    """How a CSV source is written. Its first line names the columns."""

    delimiter: str = Field(",", min_length=1, max_length=1)
    encoding: str = Field("utf8", min_length=1)
    null_values: tuple[str, ...] = Field(("",), strict=False, description="Cells that stand for no value.")
    line_ends_in_cells: bool = Field(
        False, description="A quoted cell may hold line ends; otherwise a line is a row."
    )


class ColumnMapping(_Part):
    """How the columns of a foreign table become the fields of the history.

    Attributes:
        columns: history field -> column of the source. Without ``transaction_id``, ids are made from row numbers.
            ``label_known_at`` says when ``is_fraud`` became known; its times are written as the event times are.
        may_be_absent: fields whose column the source may lack; they are then null.
        prefixes: id field -> what to put before each id, so that ids of different entities stay apart.
        constants: field -> the value that every row has.
        values: word field -> {cell of the source: word of the history, or null}; other cells stay as they are.
    """

    columns: dict[HistoryField, Annotated[str, Field(min_length=1)]]
    may_be_absent: tuple[HistoryField, ...] = Field((), strict=False)
    timestamp: TimestampFormat = TimestampFormat()
    amount_unit: Literal["major", "minor"] = "major"
    labels: Labels = Labels()
    prefixes: dict[IdField, Annotated[str, Field(max_length=16)]] = Field(default_factory=dict)
    constants: dict[ConstantField, Word] = Field(default_factory=dict)
    values: dict[WordField, dict[Cell, Word | None]] = Field(default_factory=dict)
    csv: CsvFormat = CsvFormat()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        lacking = [name for name in REQUIRED_FIELDS if name not in self.columns]
        if lacking:
            raise ValueError(f"columns must name the source of {lacking[0]}")
        both = sorted(set(self.columns) & set(self.constants))
        if both:
            raise ValueError(f"{both[0]} is mapped to a column and has a constant as well")
        needed = sorted(set(self.may_be_absent) & {*REQUIRED_FIELDS, "transaction_id"})
        if needed:
            raise ValueError(f"{needed[0]} cannot be in may_be_absent")
        if "label_known_at" in self.columns and "is_fraud" not in self.columns:
            raise ValueError("label_known_at needs is_fraud")
        if ("lat" in self.columns) != ("long" in self.columns):
            raise ValueError("lat and long are mapped together or not at all")
        return self

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The columns of the source that the mapping reads, each once, in the order of the mapping."""
        return tuple(dict.fromkeys(self.columns.values()))

    def column(self, name: str) -> str | None:
        """Return the source column of a history field, or None."""
        return _at(self.columns, name)

    def constant(self, name: str) -> str | None:
        """Return the value that every row has in a history field, or None."""
        return _at(self.constants, name)

    def prefix(self, name: str) -> str:
        """Return what stands before each id of a history field."""
        return _at(self.prefixes, name) or ""

    def replacements(self, name: str) -> Mapping[str, str | None]:
        """Return {cell: word} of a history field."""
        return _at(self.values, name) or {}


def load_mapping(name_or_path: str | Path) -> ColumnMapping:
    """Return a mapping that comes with Tollgate, by name, or else the one in a YAML file.

    Raises:
        InvalidHistory: there is no such mapping, or it does not say what a mapping must; names the key.
    """
    name = str(name_or_path)
    if name in shipped_mappings():
        text = resources.files("training").joinpath("mappings", f"{name}.yaml").read_text("utf8")
    else:
        try:
            text = Path(name).read_text("utf8")
        except (OSError, UnicodeDecodeError) as error:
            shipped = ", ".join(shipped_mappings())
            raise InvalidHistory(
                f"no column mapping {name}: give the path of a YAML file, or one of {shipped}"
            ) from error
    return parse_mapping(text, name)


def shipped_mappings() -> tuple[str, ...]:
    """Return the names of the mappings that come with Tollgate."""
    folder = resources.files("training").joinpath("mappings")
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def parse_mapping(text: str, name: str) -> ColumnMapping:
    """Return the mapping in a YAML text; ``name`` is for messages.

    Raises:
        InvalidHistory: the text is not YAML, or breaks the model; names the key.
    """
    try:
        content: Any = parse_yaml(text)
    except yaml.YAMLError as error:
        raise InvalidHistory(f"column mapping {name} is not YAML: {error}") from error
    if not isinstance(content, Mapping):
        raise InvalidHistory(f"column mapping {name} must be a mapping of keys, such as columns")
    try:
        return ColumnMapping.model_validate(content)
    except ValidationError as error:
        raise InvalidHistory(f"column mapping {name}: {_sentence(error)}") from error


def _at(items: Mapping[_Key, _Value], name: str) -> _Value | None:
    """Return items[name] or None; a name that is no key of this kind of mapping is simply not in it."""
    return next((value for key, value in items.items() if key == name), None)


def _sentence(error: ValidationError) -> str:
    # An unknown key first: it is most often a misspelt one, and the cause of what else is wrong.
    details = error.errors(include_url=False, include_input=False, include_context=False)
    first = min(details, key=lambda detail: detail["type"] != "extra_forbidden")
    if "[key]" in first["loc"]:
        return f"the key {first['loc'][0]}.{first['loc'][1]} is unknown"
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"the key {where} is unknown"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
