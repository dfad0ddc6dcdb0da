"""The options of every verb that reads a user's pictures: how files are read."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any

from tyro.conf import arg

from blemish.reading import Reading, read_as

Verb = Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOptions:
    """How pictures and masks are read.

    Attributes:
        levels: Highest level of the camera in 16-bit files, such as 4095 for 12 bits.
        classes: Defect type of each level in masks with class numbers; the type good is
            background.
    """

    levels: Annotated[int | None, arg(help_behavior_hint="(default: as the file says)")] = None
    classes: Annotated[
        str | None, arg(metavar="LEVEL=TYPE,...", help_behavior_hint="(default: two levels)")
    ] = None


Flat = Annotated[ReadingOptions, arg(name="")]


def reads(verb: Verb) -> Verb:
    """The verb with the options of `ReadingOptions`, which hold while it runs."""
    signature = inspect.signature(verb)
    own = inspect.Parameter(
        "reading", inspect.Parameter.KEYWORD_ONLY, default=ReadingOptions(), annotation=Flat
    )

    @wraps(verb)
    def run(*args: Any, reading: ReadingOptions = ReadingOptions(), **kwargs: Any) -> None:
        with read_as(Reading(levels=reading.levels, classes=reading.classes)):
            verb(*args, **kwargs)

    parameters = [*signature.parameters.values(), own]
    vars(run).pop("__wrapped__")  # through which tyro would see the verb's own parameters alone
    vars(run)["__signature__"] = signature.replace(parameters=parameters)
    run.__annotations__ = {**verb.__annotations__, "reading": Flat}
    return run
