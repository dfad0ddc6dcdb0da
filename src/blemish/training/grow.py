"""Growing: a generator of a finer resolution starts from a trained coarser one.

As in progressive growing (Karras et al., 2018), the networks of half the side are kept and each
gets one more block, but there is no fade-in. The generator's skip outputs make it unnecessary: the
new block's outputs start at zero, so at first an image is the coarser one, enlarged. Each kind of
critic defines how it starts from a coarser one.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from blemish.checkpoint import Bundle
from blemish.errors import OptionError
from blemish.models.critic import Critic
from blemish.models.generator import BRANCH, Generator, GeneratorConfig
from blemish.models.load import critic_of, shape_of


@torch.no_grad()
def grow(generator: Generator, critic: Critic, coarse: Bundle) -> None:
    """Start from a coarser bundle.

    Args:
        generator: Fresh generator; every block of the coarser one is overwritten, and the colours
            of the other blocks are set to zero.
        critic: Fresh; begins as the coarser one if its options fit.
        coarse: Bundle of the same shape except for its lower resolution.

    Raises:
        OptionError: The coarser bundle has another shape, or is as fine already.
        BundleError: The coarser bundle can't be read.
    """
    refuse_unlike(generator.config, coarse)
    known = coarse.tensors("generator").items()
    parts = {k: v for k, v in known if not k.startswith(BRANCH)}
    unknown = generator.load_state_dict(parts, strict=False).unexpected_keys
    assert not unknown, unknown  # same shapes, except for what is missing
    _silence(generator, shape_of(coarse).resolution)
    if critic.config.fits(critic_of(coarse)):
        critic.grow_from(coarse.tensors("critic"), shape_of(coarse).resolution)


def free_all_but(generator: Generator, held: Bundle | None) -> list[nn.Parameter]:
    """Freeze the layers of a coarser generator; returns the other parameters.

    Args:
        generator: Grown generator.
        held: Coarser generator; None freezes nothing.
    """
    known = () if held is None else held.tensors("generator").keys()
    for name, parameter in generator.named_parameters():
        parameter.requires_grad_(name not in known)
    return [parameter for parameter in generator.parameters() if parameter.requires_grad]


def origin_of(grown_from: str | None) -> dict[str, str]:
    """Digest of the bundle that a run grew from, which a resumed run must share."""
    return {"grow": "nothing" if grown_from is None else grown_from[:16]}


def refuse_unlike(config: GeneratorConfig, coarse: Bundle) -> None:
    """Refuse to grow from a bundle of which the generator is not a finer form.

    Raises:
        OptionError: The shapes don't fit; it names both.
    """
    other = replace(shape_of(coarse), defect=None)
    mine = replace(config, defect=None, resolution=other.resolution)
    if other.resolution >= config.resolution or mine != other:
        raise OptionError(
            got=f"{coarse.path}, a generator of {other.resolution}² with channel_base "
            f"{other.channel_base}, z_dim {other.z_dim} and w_dim {other.w_dim}",
            expected=f"one coarser than {config.resolution}² with channel_base "
            f"{config.channel_base}, z_dim {config.z_dim} and w_dim {config.w_dim}",
            todo="Choose a preset that is a finer form of that bundle's, or leave --grow out.",
        )


def _silence(generator: Generator, above: int) -> None:
    """Zero the colours of blocks finer than `above`."""
    for r in generator.config.resolutions():
        if r > above:
            output = generator.synthesis.get_submodule(f"b{r}.torgb")
            assert isinstance(output.weight, Tensor) and isinstance(output.bias, Tensor)
            output.weight.zero_()
            output.bias.zero_()
