"""User data: photographs, their masks, and their augmentation."""

from blemish.data.augment import Symmetries, augment, augment_stack
from blemish.data.check import Check, Complaint, check
from blemish.data.folder import DefectFolder, Photograph, as_sample, load_pictures

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
    "load_pictures",
]
