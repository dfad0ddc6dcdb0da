"""Saved inversions, for reuse."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from blemish.checkpoint import Bundle, load_codes
from blemish.data.pairs import read_mask
from blemish.documents import read_json
from blemish.errors import BundleError, DataError
from blemish.models.load import shape_of
from blemish.pictures import mask_to_tensor, read_picture, to_tensor
from blemish.types import Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedInversion:
    """Reusable part of a saved inversion.

    Attributes:
        codes: Codes of a single item.
        mask: Mask of its defect; None without a defect.
        photograph: Inverted photograph, at the generator's resolution, in [-1, 1].
        facts: Figures.
        digest: SHA-256 of the codes.
    """

    codes: Codes
    mask: Float[Tensor, "1 1 h w"] | None
    photograph: Float[Tensor, "1 3 h w"]
    facts: dict[str, Any]
    digest: str


def load_inversion(folder: Path, bundle: Bundle) -> SavedInversion:
    """Read the result of `Inversion.save`.

    Raises:
        DataError: The folder contains no inversion, or a damaged one.
        BundleError: The codes belong to another bundle, or are damaged.
    """
    file = folder / "inversion.json"
    try:
        facts = read_json(file, "a folder written by 'blemish invert'")
        digest = facts["bundle"]["digest"]
    except (KeyError, TypeError) as error:
        raise DataError(
            got=f"{file}, which can't be read as an inversion ({error})",
            expected="a folder written by 'blemish invert'",
            todo="Invert the photograph again.",
        ) from error
    if digest != bundle.digest:
        raise BundleError(
            got=f"{folder}, codes of another bundle or of another state of it",
            expected=f"codes of {bundle.path}",
            todo="Invert the photograph again with this bundle.",
        )
    mask = folder / "mask.png"
    codes = load_codes(folder / "codes.safetensors")
    shape = shape_of(bundle)
    if codes.w.shape != (1, shape.layers, shape.w_dim):
        raise BundleError(
            got=f"{folder / 'codes.safetensors'} with codes of {list(codes.w.shape)}",
            expected=f"[1, {shape.layers}, {shape.w_dim}], as {bundle.path} takes them",
            todo="Invert the photograph again with this bundle.",
        )
    return SavedInversion(
        codes=codes,
        mask=mask_to_tensor(read_mask(mask))[None] if mask.exists() else None,
        photograph=to_tensor(read_picture(folder / "photograph.png"))[None],
        facts=facts,
        digest=hashlib.sha256((folder / "codes.safetensors").read_bytes()).hexdigest(),
    )
