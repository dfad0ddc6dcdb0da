"""Question 3 for directions: what else changes when photographs' codes are moved along them?"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from blemish.data.shadow import unshadowed_silhouette
from blemish.editing.attributes import ATTRIBUTES, measured
from blemish.editing.directions import Direction, moved, purity
from blemish.evaluation.figures import mean, middle, monotone, share
from blemish.models.generator import Generator
from blemish.pictures import to_picture
from blemish.types import Codes

DISTANCES = (-2.0, -1.0, 0.0, 1.0, 2.0)
MOST = 8  # photographs that are moved
Pictures = UInt8[np.ndarray, "steps h w 3"]
# Pictures of edited codes, from the number of the photograph that they come from.
DrawEdit = Callable[[int, Codes], Float[Tensor, "n 3 h w"]]


def plain_draw(generator: Generator) -> DrawEdit:
    """Pictures that the generator draws of the codes alone."""
    return lambda _, codes: generator(codes).image


@torch.no_grad()
def moving(codes: Codes, draw: DrawEdit, directions: Sequence[Direction]) -> dict[str, Any]:
    """Figures of moves of good parts along the directions of attributes.

    The unit of an attribute is its deviation among the photographs as they are reconstructed.

    Args:
        codes: Codes of photographs of good parts.
        draw: Pictures of edited codes.
        directions: Directions of the bundle; those of no attribute are left out.

    Returns:
        Purity (median over the directions), share of moves along which the attribute only rises or
        only falls, and change of what is outside the part, on [-1, 1]; empty without directions.
    """
    known = [one for one in directions if one.name in ATTRIBUTES]
    chosen = [codes[k : k + 1] for k in range(min(MOST, len(codes)))]
    if not known or len(chosen) < 2:
        return {}
    trials = {
        one.name: [_moved(k, part, draw, one) for k, part in enumerate(chosen)] for one in known
    }
    values = {name: np.stack([measured(seen) for seen in found]) for name, found in trials.items()}
    unit = next(iter(values.values()))[:, DISTANCES.index(0)].std(axis=0).clip(min=1e-9)
    pure = {name: _purity(found / unit, name) for name, found in values.items()}
    courses = [torch.from_numpy(v[:, :, ATTRIBUTES.index(name)]) for name, v in values.items()]
    outside = [_outside(seen) for found in trials.values() for seen in found]
    return {
        "direction_purity": middle(list(pure.values())),
        "direction_monotone": share(monotone(torch.cat(courses)).tolist()),
        "direction_outside": mean(outside),
        "purity_by_direction": pure,
    }


def _moved(number: int, codes: Codes, draw: DrawEdit, direction: Direction) -> Pictures:
    found = moved(codes, direction, list(DISTANCES))
    return np.concatenate([to_picture(draw(number, found[k : k + 1])) for k in range(len(found))])


def _purity(values: Float[np.ndarray, "n steps a"], name: str) -> float:
    """Purity of the mean change between the distances -1 and 1."""
    low, high = DISTANCES.index(-1), DISTANCES.index(1)
    return purity((values[:, high] - values[:, low]).mean(axis=0), ATTRIBUTES.index(name))


def _outside(pictures: Pictures) -> float:
    """Mean change from the unmoved picture, where neither shows the part."""
    still = pictures[DISTANCES.index(0)]
    part, changes = unshadowed_silhouette(still), []
    for picture in pictures:
        ground = ~(part | unshadowed_silhouette(picture))
        if ground.any():
            change = np.abs(picture.astype(np.float32) - still)[ground] / 127.5
            changes.append(float(change.mean()))
    return float(np.mean(changes)) if changes else 0.0
