"""Documents: JSON, TOML, YAML and XML that anyone may have written, read within limits.

A file is opened only if it is a regular file of limited size: a FIFO or a device would block the
program or never end. What is nested too deeply or holds integers beyond 64 bits is an error like
any other mistake, aliases and entities, with which a short text grows without limit, are refused,
and `dataclass_from` turns an object into a dataclass only if every field has its declared type.
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
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import yaml

from blemish.errors import DataError, UserError
from blemish.regular import IrregularFileError, read_regular

T = TypeVar("T")
MAX_BYTES = 16 * 2**20
_MAX_INT = 2**64
_MAX_DOTS = 200
_MAX_DEPTH = 100
_QUOTED = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
_SCALARS = {int: (int,), float: (int, float), str: (str,), bool: (bool,)}


def read_text(
    path: Path, what: str, error: type[UserError] = DataError, *, most_bytes: int = MAX_BYTES
) -> str:
    """Read a whole text file.

    Args:
        path: A regular file.
        what: What the file should hold, for the message: "a recipe in TOML".
        error: The class of the error to raise.
        most_bytes: Largest size of the file.

    Raises:
        UserError: The file is missing, too large, not a regular file, or not UTF-8.
    """
    try:
        return read_regular(path, most_bytes).decode("utf-8-sig")
    except OSError as problem:
        got = f"{path}, which can't be read ({problem.strerror or problem})"
    except IrregularFileError as problem:
        got = f"{path}, which {problem}"
    except UnicodeDecodeError as problem:
        got = f"{path}, which is not UTF-8 text (byte {problem.start})"
    raise error(got=got, expected=what, todo="Check the path and the file.")


def read_json(
    path: Path, what: str, error: type[UserError] = DataError, *, most_bytes: int = MAX_BYTES
) -> Any:
    """Read a JSON file; see `read_text` and `parse_json`.

    Raises:
        UserError: The file can't be read, or holds no JSON.
    """
    text = read_text(path, what, error, most_bytes=most_bytes)
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
    _refuse_long_integers(tables)
    return tables


def parse_yaml(text: str) -> Any:
    """Parse YAML without tags of programs.

    Raises:
        ValueError: It is malformed, has aliases, is nested too deeply, or holds an integer beyond
            64 bits.
    """
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise ValueError("it has aliases")
        value = yaml.safe_load(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except yaml.YAMLError as problem:
        raise ValueError(" ".join(str(problem).split())) from None
    _refuse_long_integers(value)
    return value


def parse_xml(text: str) -> Element:
    """Parse XML without a document type, and so without entities of its own.

    Raises:
        ValueError: It is malformed, has a document type, or is nested too deeply.
    """
    builder, parser, depth = TreeBuilder(), expat.ParserCreate("utf-8"), 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = builder.data, _refuse_doctype
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as problem:
        raise ValueError(str(problem)) from None
    return builder.close()


def dataclass_from(kind: type[T], value: object, name: str) -> T:
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


def _refuse_long_integers(document: object) -> None:
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, int) and not -_MAX_INT < value < _MAX_INT:
            raise ValueError("it holds an integer beyond 64 bits")
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value


def _refuse_doctype(*_: object) -> None:
    raise ValueError("it has a document type, which may hold entities")


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
        return dataclass_from(kind, value, name)
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
