"""Blemish makes labelled defect images by GAN inversion."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blemish.checkpoint import load

__all__ = ["__version__", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name != "load":
        raise AttributeError(f"module 'blemish' has no attribute '{name}'")
    from blemish.checkpoint import load  # imports PyTorch, which takes seconds

    return load
