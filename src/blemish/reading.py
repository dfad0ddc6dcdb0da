"""How files are read where they do not say it themselves: the levels of a camera, classes of masks.

These are settings of a whole command, like the precision of `decimal`: every picture that the
command reads, wherever that happens, is read in the same way.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from blemish.errors import OptionError

FULL = 65535
_LEAST_BITS, _MOST_BITS = 9, 16


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How pictures and masks are read.

    Attributes:
        levels: White level of photographs in 16-bit files, such as 4095 for a camera of 12 bits;
            None takes what each file says, or else 65535.
        classes: Defect type of each level of the masks, such as "100=crack,200=colour"; None
            expects masks of two levels.

    Raises:
        OptionError: A value can't be understood.
    """

    levels: int | None = None
    classes: str | None = None

    def __post_init__(self) -> None:
        if self.levels is not None and not is_white(self.levels):
            raise OptionError(
                got=f"a highest level of {self.levels}",
                expected="1023, 4095, 16383 or another power of two less one, up to 65535",
                todo="Give the highest level that the camera can record, such as 4095 for 12 bits.",
            )
        _kinds(self.classes)  # so that a mistake shows now, not at the first mask

    @property
    def kinds(self) -> dict[int, str]:
        """The defect type of each level; empty without `classes`."""
        return _kinds(self.classes)


def is_white(level: int) -> bool:
    """Whether a number is the highest level of 9 to 16 bits."""
    return level in [2**bits - 1 for bits in range(_LEAST_BITS, _MOST_BITS + 1)]


def _kinds(classes: str | None) -> dict[int, str]:
    return dict(_class(pair) for pair in classes.split(",")) if classes is not None else {}


def _class(pair: str) -> tuple[int, str]:
    level, _, kind = (part.strip() for part in pair.partition("="))
    if not (level.isdecimal() and int(level) <= FULL and kind):
        raise OptionError(
            got=f"the class '{pair.strip()}'",
            expected="LEVEL=TYPE, several with commas between them",
            todo="Write it like 1=crack,2=colour.",
        )
    return int(level), kind


AS_STORED = Reading()  # as files say it

_current: ContextVar[Reading] = ContextVar("reading", default=AS_STORED)


def current() -> Reading:
    """The settings in force."""
    return _current.get()


def use(reading: Reading) -> None:
    """Put settings in force until the innermost `read_as` ends."""
    _current.set(reading)


@contextmanager
def read_as(reading: Reading) -> Iterator[None]:
    """Put settings in force for what is done inside."""
    token = _current.set(reading)
    try:
        yield
    finally:
        _current.reset(token)
