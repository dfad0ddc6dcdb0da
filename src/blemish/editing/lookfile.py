"""Directions of looks in a bundle, beside those of parts."""

import torch
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.editing.directions import NETWORK
from blemish.editing.looks import LOOKS, LookDirection

PREFIX = "look/"


def write_looks(bundle: Bundle, looks: dict[str, list[LookDirection]]) -> None:
    """Store directions of looks by type; those of parts stay."""
    known = bundle.tensors(NETWORK) if bundle.has(NETWORK) else {}
    tensors: dict[str, Tensor] = {k: v for k, v in known.items() if not k.startswith(PREFIX)}
    for kind, directions in looks.items():
        for one in directions:
            tensors[f"{PREFIX}{kind}/{one.name}"] = torch.cat([one.vector, torch.tensor([one.fit])])
    bundle.write(NETWORK, tensors)


def read_looks(bundle: Bundle, kind: str) -> dict[str, LookDirection]:
    """Directions of the looks of a type by name; empty if the bundle has none."""
    tensors = bundle.tensors(NETWORK) if bundle.has(NETWORK) else {}
    found = {name: tensors.get(f"{PREFIX}{kind}/{name}") for name in LOOKS}
    return {
        name: LookDirection(name, stored[:-1], stored[-1].item())
        for name, stored in found.items()
        if stored is not None and stored.ndim == 1
    }
