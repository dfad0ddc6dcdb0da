"""From a TOML table to a dataclass: the only use of pydantic.

Types are checked strictly and unknown keys are refused. Errors of pydantic become an `OptionError`
with the place and the key.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from blemish.documents import parse_toml, read_text
from blemish.errors import DataError, OptionError, UserError

T = TypeVar("T")
STRICT = ConfigDict(extra="forbid", strict=True)
_UNKNOWN, _MISSING = "unexpected_keyword_argument", "missing"
_WORDS = {"Input should be ": "", "a valid array": "a list", "an object": "a table"}


def _several(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _as_tuples(value: object) -> object:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def _each(value: object) -> object:
    return (value,) if isinstance(value, str) else _as_tuples(value)


Names = Annotated[tuple[str, ...], BeforeValidator(_several)]  # a string, or a list of strings
NameOrNames = Annotated[str | tuple[str, ...], BeforeValidator(_as_tuples)]
NamesEach = Annotated[tuple[str | tuple[str, ...], ...], BeforeValidator(_each)]  # list of such


def read_toml(path: Path) -> dict[str, Any]:
    """Tables of a TOML file.

    Raises:
        DataError: The file is missing, or is not valid TOML.
    """
    text = read_text(path, "a recipe in TOML")
    try:
        return parse_toml(text)
    except ValueError as error:
        got = f"{path}, which is not valid TOML ({error})"
        raise DataError(got=got, expected="a recipe in TOML", todo="Check the file.") from error


def dataclass_of_table(kind: type[T], table: Mapping[str, Any], name: str) -> T:
    """Dataclass filled from a table.

    Args:
        kind: Dataclass with `__pydantic_config__ = STRICT`; nested ones inherit that.
        table: Table as in the TOML file.
        name: Name of the table for messages: the file, and the place in it.

    Raises:
        OptionError: A key is unknown or missing, or a value has the wrong type or is out of range.
    """
    text = json.dumps(table, default=str)  # dates and times, which no option takes
    with naming(name):
        try:
            return TypeAdapter(kind).validate_json(text)
        except ValidationError as error:
            raise _refusal(kind, table, error) from error


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Put a place in front of a user error's `got`."""
    try:
        yield
    except UserError as error:
        got = f"{name}: {error.got}"
        raise type(error)(got=got, expected=error.expected, todo=error.todo) from error


def _refusal(kind: type, table: Mapping[str, Any], error: ValidationError) -> OptionError:
    """Error of the first mistake; an unknown key precedes a missing one."""
    complaints = sorted(error.errors(), key=lambda complaint: complaint["type"] != _UNKNOWN)
    first = complaints[0]
    place = _place(table, first["loc"])
    key = ".".join(map(str, place))
    if first["type"] == _UNKNOWN:
        return unknown_key(key, sorted(_keys(kind, place[:-1])))
    if first["type"] == _MISSING:
        key = ".".join(map(str, first["loc"]))
        return OptionError(got=f"no '{key}'", expected="a value for it", todo=f"Add '{key}'.")
    # Each arm of a union reports its own error for the same value.
    wanted = [c["msg"] for c in complaints if _place(table, c["loc"])[: len(place)] == place]
    value = textwrap.shorten(json.dumps(first["input"], default=str), 60)
    return OptionError(
        got=f"{key} = {value}",
        expected=" or ".join(dict.fromkeys(map(_plain, wanted))),
        todo=f"Correct '{key}'.",
    )


def unknown_key(key: str, known: Sequence[str]) -> OptionError:
    """Error for a key that no table of its kind has.

    Args:
        key: Key, with its tables.
        known: Known keys.
    """
    near = get_close_matches(key.split(".")[-1], known, n=1)
    return OptionError(
        got=f"the unknown key '{key}'",
        expected=f"one of {', '.join(known)}",
        todo=f"Did you mean '{near[0]}'?" if near else "Leave it out, or correct it.",
    )


def _place(table: Any, location: Sequence[int | str]) -> tuple[int | str, ...]:
    """Keys of a location; pydantic's other entries name the arms of unions."""
    keys: list[int | str] = []
    for step in location:
        with suppress(KeyError, IndexError, TypeError):
            table = table[step]
            keys.append(step)
    return tuple(keys)


def _keys(kind: Any, path: Sequence[int | str]) -> list[str]:
    """Fields of the dataclass at the end of the path."""
    for step in path:
        declared: Any = next(f.type for f in fields(kind) if f.name == step)
        kind = next(arm for arm in (declared, *get_args(declared)) if is_dataclass(arm))
    return [f.name for f in fields(kind)]


def _plain(message: str) -> str:
    for theirs, ours in _WORDS.items():
        message = message.replace(theirs, ours)
    return message
