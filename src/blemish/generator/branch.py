"""From a bundle of good parts to networks for the training of defects."""

import torch
from torch import nn

from blemish.checkpoint import Bundle
from blemish.generator.critic import Critic
from blemish.generator.grow import free, grow_branch
from blemish.generator.network import BRANCH, Generator, GeneratorConfig


def free_defect_branch(generator: Generator) -> list[nn.Parameter]:
    """Freeze all but the defect mapping and the residual blocks; returns their parameters."""
    return free(generator, lambda name: name.startswith(BRANCH))


def with_branch(
    bundle: Bundle, config: GeneratorConfig, *, seed: int, coarse: Bundle | None = None
) -> Generator:
    """The bundle's backbone with a fresh defect branch of the given shape, or a grown one.

    Args:
        bundle: Bundle with a backbone.
        config: Shape of the generator, with that of the branch.
        seed: Random seed of fresh weights.
        coarse: Coarser bundle whose branch to start from; see `grow`.

    Raises:
        OptionError: The coarser bundle has no branch of such a shape.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = Generator(config)
    if coarse is not None:
        grow_branch(generator, coarse)
    fresh = {k: v for k, v in generator.state_dict().items() if k.startswith(BRANCH)}
    bundle.load_into(generator, "generator", fresh, without=BRANCH)
    return generator


def matching_critic(bundle: Bundle, config: GeneratorConfig) -> Critic:
    """The bundle's critic with a fourth channel for the mask, which starts at zero."""
    critic = Critic(config, image_channels=4)
    name = f"b{config.resolution}.fromrgb.weight"
    # An equalised layer divides by the root of its inputs, now four.
    three = bundle.tensors("critic")[name] * (4 / 3) ** 0.5
    bundle.load_into(critic, "critic", {name: torch.cat([three, 0 * three[:, :1]], dim=1)})
    return critic
