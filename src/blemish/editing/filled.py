"""What filling and repair write: pictures, the hole, codes, close-ups and figures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blemish.checkpoint import Bundle, save_codes
from blemish.data.closeup import close_up
from blemish.editing.codefill import CodeFilling
from blemish.editing.fill import Filling, spread
from blemish.editing.membrane import erased
from blemish.files import write_atomically
from blemish.originals import Original
from blemish.pictures import grid, write_picture
from blemish.types import Codes

TILE = 256  # side of a close-up
RECORD = "filled.json"


def save_fillings(
    out: Path,
    stem: str,
    photograph: Original,
    fillings: Sequence[Filling],
    bundle: Bundle,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Write fillings of one hole into a folder, the figures last; returns the figures.

    A filling by codes also gets a folder like those of `blemish invert`, to be edited.

    Args:
        out: Folder, which can be written to.
        stem: Name of the photograph without its suffix.
        photograph: The photograph.
        fillings: One or more.
        bundle: Bundle that drew them.
        about: Figures to add.

    Raises:
        OutputError: The folder can't be written to.
    """
    (out / RECORD).unlink(missing_ok=True)  # of earlier fillings
    hole = fillings[0].hole
    names = [f"{stem}_{number:02d}.png" for number in range(len(fillings))]
    for name, one in zip(names, fillings, strict=True):
        one.picture.write(out / name)
        if isinstance(one, CodeFilling):
            one.inversion.save((out / name).with_suffix(""), bundle)
    photograph.write_mask(out / "hole.png", hole)
    save_codes(out / "codes.safetensors", Codes.joined([one.codes for one in fillings]))
    shown = [photograph.picture, erased(photograph.picture, hole)]
    shown += [one.picture.picture for one in fillings[:6]]
    tiles = [close_up(picture, hole, TILE)[0] for picture in shown]
    write_picture(out / "strip.png", grid(tiles, len(tiles)))
    row = {
        **about,
        "method": fillings[0].method,
        "hole_share": round(float(hole.mean()), 6),
        "spread_levels": round(spread(fillings), 3),
        "fillings": [
            {
                "picture": name,
                "seed": one.seed,
                "scores": one.scores.row(),
                "reasons": list(one.scores.reasons()),
            }
            for name, one in zip(names, fillings, strict=True)
        ],
        "bundle": {"name": bundle.path.name, "digest": bundle.digest},
    }
    write_atomically(out / RECORD, (json.dumps(row, indent=2) + "\n").encode())
    return row
