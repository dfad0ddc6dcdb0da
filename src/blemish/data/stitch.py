"""Real defects, moved onto generated parts.

With a few dozen photographs a critic soon separates generated parts from real ones and ignores the
defect. If a real defect is stitched onto a *generated* twin, both sides have the same background
and only the defect is left to judge. The same pairs show the branch the target of each code.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from blemish.data.augment import Symmetries, augment_stack
from blemish.data.folder import DefectFolder, load_pictures, refuse_unmarked
from blemish.data.masks import components, draw_blob, draw_stroke, silhouette
from blemish.pictures import mask_to_tensor, to_picture, to_tensor

LEAST_PIXELS = 6
TRIES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Defects:
    """Single defects cut from photographs: a photograph with three pieces of paint gives three.

    Attributes:
        image: Photograph.
        mask: Mask of the one piece.
        kind: Index of its type.
    """

    image: Float[Tensor, "n 3 h w"]
    mask: Float[Tensor, "n 1 h w"]
    kind: Int[Tensor, " n"]

    def __len__(self) -> int:
        return self.image.shape[0]

    def some(self, n: int, rng: torch.Generator) -> Int[Tensor, " n"]:
        """Indices of `n`, with replacement; each type is equally likely."""
        kinds = self.kind.unique()
        return self.like(kinds[torch.randint(len(kinds), (n,), generator=rng)], rng)

    def like(self, kind: Int[Tensor, " n"], rng: torch.Generator) -> Int[Tensor, " n"]:
        """Indices of defects of given types, or of any if a type has none."""
        scores = torch.rand(len(kind), len(self), generator=rng)
        return (scores - (kind.cpu()[:, None] != self.kind).float()).argmax(dim=1)


def cut_defects(
    pictures: UInt8[np.ndarray, "n h w 3"], masks: UInt8[np.ndarray, "n h w"], kinds: Sequence[int]
) -> Defects:
    """Every connected piece of every mask, with its photograph."""
    pieces = [
        (index, piece)
        for index, mask in enumerate(masks)
        for piece in components(mask > 0, least=LEAST_PIXELS)
    ]
    owners = [index for index, _ in pieces]
    return Defects(
        image=to_tensor(pictures[owners]),
        mask=mask_to_tensor(np.stack([piece for _, piece in pieces])),
        kind=torch.tensor([kinds[index] for index in owners]),
    )


def read_defects(
    folder: DefectFolder, types: Sequence[str], resolution: int, *, third: bool
) -> Defects | None:
    """Defects of a folder, each piece separately; None if it has none of these types.

    Args:
        folder: Folder with defective photographs and their masks.
        types: Defect types, in the order of their indices.
        resolution: Side of the squares to which they are resized.
        third: Use the first third of each type by name, the field's few-shot protocol.

    Raises:
        DataError: A file can't be read, or a mask is missing, empty or full.
    """
    chosen = [p for kind in types for p in folder.defects_to_learn(kind, first_third=third)]
    if not chosen:
        return None
    pictures, masks = load_pictures(chosen, resolution)
    refuse_unmarked(chosen, masks)
    return cut_defects(pictures, masks, [types.index(p.kind) for p in chosen])


@torch.no_grad()
def parts_of(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Silhouettes of images, as masks."""
    shapes = [silhouette(picture) for picture in to_picture(image.cpu())]
    return mask_to_tensor(np.stack(shapes)).to(image.device)


@torch.no_grad()
def stitch(
    twin: Float[Tensor, "n 3 h w"],
    part: Float[Tensor, "n 1 h w"],
    defects: Defects,
    chosen: Int[Tensor, " n"],
    symmetries: Symmetries,
    rng: torch.Generator,
) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "n 1 h w"]]:
    """Move the chosen defects randomly and paste them onto twins, on the part.

    Returns:
        The images, and masks of zeros and ones; empty ones if no try was on the part.
    """
    source = torch.cat([defects.image, defects.mask], dim=1)[chosen]
    image, mask = twin.clone(), torch.zeros_like(part)
    for _ in range(TRIES):
        moved = augment_stack(source, symmetries, generator=rng).to(twin.device)
        placed = (moved[:, 3:] > 0.5).float() * part
        enough = placed.sum(dim=(1, 2, 3)) >= LEAST_PIXELS
        fresh = (enough & (mask.sum(dim=(1, 2, 3)) == 0)).float()[:, None, None, None]
        mask = mask + placed * fresh
        image = torch.lerp(image, moved[:, :3], placed * fresh)
    return image, mask


def draw_masks(
    part: Float[Tensor, "n 1 h w"],
    real: Float[Tensor, "n 1 h w"],
    symmetries: Symmetries,
    rng: torch.Generator,
    *,
    share_real: float = 0.6,
) -> Float[Tensor, "n 1 h w"]:
    """Training masks: moved real ones, strokes and blobs, all on the part.

    Args:
        part: Silhouettes of the parts.
        real: A real mask for each item.
        symmetries: Augmentation of real masks.
        rng: Random generator.
        share_real: Fraction of real masks; the rest are drawn.
    """
    np_rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=rng)))
    moved = augment_stack(real, replace(symmetries, colour=False), generator=rng) > 0.5
    masks = [
        moved[k, 0].numpy() if np_rng.random() < share_real else _drawn(real.shape[-1], np_rng)
        for k in range(len(real))
    ]
    placed = mask_to_tensor(np.stack(masks)).to(part.device) * part
    empty = placed.sum(dim=(1, 2, 3), keepdim=True) < LEAST_PIXELS
    return torch.where(empty, part * _middle(part), placed)


def _drawn(side: int, np_rng: np.random.Generator) -> np.ndarray:
    return draw_stroke(side, np_rng) if np_rng.random() < 0.5 else draw_blob(side, np_rng)


def _middle(part: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "1 1 h w"]:
    """Disc in the centre, for the rare item whose mask missed the part in every try."""
    side = part.shape[-1]
    axis = torch.arange(side, device=part.device) - (side - 1) / 2
    return (axis[:, None].square() + axis.square() < (side / 12) ** 2).float()[None, None]
