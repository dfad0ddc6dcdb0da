"""One item of a batch, as a pure function of the recipe and its index.

Whatever is left to chance comes from a generator keyed by the recipe's seed and the index alone, so
any process may make any item, in any order, and as often as it likes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blemish.checkpoint import Bundle
from blemish.synthesis.batch.recipe import Recipe
from blemish.synthesis.naming import plain_stem
from blemish.synthesis.options import SynthesisOptions

SEEDS = 2**32
_ITEMS, _PARTS = 0, 1  # streams of random numbers that never meet


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnPart:
    """A part that the bundle draws.

    Attributes:
        number: Among those of the recipe.
        seed: Of its code.
    """

    number: int
    seed: int

    @property
    def name(self) -> str:
        """Of its file, from the batch's folder."""
        return f"parts/part_{self.number:04d}.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What one item shall be.

    Attributes:
        index: Among the recipe's items.
        kind: Type of the defect.
        bundle: The bundle that makes it, or draws its part; None if none is needed.
        options: Options of making it.
        here: The folder from which files are named.
        real: Folder with real defects, as the recipe names it.
        photograph: Of the good part.
        mask: Where the defect shall be; None for a mask that is drawn.
        mask_seed: Of a mask that is drawn.
        strength: Of the change, in (0, 1].
        seed: Of the defect.
    """

    index: int
    kind: str
    bundle: Bundle | None
    options: SynthesisOptions
    here: Path
    real: str | None
    photograph: str | DrawnPart
    mask: str | None
    mask_seed: int
    strength: float
    seed: int

    @property
    def normal(self) -> str:
        """The photograph's name."""
        return self.photograph if isinstance(self.photograph, str) else self.photograph.name

    @property
    def name(self) -> str:
        """Of the item's files, unlike that of any other index."""
        return f"{self.index:06d}_{plain_stem(Path(self.normal))}"

    def facts(self) -> dict[str, Any]:
        """What a failed item's line says of it, and others say too."""
        known = {"index": self.index, "seed": self.seed, "strength": self.strength}
        return {**known, "normal": self.normal, "requested": self.mask}


def task_of(recipe: Recipe, index: int) -> Task:
    """What item `index` of a recipe shall be.

    Raises:
        IndexError: The recipe has no such item.
    """
    place, number = recipe.locate(index)
    group = recipe.groups[place]
    dice = _dice(recipe.seed, _ITEMS, index)
    seed, mask_seed = (int(seed) for seed in dice.integers(SEEDS, size=2))
    low, high = group.strengths
    strength = max(low, round(low + (high - low) * dice.random(), 4))
    return Task(
        index=index,
        kind=group.defect,
        bundle=recipe.bundle_of(group),
        options=group.options(recipe.here),
        here=recipe.here,
        real=None if group.real is None else group.real.as_posix(),
        photograph=_photograph(recipe, place, number),
        mask=group.masks[dice.integers(len(group.masks))] if group.masks else None,
        mask_seed=mask_seed,
        strength=strength,
        seed=seed,
    )


def _photograph(recipe: Recipe, place: int, number: int) -> str | DrawnPart:
    """Items that follow each other share one, so that it is inverted for all of them at once."""
    group = recipe.groups[place]
    if group.photographs:
        return group.photographs[number * len(group.photographs) // group.count]
    before = sum(earlier.parts or 0 for earlier in recipe.groups[:place])
    part = before + number * (group.parts or 1) // group.count
    return DrawnPart(number=part, seed=int(_dice(recipe.seed, _PARTS, part).integers(SEEDS)))


def _dice(seed: int, stream: int, index: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, index)))
