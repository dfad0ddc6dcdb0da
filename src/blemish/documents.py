"""Documents: JSON and TOML files that anyone may have written, read within limits.

A file is opened only if it is a regular file of limited size: a FIFO or a device would block the
program or never end. JSON that is nested too deeply or holds integers beyond 64 bits is an error
like any other mistake in it, and `fill` turns an object into a dataclass only if every field has
its declared type.
"""

import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from blemish.errors import DataError, UserError
from blemish.regular import IrregularFileError, read_regular

T = TypeVar("T")
MAX_BYTES = 16 * 2**20
_MAX_INT = 2**64
_MAX_DOTS = 200
_QUOTED = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
_SCALARS = {int: (int,), float: (int, float), str: (str,), bool: (bool,)}


def read_text(
    path: Path, what: str, error: type[UserError] = DataError, *, limit: int = MAX_BYTES
) -> str:
    """Read a whole text file.

    Args:
        path: A regular file of at most `limit` bytes.
        what: What the file should hold, for the message: "a recipe in TOML".
        error: The class of the error to raise.
        limit: Largest size in bytes.

    Raises:
        UserError: The file is missing, too large, not a regular file, or not UTF-8.
    """
    try:
        return read_regular(path, limit).decode()
    except OSError as problem:
        got = f"{path}, which can't be read ({problem.strerror or problem})"
    except IrregularFileError as problem:
        got = f"{path}, which {problem}"
    except UnicodeDecodeError as problem:
        got = f"{path}, which is not UTF-8 text (byte {problem.start})"
    raise error(got=got, expected=what, todo="Check the path and the file.")


def read_json(
    path: Path, what: str, error: type[UserError] = DataError, *, limit: int = MAX_BYTES
) -> Any:
    """Read a JSON file; see `read_text` and `parse_json`.

    Raises:
        UserError: The file can't be read, or holds no JSON.
    """
    text = read_text(path, what, error, limit=limit)
    try:
        return parse_json(text)
    except ValueError as problem:
        got = f"{path}, which can't be read as JSON ({problem})"
        raise error(got=got, expected=what, todo="Check the file.") from problem


def parse_json(text: str) -> Any:
    """Parse JSON.

    Raises:
        ValueError: It is malformed, nested too deeply, or holds an integer beyond 64 bits.
    """
    try:
        return json.loads(text, parse_int=_integer)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        ValueError: It is malformed, nested too deeply, or holds an integer beyond 64 bits.
    """
    # The parser follows a dotted key anew for each line below it: time would grow with its square.
    if any(_QUOTED.sub("", line).count(".") > _MAX_DOTS for line in text.splitlines()):
        raise ValueError(f"a line has more than {_MAX_DOTS} dots")
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    waiting: list[Any] = [tables]
    while waiting:
        value = waiting.pop()
        if isinstance(value, int) and not -_MAX_INT < value < _MAX_INT:
            raise ValueError("it holds an integer beyond 64 bits")
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
    return tables


def fill(kind: type[T], value: object, name: str) -> T:
    """Make a dataclass from a JSON object.

    Args:
        kind: The dataclass; its fields are scalars, literals, tuples, dataclasses, or unions.
        value: The object.
        name: The object's name, for messages.

    Raises:
        ValueError: A field is unknown or missing, or its value is of another type.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {_shown(value)}, not an object")
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for key in value.keys() - known.keys():
        raise ValueError(f"{name} has the unknown field {key[:40]!r}")
    for key, field in known.items():
        optional = field.default is not MISSING or field.default_factory is not MISSING
        if key not in value and not optional:
            raise ValueError(f"{name} lacks the field '{key}'")
    hints = get_type_hints(kind)
    return kind(**{key: _convert(hints[key], v, f"{name}.{key}") for key, v in value.items()})


def limit(numbers: Mapping[str, tuple[float, float, float]]) -> None:
    """Check that numbers lie in their ranges.

    Args:
        numbers: By name: the number, the least and the greatest value allowed.

    Raises:
        ValueError: Naming the first that does not.
    """
    for name, (number, least, greatest) in numbers.items():
        if not least <= number <= greatest:
            raise ValueError(f"{name} is {_shown(number)}, not {least:g} to {greatest:g}")


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -_MAX_INT < int(digits) < _MAX_INT:
        raise ValueError("it holds an integer beyond 64 bits")
    return int(digits)


def _convert(kind: Any, value: object, name: str) -> Any:
    origin, arms = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _convert_to_any(arms, value, name)
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(arms[0], entry, name) for entry in value)
    if is_dataclass(kind) and isinstance(kind, type):
        return fill(kind, value, name)
    fits = value is None if kind is type(None) else type(value) in _SCALARS.get(kind, ())
    if origin is Literal:
        fits = any(type(value) is type(arm) and value == arm for arm in arms)
    if not fits or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{name} is {_shown(value)}, which does not fit")
    return value


def _convert_to_any(arms: tuple[Any, ...], value: object, name: str) -> Any:
    """The value as the first of several types that takes it; the first one's error if none does."""
    problems = []
    for arm in arms:
        try:
            return _convert(arm, value, name)
        except ValueError as problem:
            problems.append(problem)
    raise problems[0]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"a {type(value).__name__}"
