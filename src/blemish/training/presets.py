"""Presets of shapes and options, one line each."""

from dataclasses import dataclass, field, replace

from blemish.checkpoint import Bundle
from blemish.data.augment import Symmetries
from blemish.errors import OptionError
from blemish.models.generator import GeneratorConfig
from blemish.models.load import shape_of
from blemish.models.projected import ProjectedConfig
from blemish.models.residual import ResidualConfig
from blemish.training.generator import GeneratorTraining
from blemish.training.loop import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Shape of a generator and the options of its training.

    Attributes:
        shape: Shape of the generator.
        training: Options of its training.
        placements: Augmentation of a real defect that keeps it plausible on the part.
    """

    shape: GeneratorConfig
    training: GeneratorTraining = field(default_factory=GeneratorTraining)
    placements: Symmetries = field(default_factory=Symmetries)


NUT = Symmetries(flip_vertical=True, rotate=True, shift=True, scale=True, colour=True)
PAINT = Symmetries(
    flip=True,
    flip_vertical=True,
    rotate=True,
    shift=True,
    scale=True,
    degrees=180,
    shift_by=0.12,
    scale_by=0.3,
)
ALIGNED = Symmetries(flip=True, shift=True, colour=True, shift_by=0.03)
RING = Symmetries(flip=True, flip_vertical=True, rotate=True, degrees=180)
HOUR = Schedule(kimg=48, snapshot_kimg=2)  # on one core at 64²
TINY = Schedule(batch=4, kimg=0.2, snapshot_kimg=0.08, log_steps=5)

# A quarter of StyleGAN2's width at 256²: what one CPU core trains in an hour or two.
FINE_128 = GeneratorConfig(resolution=128, z_dim=64, w_dim=128, channel_base=4096, channel_max=128)
FINE_256 = replace(FINE_128, resolution=256)
# Parts that look alike, in a fixed place: a critic on pretrained features recognises any tint of
# theirs, so it learns slowly and sees blurred and shifted pictures at first, while the generator
# goes on learning the photographs' components.
PATIENT = ProjectedConfig(learning_rate=5e-5, shift_by=0.1, blur_px=1, blur_kimg=1)
ALIKE = GeneratorTraining(
    critic=PATIENT,
    warm_start="components",
    warm_steps=4000,
    reconstruction=20,
    learning_rate=1.5e-3,
    ema_kimg=0.5,
    schedule=replace(HOUR, batch=4, snapshot_kimg=1),  # more steps serve better
)

PRESETS: dict[str, Preset] = {
    "nut-64": Preset(
        shape=GeneratorConfig(
            resolution=64, z_dim=64, w_dim=128, channel_base=2048, channel_max=128
        ),
        training=GeneratorTraining(symmetries=NUT, path_every=16, kl_weight=3e-3, schedule=HOUR),
        placements=PAINT,
    ),
    "bottle-64": Preset(  # a rigid part in a fixed orientation
        shape=GeneratorConfig(
            resolution=64, z_dim=64, w_dim=128, channel_base=2048, channel_max=128
        ),
        training=GeneratorTraining(
            symmetries=ALIGNED, path_every=16, kl_weight=3e-3, schedule=HOUR
        ),
        placements=RING,
    ),
    "bottle-128": Preset(  # half of StyleGAN2's width at this size: grown from bottle-64 on a CPU
        shape=GeneratorConfig(
            resolution=128, z_dim=64, w_dim=128, channel_base=2048, channel_max=128
        ),
        # No symmetries: with colour augmentation the white background stayed tinted.
        training=GeneratorTraining(path_every=16, r1_gamma=0.2, kl_weight=3e-3, schedule=HOUR),
        placements=RING,
    ),
    "tiny-32": Preset(  # a finer form of tiny-16, to try growing
        shape=GeneratorConfig(resolution=32, z_dim=16, w_dim=16, channel_base=256, channel_max=16),
        training=GeneratorTraining(
            schedule=TINY, critic=ResidualConfig(), warm_steps=10, grown_steps=10
        ),
    ),
    "nut-128-slim": Preset(  # to nut-64 what bottle-128 is to bottle-64
        shape=GeneratorConfig(
            resolution=128, z_dim=64, w_dim=128, channel_base=2048, channel_max=128
        ),
        training=GeneratorTraining(
            symmetries=NUT, path_weight=0, r1_gamma=0.2, schedule=HOUR, hold=True
        ),
        placements=PAINT,
    ),
    "nut-128": Preset(  # the first half of nut-256; fine as it is where 128² is enough
        shape=FINE_128,
        training=GeneratorTraining(
            symmetries=NUT, critic=ProjectedConfig(), ema_kimg=3, schedule=HOUR
        ),
        placements=NUT,
    ),
    "nut-256": Preset(  # grown from nut-128
        shape=FINE_256,
        training=GeneratorTraining(
            symmetries=NUT, critic=ProjectedConfig(), ema_kimg=3, schedule=HOUR
        ),
        placements=NUT,
    ),
    "bottle-fine-128": Preset(  # fine as it is where 128² is enough
        shape=FINE_128,
        training=ALIKE,
        placements=RING,
    ),
    "bottle-256": Preset(
        shape=FINE_256,
        training=ALIKE,
        placements=RING,
    ),
    "tiny-16": Preset(  # too small for anything but a test of the whole chain within seconds
        shape=GeneratorConfig(resolution=16, z_dim=16, w_dim=16, channel_base=256, channel_max=16),
        training=GeneratorTraining(schedule=TINY, critic=ResidualConfig(), warm_steps=10),
    ),
}


def find_preset(name: str) -> Preset:
    """Preset with the given name.

    Raises:
        OptionError: There is no such preset.
    """
    if name not in PRESETS:
        raise OptionError(
            got=f"the preset '{name}'", expected=" or ".join(PRESETS), todo="Choose one of these."
        )
    return PRESETS[name]


def preset_of(bundle: Bundle) -> Preset:
    """Preset that a bundle names, or one of its shape, or a new one for its shape."""
    named = str(bundle.config.get("preset"))
    if named in PRESETS:
        return PRESETS[named]
    shape = replace(shape_of(bundle), defect=None)
    alike = (preset for preset in PRESETS.values() if preset.shape == shape)
    return next(alike, Preset(shape=shape))
