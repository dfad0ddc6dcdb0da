"""Blemish makes labelled defect images by GAN inversion."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from blemish.version import __version__

if TYPE_CHECKING:
    from blemish.api.bundle import OpenBundle, load
    from blemish.api.item import Item
    from blemish.api.recipes import FailedItem, RecipeItems, batch
    from blemish.api.sets import evaluate, export
    from blemish.api.training import train
    from blemish.errors import BlemishError

__all__ = [
    "BlemishError",
    "FailedItem",
    "Item",
    "OpenBundle",
    "RecipeItems",
    "__version__",
    "batch",
    "evaluate",
    "export",
    "load",
    "train",
]

# Loaded on first use: PyTorch takes seconds to import.
_HOMES = {
    "BlemishError": "blemish.errors",
    "FailedItem": "blemish.api.recipes",
    "Item": "blemish.api.item",
    "OpenBundle": "blemish.api.bundle",
    "RecipeItems": "blemish.api.recipes",
    "batch": "blemish.api.recipes",
    "evaluate": "blemish.api.sets",
    "export": "blemish.api.sets",
    "load": "blemish.api.bundle",
    "train": "blemish.api.training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'blemish' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__]
