"""Captions of the tables: compared data, and values of the preset."""

from benchmarks._training.measures import CODES, SAMPLES, VIEW_SIDE
from benchmarks._training.trials import Backbone, Branch, differences
from blemish.generator.presets import Preset


def about_backbones(name: str, preset: Preset, base: Backbone) -> str:
    """Caption of stage 1."""
    usual = Backbone(shape=preset.shape, training=preset.training)
    return (
        f"The base is what the preset `{name}` carries, but for these (the preset's in "
        f"parentheses): {differences(base, usual)}. Augmentation may go from none to all within "
        "half of a run, in every trial, so that only its cap differs; how far it went stands in "
        "its column. Without symmetries nothing is moved at all, without adaptive augmentation "
        "photographs still are. "
        f"Distances are kernel distances of {SAMPLES} samples of the last snapshot to test/good, "
        "which no training sees, and to train/good, from which it learns; memorised is the share "
        "of samples closer to a training photograph than nearly all of these are to each other. "
        "The snapshot to keep is chosen by the last two, with its distance to test/good. "
        "Means over seeds, with least and most; images/s are the median of a run's windows, "
        "warm start and all."
    )


def about_branches(name: str, preset: Preset, base: Branch) -> str:
    """Caption of stage 2."""
    usual = Branch(shape=preset.branch, training=preset.defects)
    return (
        "Each begins with the base of stage 1 under seed 0 and learns from the first third of "
        f"each type. The base is what the preset `{name}` carries, but for these (the preset's "
        f"in parentheses): {differences(base, usual)}. Without reconstruction the terms of the "
        "mask and of the code's divergence are gone too. "
        "Every real defect of the other two thirds lends its type and its mask, which is moved "
        f"and given to the branch on a part with {CODES} random codes. Distances are kernel "
        f"distances between close-ups of these and of the real ones at {VIEW_SIDE}², all types "
        "pooled: of the surroundings, and of the inside alone. Colour spread is the deviation "
        "over codes of the mean colour of the change under one mask, in levels of 0..255 (of the "
        "real ones, that of their mean colours); change outside is the share of all change that "
        "falls outside the mask. The branch's own masks are measured by the share of the image "
        "they take, and by the overlap of two codes' on one part (1 where both are empty)."
    )
