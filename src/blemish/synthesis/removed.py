"""Methods and options of earlier releases that are gone, each with what replaced it."""

from collections.abc import Mapping
from typing import Any

from blemish.errors import OptionError

METHODS = frozenset({"one-pass", "hybrid"})
OPTIONS: dict[str, Any] = {"polish": 20, "detail": False, "tone": "model"}  # and their defaults


def refuse_removed(given: Mapping[str, Any]) -> None:
    """Refuse methods and options that are gone.

    Args:
        given: Options by name.

    Raises:
        OptionError: One of them is gone; the message names what replaced it.
    """
    named = [f"the option {name}" for name in given if name in OPTIONS]
    if given.get("method") in METHODS:
        named.append(f"the method {given['method']}")
    if named:
        raise OptionError(
            got=f"{named[0]}, which this version no longer has",
            expected="the method window, which replaced it and draws at the photograph's own scale",
            todo="Use the method window, or leave it out. Train a bundle that has no window "
            "generator by 'blemish train windows DATA --bundle BUNDLE'.",
        )
