"""Caption of the table: compared data, and values of the preset."""

from benchmarks._training.measures import SAMPLES
from benchmarks._training.trials import Backbone, differences
from blemish.training.presets import Preset


def about_backbones(name: str, preset: Preset, base: Backbone) -> str:
    """Caption of the table."""
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
