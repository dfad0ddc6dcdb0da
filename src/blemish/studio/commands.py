"""Commands that the studio starts as jobs."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path

from blemish.documents import limit
from blemish.errors import DataError
from blemish.files import check_name
from blemish.names import ExportFormat
from blemish.reading import current

LONGEST_MINUTES = 7 * 24 * 60
_PLAIN = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, kw_only=True)
class ExportWish:
    """Export of a set.

    Attributes:
        set: Name of the set.
        format: Format of the export.
        pairs: Add the untouched photographs.
        hold_out: Fraction of the photographs to hold out.
    """

    set: str
    format: ExportFormat
    pairs: bool = False
    hold_out: float = 0


@dataclass(frozen=True, kw_only=True)
class TrainWish:
    """Training of a bundle.

    Attributes:
        data: Folder inside the user's.
        name: Name of the bundle.
        minutes: Time limit.
        everything: Learn from all defects.
    """

    data: str = ""
    name: str
    minutes: float = 60
    everything: bool = False

    def __post_init__(self) -> None:
        limit({"the minutes": (self.minutes, 1, LONGEST_MINUTES)})
        check_name(self.name, "the bundle's name")
        if self.name.startswith("-"):
            raise DataError(
                got=f"a bundle named '{self.name}'",
                expected="a name that starts with a letter",
                todo="Choose another name.",
            )


def free_name(folder: Path, stem: str) -> str:
    """A name that nothing in a folder has."""
    names = (f"{stem}{f'-{k}' if k > 1 else ''}" for k in range(1, 10_000))
    return next(name for name in names if not (folder / name).exists())


def export_command(source: Path, out: Path, wish: ExportWish) -> list[str]:
    """`blemish export`."""
    words = ["export", str(source), "--out", str(out), "--format", wish.format]
    words += ["--pairs"] if wish.pairs else []
    return words + (["--hold-out", f"{wish.hold_out:g}"] if wish.hold_out else [])


def run_command(recipe: Path, out: Path) -> list[str]:
    """`blemish batch`."""
    return ["batch", str(recipe), "--out", str(out)]


def report_command(real: Path, source: Path, out: Path) -> list[str]:
    """`blemish evaluate synthesis`."""
    words = ["--real", str(real), "--synthetic", str(source), "--out", str(out)]
    return ["evaluate", "synthesis", *words, *_reading()]


def check_command(data: Path) -> list[str]:
    """`blemish data check`."""
    return ["data", "check", str(data), "--json", *_reading()]


def train_command(data: Path, out: Path, wish: TrainWish) -> list[str]:
    """`blemish train`."""
    words = ["train", "all", str(data), "--out", str(out), "--minutes", f"{wish.minutes:g}"]
    return words + (["--everything"] if wish.everything else []) + _reading()


def _reading() -> list[str]:
    """Options of how pictures are read, as the studio itself was started."""
    known = asdict(current())
    return [word for k, v in known.items() if v is not None for word in (f"--{k}", str(v))]


def set_stem(name: str) -> str:
    """Name of a set as a part of a file's name."""
    return _PLAIN.sub("-", name).strip("-")
