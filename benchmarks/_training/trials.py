"""Trials: trainings of the generator, each of which differs from its base in one option.

A base is what a preset carries, with the residual critic, whose penalty and augmentation the trials
change, brought to 32² and to a short run. Three options count in steps or
images of a whole run, and a short one would never see what they do, so they are brought along: the
warm start takes the same share of the run as the preset's, augmentation may go from none to all
within half of it, and a snapshot is taken every quarter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from math import ceil
from typing import Any

from blemish.data.augment import Symmetries
from blemish.errors import OptionError
from blemish.models.generator import GeneratorConfig
from blemish.models.residual import ResidualConfig
from blemish.training.generator import GeneratorTraining
from blemish.training.loop import Schedule
from blemish.training.presets import Preset

SIDE, CHANNEL_BASE = 32, 1024
QUARTERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone:
    """A training of the generator."""

    shape: GeneratorConfig
    training: GeneratorTraining


def backbone_of(preset: Preset, kimg: float) -> Backbone:
    """The base: a preset's, brought to 32² and `kimg` thousand images."""
    shape = replace(preset.shape, resolution=SIDE, channel_base=CHANNEL_BASE)
    usual = preset.training
    share = min(1.0, kimg / usual.schedule.kimg)
    training = replace(
        usual,
        schedule=_short(usual.schedule, kimg),
        critic=ResidualConfig(),
        ada_kimg=kimg / 2,
        warm_steps=round(usual.warm_steps * share),
    )
    return Backbone(shape=shape, training=training)


def backbones(base: Backbone) -> dict[str, Backbone]:
    """All trials by name, the base first."""
    gamma, shape = base.training.r1_gamma, base.shape
    without = {"symmetries": Symmetries()}
    moves = base.training.symmetries != Symmetries()
    trainings: dict[str, dict[str, Any]] = {
        "base": {},
        **({"no-symmetries": without} if moves else {}),
        "no-adaptive-augmentation": {"ada_cap": 0.0},
        "stronger-augmentation": {"ada_cap": 0.9},
        "r1-a-fifth": {"r1_gamma": gamma / 5},
        "r1-five-times": {"r1_gamma": gamma * 5},
        "no-warm-start": {"warm_steps": 0},
        "no-path-lengths": {"path_weight": 0.0},
    }
    return {
        **{k: replace(base, training=replace(base.training, **v)) for k, v in trainings.items()},
        "half-as-wide": replace(base, shape=_widened(shape, 0.5)),
        "twice-as-wide": replace(base, shape=_widened(shape, 2)),
    }


def chosen(names: str, known: Sequence[str]) -> frozenset[str]:
    """Trials named in a list such as "base,no-symmetries"; all if it is empty.

    Raises:
        OptionError: A name is unknown.
    """
    asked = frozenset(name.strip() for name in names.split(",") if name.strip())
    for name in sorted(asked.difference(known)):
        raise OptionError(
            got=f"the trial '{name}'",
            expected=f"a list of these: {', '.join(known)}",
            todo="Correct --only, or leave it out for all.",
        )
    return asked or frozenset(known)


def differences(trial: object, base: object) -> str:
    """The options that a trial has otherwise than its base, such as `r1_gamma 0.02 (0.1)`."""
    return ", ".join(f"{name} {new} ({old})" for name, new, old in _differing(trial, base))


def _differing(trial: Any, base: Any) -> Iterator[tuple[str, str, str]]:
    for field in fields(trial):
        new, old = getattr(trial, field.name), getattr(base, field.name)
        if new == old:
            continue
        if is_dataclass(new) and not isinstance(new, Symmetries):
            yield from _differing(new, old)
        else:
            yield field.name, _told(new), _told(old)


def _told(value: Any) -> str:
    if isinstance(value, Symmetries):
        return value.names()
    if isinstance(value, tuple):
        return "/".join(map(str, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _short(usual: Schedule, kimg: float) -> Schedule:
    """A shorter run, whose last quarter is no longer than the others."""
    short = replace(usual, kimg=kimg)
    quarter = ceil(short.steps / QUARTERS)
    return replace(short, snapshot_kimg=quarter * short.batch / 1000)


def _widened(shape: GeneratorConfig, times: float) -> GeneratorConfig:
    base, most = (round(width * times) for width in (shape.channel_base, shape.channel_max))
    return replace(shape, channel_base=base, channel_max=most)
