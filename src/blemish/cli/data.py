"""`blemish data`: checks of the user's data."""

import json
import sys

from blemish.cli.options import Data, Json
from blemish.errors import DataError


def check(data: Data, as_json: Json = False) -> None:
    """Check every photograph and mask of a folder and report problems by file.

    Args:
        data: Folder with train/good, test/<type> and ground_truth/<type>.
        as_json: Print JSON instead of a table.
    """
    from rich.console import Console
    from rich.progress import track

    import blemish.data

    aside = Console(stderr=True)
    found = blemish.data.check(
        data,
        track=lambda photographs: track(
            photographs, "checking", console=aside, transient=True, disable=not sys.stderr.isatty()
        ),
    )
    if as_json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        Console(markup=False, emoji=False, highlight=False).print(found.table())
        for complaint in found.complaints:
            print(f"{complaint.path} {complaint.text}")
    if found.complaints:
        raise DataError(
            got=f"{data}, with problems listed on stdout by file ({len(found.complaints)} in all)",
            expected="a folder without problems",
            todo="Fix these files or move them away, then check again.",
        )
