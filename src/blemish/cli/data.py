"""`blemish data`: checks and imports of the user's data."""

import json
import sys
from typing import TYPE_CHECKING

from blemish.cli.options import Data, Json
from blemish.errors import DataError, OptionError

if TYPE_CHECKING:
    from blemish.data import Check


def check(data: Data, resolution: int = 64, as_json: Json = False) -> None:
    """Check every photograph and mask of a folder and report problems by file.

    Args:
        data: Folder with train/good, test/<type> and ground_truth/<type>.
        resolution: Side of the model's pictures, at which a mask should keep 3 pixels or more.
        as_json: Print JSON instead of a table.
    """
    from rich.console import Console
    from rich.progress import track

    import blemish.data

    _refuse_resolution(resolution)
    found = blemish.data.check(
        data,
        resolution=resolution,
        track=lambda photographs: track(
            photographs,
            "checking",
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        ),
    )
    if as_json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        _print(found)
    if found.complaints:
        raise DataError(
            got=f"{data}, with problems listed on stdout by file ({len(found.complaints)} in all)",
            expected="a folder without problems",
            todo="Fix these files or move them away, then check again.",
        )


def _print(found: "Check") -> None:
    from rich.console import Console

    Console(markup=False, emoji=False, highlight=False).print(found.table())
    for sentence in found.taken:
        print(f"{sentence[0].upper()}{sentence[1:]}.")
    for title, said in (("Notes", found.notes), ("Complaints", found.complaints)):
        if said:
            print(f"\n{title}:")
        for one in said:
            print(f"{one.path} {one.text}")


def _refuse_resolution(resolution: int) -> None:
    if resolution < 1:
        raise OptionError(
            got=f"--resolution {resolution}", expected="1 or more", todo="Give the model's side."
        )
