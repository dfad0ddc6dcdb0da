"""Values in annotations, which anyone may have written: each is checked before it is used.

All functions raise a ValueError, to which `describing` adds where the value is.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from typing import Any, TypeVar

import numpy as np

from blemish.data.importing.areas import LARGEST, Points
from blemish.errors import DataError

T = TypeVar("T")
MOST_POINTS = 1_000_000  # of one annotation


@contextmanager
def describing(where: str, tool: str) -> Iterator[None]:
    """Turn a ValueError into a `DataError`.

    Args:
        where: File and entry, for the message.
        tool: Name of the format, for the message.
    """
    try:
        yield
    except ValueError as problem:
        raise DataError(
            got=f"{where}: {problem}",
            expected=f"annotations as {tool} writes them",
            todo="Correct or remove the annotation, then import again.",
        ) from problem


def field(entry: object, name: str, kind: type[T], default: T | None = None) -> T:
    """Value of a field of an object.

    Args:
        entry: The object.
        name: Name of the field.
        kind: Type of the value.
        default: Value if the field is missing or null; None requires it.
    """
    value = entry.get(name) if isinstance(entry, Mapping) else None
    if value is None and default is not None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"'{name}' is {_shown(value)}")
    return value


def finite_number(value: object) -> float:
    """A finite number of moderate size, written as a number or as text."""
    try:
        found = float(value) if isinstance(value, str | int | float) else float("nan")
    except (ValueError, OverflowError):
        found = float("nan")
    if isinstance(value, bool) or not isfinite(found) or abs(found) > LARGEST:
        raise ValueError(f"{_shown(value)} is not a number up to {LARGEST:g}")
    return found


def whole_number(value: object) -> int:
    """A whole number of moderate size, written as a number or as text."""
    found = finite_number(value)
    if found != int(found):
        raise ValueError(f"{_shown(value)} is not a whole_number number")
    return int(found)


def points(values: Any, least: int) -> Points:
    """Points of pairs of numbers, or of numbers alternating x and y.

    Args:
        values: A list.
        least: Smallest number of points.
    """
    if not isinstance(values, list) or len(values) > 2 * MOST_POINTS:
        raise ValueError(f"its points are {_shown(values)}")
    pairs = all(isinstance(value, list) and len(value) == 2 for value in values)
    flat = [finite_number(n) for value in values for n in (value if pairs else [value])]
    if len(flat) % 2 or len(flat) < 2 * least:
        raise ValueError(f"it has {len(flat)} coordinates, not those of {least} points or more")
    return np.array(flat).reshape(-1, 2)


def _shown(value: object) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 40 else f"a {type(value).__name__}"
