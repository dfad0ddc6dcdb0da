"""What an edit of a defect writes: pictures at the photograph's depth, masks, codes and a strip."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from blemish.checkpoint import Bundle, save_codes
from blemish.data.closeup import close_up
from blemish.editing.fill import greyed
from blemish.files import ensure_writable, write_atomically
from blemish.originals import Original
from blemish.pictures import grid, write_picture
from blemish.types import Codes

TILE = 192


def save_looks(
    out: Path,
    photograph: Original,
    drawn: Sequence[UInt8[np.ndarray, "h w 3"]],
    codes: Sequence[Codes],
    place: Bool[np.ndarray, "h w"],
    steps: Sequence[Mapping[str, Any]],
    bundle: Bundle,
) -> dict[str, Any]:
    """Write pictures of defects on one photograph, the figures last; returns the figures.

    Args:
        out: Folder.
        photograph: The photograph.
        drawn: Pictures with a defect.
        codes: Codes of each.
        place: Place that was asked for, for the close-ups.
        steps: What was changed for each.
        bundle: Bundle that drew them.

    Raises:
        OutputError: The folder can't be written to.
    """
    ensure_writable(out)
    (out / "edit.json").unlink(missing_ok=True)  # of an earlier edit
    rows, tiles = [], [close_up(photograph.picture, place, TILE)[0]]
    for number, (picture, code, step) in enumerate(zip(drawn, codes, steps, strict=True)):
        picture = greyed(picture) if photograph.grey else picture
        changed = (picture != photograph.picture).any(axis=2)
        photograph.with_change(picture, changed).write(out / f"{number:02d}.png")
        photograph.write_mask(out / f"{number:02d}_mask.png", changed)
        save_codes(out / f"{number:02d}.safetensors", code)
        tiles.append(close_up(picture, place, TILE)[0])
        rows.append({**step, "changed_share": round(float(changed.mean()), 6)})
    write_picture(out / "strip.png", grid(tiles, len(tiles)))
    row = {
        "edit": "defect",
        "pictures": rows,
        "bundle": {"name": bundle.path.name, "digest": bundle.digest},
    }
    write_atomically(out / "edit.json", (json.dumps(row, indent=2) + "\n").encode())
    return row
