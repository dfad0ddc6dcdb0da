"""Blemish makes labelled defect images by GAN inversion."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from blemish.version import __version__

if TYPE_CHECKING:
    from blemish.api.bundle import OpenBundle, load
    from blemish.api.item import Item
    from blemish.errors import BlemishError

__all__ = ["BlemishError", "Item", "OpenBundle", "__version__", "load"]

# Loaded on first use: PyTorch takes seconds to import.
_HOMES = {
    "BlemishError": "blemish.errors",
    "Item": "blemish.api.item",
    "OpenBundle": "blemish.api.bundle",
    "load": "blemish.api.bundle",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'blemish' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__]
