"""Growing: a generator of a finer resolution begins as the coarser one that was trained.

As in progressive growing (Karras et al., 2018), what was learnt at half the side is kept and a
block is added to either network; unlike there nothing is faded in. The generator's skip outputs do
it: the new block's start at zero, so at first a picture is the coarser one, enlarged. How a critic
begins as a coarser one is its kind's affair.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from blemish.checkpoint import Bundle
from blemish.errors import OptionError
from blemish.generator.critic import Critic
from blemish.generator.network import BRANCH, Generator, GeneratorConfig
from blemish.generator.restore import critic_of, shape_of


@torch.no_grad()
def grow(generator: Generator, critic: Critic, coarse: Bundle) -> None:
    """Begin as a coarser bundle.

    Args:
        generator: Fresh; every block that the coarser one has is overwritten, and the colours of
            the blocks that it lacks are set to zero.
        critic: Fresh; begins as the coarser one if that has the same options.
        coarse: A bundle of the same shape but for its lower resolution.

    Raises:
        OptionError: It is of another shape, or as fine already.
        BundleError: It can't be read.
    """
    refuse_unlike(generator.config, coarse)
    known = coarse.tensors("generator")
    _take(generator, {k: v for k, v in known.items() if not k.startswith(BRANCH)})
    _silence(generator, "b", shape_of(coarse).resolution)
    if critic_of(coarse) == critic.config:
        critic.grow_from(coarse.tensors("critic"), shape_of(coarse).resolution)


@torch.no_grad()
def grow_branch(generator: Generator, coarse: Bundle) -> None:
    """Begin as the defect branch of a coarser bundle.

    Args:
        generator: With a fresh branch; the mask logits of the blocks that the coarser one lacks
            are set to zero.
        coarse: A bundle whose branch has the same first resolution and types.

    Raises:
        OptionError: Its branch is of another shape, or it has none.
        BundleError: It can't be read.
    """
    refuse_unlike(generator.config, coarse)
    mine, other = generator.config.defect, shape_of(coarse).defect
    if other is None or mine != other:
        raise OptionError(
            got=f"{coarse.path}, "
            + ("without a defect branch" if other is None else f"whose branch is {other}"),
            expected=f"one whose branch is {mine}",
            todo="Train that one's branch on the same types, or leave --grow out.",
        )
    known = coarse.tensors("generator")
    _take(generator, {k: v for k, v in known.items() if k.startswith(BRANCH)})
    _silence(generator, "res_b", shape_of(coarse).resolution)


def free_all_but(generator: Generator, held: Bundle | None) -> list[nn.Parameter]:
    """Freeze what a coarser generator had learnt; the other parameters come back.

    Args:
        generator: Which grew.
        held: The coarser one; None freezes nothing.
    """
    known = () if held is None else held.tensors("generator").keys()
    return free(generator, lambda name: name not in known)


def free(generator: Generator, wanted: Callable[[str], bool]) -> list[nn.Parameter]:
    """Freeze all parameters but those of wanted names, which come back."""
    for name, parameter in generator.named_parameters():
        parameter.requires_grad_(wanted(name))
    return [parameter for parameter in generator.parameters() if parameter.requires_grad]


def origin_of(grown_from: str | None) -> dict[str, str]:
    """What a run must share with the one it resumes: the digest of the bundle that it grew from."""
    return {"grow": "nothing" if grown_from is None else grown_from[:16]}


def refuse_unlike(config: GeneratorConfig, coarse: Bundle) -> None:
    """Refuse to grow from a bundle that a generator is no finer form of.

    Raises:
        OptionError: Naming both shapes.
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


def _take(module: nn.Module, known: Mapping[str, Tensor]) -> None:
    unknown = module.load_state_dict(known, strict=False).unexpected_keys
    assert not unknown, unknown  # shapes are alike but for what is missing


def _silence(generator: Generator, prefix: str, above: int) -> None:
    """Zero what blocks finer than `above` add to colours or mask logits."""
    for r in generator.config.resolutions():
        name = f"{prefix}{r}.torgb"
        if r > above and hasattr(generator.synthesis, f"{prefix}{r}"):
            output = generator.synthesis.get_submodule(name)
            assert isinstance(output.weight, Tensor) and isinstance(output.bias, Tensor)
            output.weight.zero_()
            output.bias.zero_()
