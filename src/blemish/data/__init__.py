"""What the factory gives us: photographs, their masks, and what may be done to them."""

from blemish.data.augment import Symmetries, augment, augment_stack
from blemish.data.check import Check, Complaint, check
from blemish.data.folder import DefectFolder, Photograph, as_sample, load

__all__ = [
    "Check",
    "Complaint",
    "DefectFolder",
    "Photograph",
    "Symmetries",
    "as_sample",
    "augment",
    "augment_stack",
    "check",
    "load",
]
