"""A strip of pictures for each direction of a bundle, with its figures."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from blemish.devices import one_thread
from blemish.editing.directions import Direction, moved
from blemish.editing.subjects import EditSubject
from blemish.files import ensure_writable
from blemish.inversion.model import Model
from blemish.pictures import grid, to_picture, write_picture

DISTANCES = (-2.0, -1.0, 0.0, 1.0, 2.0)


@one_thread()
@torch.no_grad()
def write_strips(
    out: Path, model: Model, subject: EditSubject, directions: Iterable[Direction]
) -> list[dict[str, Any]]:
    """Draw a part at several distances along each direction.

    Args:
        out: Folder of the strips, `<direction>.png`.
        model: Networks of a bundle.
        subject: The part.
        directions: Directions of the bundle.

    Returns:
        Name, attribute, accuracy and purity of each direction.

    Raises:
        OutputError: The folder can't be written to.
    """
    ensure_writable(out)
    rows = []
    for one in directions:
        codes = moved(subject.codes, one, list(DISTANCES))
        pictures = [
            to_picture(model.generator(codes[k : k + 1]).image[0]) for k in range(len(codes))
        ]
        write_picture(out / f"{one.name}.png", grid(pictures, len(pictures)))
        rows.append(
            {
                "name": one.name,
                "attribute": one.attribute,
                "accuracy": round(one.accuracy, 4),
                "purity": round(one.purity, 3),
            }
        )
    return rows
