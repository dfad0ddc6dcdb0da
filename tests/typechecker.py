"""What checks shapes and types while the tests run: beartype, with an int welcome as a float."""

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintPep673Exception

Function = Callable[..., Any]

_beartype: Callable[[Function], Function] = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Function) -> Function:
    try:
        return _beartype(function)
    except BeartypeDecorHintPep673Exception:
        return function  # `Self` can't be checked method by method, as the import hook does it
