"""Data sets and transforms of PyTorch that make defects on the fly."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.utils.data import Dataset

from blemish.api.bundle import OpenBundle, load
from blemish.api.inputs import Photo
from blemish.api.item import Item
from blemish.api.recipes import FailedItem, RecipeItems
from blemish.data.pairs import read_mask
from blemish.errors import DataError, OptionError
from blemish.names import Device
from blemish.pictures import read_picture
from blemish.seeds import refuse_seeds
from blemish.synthesis.export.items import read_items

_SEEDS = 2**32
_ITEMS = 2  # stream of random numbers that no other use has

Pair = tuple[Float[Tensor, "*batch c h w"], Float[Tensor, "*batch 1 h w"]]


class Synthetic(Dataset[tuple[Tensor, Tensor, int]]):
    """Defects on good photographs: items of (image, mask, index of the type).

    Item k depends on the arguments and k alone, in any worker. It takes the photographs and the
    types in turn.

    Args:
        bundle: A bundle, or its name or folder.
        photos: Photographs of good parts.
        count: Number of items.
        defects: Types of defects; by default all that the bundle has learnt.
        seed: Random seed of the set.
        **options: Options of `OpenBundle.synthesize`.

    Raises:
        OptionError: There is no photograph, no item, or no such type.
        BundleError: There is no such bundle.
    """

    def __init__(
        self,
        bundle: OpenBundle | str | Path,
        photos: Sequence[Photo],
        count: int,
        *,
        defects: Sequence[str] | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        refuse_seeds(seed)
        self.bundle = _opened(bundle)
        self.photos, self.count, self.seed, self.options = photos, count, seed, options
        self.defects = _known(defects, self.bundle.types)
        if count < 1 or not len(photos):
            raise OptionError(
                got=f"{count} items on {len(photos)} photographs",
                expected="1 or more of each",
                todo="Name photographs, and a count.",
            )

    def __len__(self) -> int:
        return self.count

    def item(self, index: int) -> Item:
        """An item with its twin and scores.

        Raises:
            IndexError: There is no such item.
        """
        if not -self.count <= index < self.count:
            raise IndexError(f"item {index} of {self.count}")
        index %= self.count
        key = np.random.SeedSequence(self.seed, spawn_key=(_ITEMS, index))
        return self.bundle.synthesize(
            self.photos[index % len(self.photos)],
            defect=self.defects[self._type(index)],
            seed=int(np.random.default_rng(key).integers(_SEEDS)),
            **self.options,
        )

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        found = self.item(index)
        return *_tensors(found.rgb, found.mask), self._type(index % self.count)

    def _type(self, index: int) -> int:
        return index // len(self.photos) % len(self.defects)


class SyntheticRecipe(Dataset[tuple[Tensor, Tensor, int]]):
    """Items of a recipe, made on the fly: (image, mask, index of the type in `defects`).

    Args:
        recipe: File of the recipe.
        device: Device to work on; auto is CUDA where there is one.

    Raises:
        UserError: The recipe, one of its files or its bundle can't be used.
    """

    def __init__(self, recipe: str | Path, device: Device = "auto") -> None:
        self.items = RecipeItems(recipe, device)
        self.defects = tuple(dict.fromkeys(group.defect for group in self.items.recipe.groups))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        found = self.items[index]
        if isinstance(found, FailedItem):
            raise DataError(
                got=f"item {index} of {self.items.recipe.file}, which failed: {found.reason}",
                expected="an item that can be made",
                todo="Correct the recipe or the file.",
            )
        return *_tensors(found.rgb, found.mask), self.defects.index(found.defect)


class SyntheticFolder(Dataset[tuple[Tensor, Tensor, int]]):
    """Kept items of a folder: (image, mask, index of the type in `defects`).

    Args:
        folder: Folder written by `blemish batch`, `blemish synthesize` or `Item.save`.

    Raises:
        DataError: The folder was not written by Blemish, or has no kept item.
    """

    def __init__(self, folder: str | Path) -> None:
        self.items = read_items(Path(folder)).items
        self.defects = tuple(sorted({item.kind for item in self.items}))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        found = self.items[index]
        pair = _tensors(read_picture(found.image), read_mask(found.mask))
        return *pair, self.defects.index(found.kind)


class AddDefect(nn.Module):
    """Transform that places a defect on images of good parts: image → (image, mask).

    Seeds come from PyTorch's global random generator, as those of other transforms do.

    Args:
        bundle: A bundle, or its name or folder.
        defects: Types of defects, drawn evenly; by default all that the bundle has learnt.
        probability: Probability of a defect; other images stay as they are, with an empty mask.
        **options: Options of `OpenBundle.synthesize`.

    Raises:
        OptionError: There is no such type, or the probability is out of range.
        BundleError: There is no such bundle.
    """

    def __init__(
        self,
        bundle: OpenBundle | str | Path,
        *,
        defects: Sequence[str] | None = None,
        probability: float = 0.5,
        **options: Any,
    ) -> None:
        super().__init__()
        if not 0 <= probability <= 1:
            raise OptionError(
                got=f"the probability {probability}", expected="0 to 1", todo="Correct it."
            )
        self.bundle, self.probability, self.options = _opened(bundle), probability, options
        self.defects = _known(defects, self.bundle.types)

    def forward(self, image: Float[Tensor, "*batch c h w"]) -> Pair:
        """Place defects.

        Args:
            image: One image or a batch, with levels in [0, 1].

        Returns:
            The images, and masks of zeros and ones; both on the image's device.

        Raises:
            DataError: An image is too small, out of range, or shows no part.
        """
        if image.ndim == 3:
            return self._one(image)
        pairs = [self._one(one) for one in image]
        return torch.stack([one for one, _ in pairs]), torch.stack([mask for _, mask in pairs])

    def _one(self, image: Float[Tensor, "c h w"]) -> Pair:
        mask = torch.zeros_like(image[:1])
        if torch.rand(()) >= self.probability:
            return image, mask
        kind = self.defects[int(torch.randint(len(self.defects), ()))]
        seed = int(torch.randint(_SEEDS, ()))
        found = self.bundle.synthesize(image, defect=kind, seed=seed, **self.options)
        step = found.image.astype(np.float32) - found.twin.astype(np.float32)
        step = step[:, :, None] if step.ndim == 2 else step
        change = torch.from_numpy(step).permute(2, 0, 1).to(image) / 255
        mask[0] = torch.from_numpy(found.mask).to(mask)
        return (image + change * mask).clamp(0, 1), mask


def _tensors(
    rgb: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "1 h w"]]:
    image = torch.from_numpy(rgb).permute(2, 0, 1).float() / 255
    return image, torch.from_numpy(mask)[None].float()


def _opened(bundle: OpenBundle | str | Path) -> OpenBundle:
    return bundle if isinstance(bundle, OpenBundle) else load(bundle)


def _known(defects: Sequence[str] | None, types: tuple[str, ...]) -> tuple[str, ...]:
    chosen = types if defects is None else tuple(defects)
    if not chosen or not {*chosen} <= {*types}:
        raise OptionError(
            got=f"the types {', '.join(chosen) or 'none'}",
            expected=f"some of {', '.join(types) or 'none'}",
            todo="Choose types that the bundle has learnt.",
        )
    return chosen
