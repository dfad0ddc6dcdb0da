"""Variants of the published networks that ours can compute once they are completed.

A generator of one channel draws three equal ones, and its critic takes in their mean. Noise maps
that a file lacks are drawn from a fixed seed. A prefix that a parallel training put before every
name is taken off.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from blemish.interop.refusal import RefusedFile

State = dict[str, Tensor]

_PARALLEL = "module."
_COLOURS = re.compile(r"synthesis\.b\d+\.torgb\.(weight|bias)")
_NOISY = re.compile(r"(synthesis\.(?:res_)?b(\d{1,4})\.conv\d)\.affine\.weight")


def unwrapped(state: State) -> State:
    """The state without the prefix of DataParallel, if all of its names have it."""
    if not state or not all(name.startswith(_PARALLEL) for name in state):
        return state
    return {name.removeprefix(_PARALLEL): tensor for name, tensor in state.items()}


def completed(
    generator: State, critics: Mapping[str, State]
) -> tuple[State, dict[str, State], list[str]]:
    """Networks with three channels and with noise maps.

    Args:
        generator: Its tensors under the published names.
        critics: The same of critics, by any key.

    Returns:
        Both, and notes of what was added.
    """
    notes: list[str] = []
    if _is_grey(generator):
        generator = _coloured(generator)
        critics = {key: _coloured_critic(critic) for key, critic in critics.items()}
        notes.append("The network draws one channel; it was repeated for red, green and blue.")
    lacking = len(generator)
    generator = _with_noise_maps(generator)
    if len(generator) > lacking:
        notes.append("The file has no noise maps; they were drawn from a fixed seed.")
    return generator, {**critics}, notes


def _is_grey(generator: State) -> bool:
    colours = [t for name, t in generator.items() if _COLOURS.fullmatch(name) and t.ndim]
    return bool(colours) and all(len(tensor) == 1 for tensor in colours)


def _coloured(generator: State) -> State:
    return {
        name: torch.cat([tensor] * 3) if _COLOURS.fullmatch(name) and len(tensor) == 1 else tensor
        for name, tensor in generator.items()
    }


def _coloured_critic(critic: State) -> State:
    """A critic of one channel, or of one and a mask, as one that judges three equal channels."""
    return {
        name: _coloured_input(tensor) if name.endswith("fromrgb.weight") else tensor
        for name, tensor in critic.items()
    }


def _with_noise_maps(generator: State) -> State:
    """The generator with a noise map in each layer that lacks one.

    A layer that knows no noise gets a strength of zero as well.
    """
    lacking = [match for name in sorted(generator) if (match := _NOISY.fullmatch(name))]
    lacking = [match for match in lacking if f"{match[1]}.noise_const" not in generator]
    rng, found = torch.Generator().manual_seed(0), dict(generator)
    for layer, side in ((match[1], int(match[2])) for match in lacking):
        if not 4 <= side <= 1024:
            raise RefusedFile(f"has a layer of {side}²")
        found[f"{layer}.noise_const"] = torch.randn(side, side, generator=rng)
        found.setdefault(f"{layer}.noise_strength", torch.zeros(()))
    return found


def _coloured_input(weight: Tensor) -> Tensor:
    # The layer divides by the root of its inputs, which become more: the weights make up for it.
    if weight.ndim != 4 or weight.shape[1] not in (1, 2):
        return weight
    grey, mask = weight[:, :1], weight[:, 1:]
    inputs = weight.shape[1]
    gain = ((inputs + 2) / inputs) ** 0.5
    return torch.cat([grey * (gain / 3)] * 3 + [mask * gain], dim=1)
