"""Shapes and options that were found to work, by name, a line each."""

from dataclasses import dataclass, field

from blemish.data.augment import Symmetries
from blemish.generator.network import GeneratorConfig
from blemish.generator.train import GeneratorTraining


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A generator's shape and the options of its training."""

    shape: GeneratorConfig
    training: GeneratorTraining = field(default_factory=GeneratorTraining)


NUT = Symmetries(flip_vertical=True, rotate=True, shift=True, scale=True, colour=True)

PRESETS: dict[str, Preset] = {
    "nut-64": Preset(
        shape=GeneratorConfig(
            resolution=64, z_dim=64, w_dim=128, channel_base=2048, channel_max=128
        ),
        training=GeneratorTraining(symmetries=NUT, path_every=16),
    ),
}
