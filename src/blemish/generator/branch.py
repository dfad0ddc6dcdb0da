"""From a bundle that draws good parts to networks that learn defects."""

import torch
from torch import nn

from blemish.checkpoint import Bundle
from blemish.generator.critic import Critic, CriticConfig, build_critic
from blemish.generator.grow import free, grow_branch
from blemish.generator.network import BRANCH, Generator, GeneratorConfig
from blemish.generator.restore import critic_of


def free_defect_branch(generator: Generator) -> list[nn.Parameter]:
    """Freeze all but the defect mapping and the residual blocks, whose parameters come back."""
    return free(generator, lambda name: name.startswith(BRANCH))


def with_branch(
    bundle: Bundle, config: GeneratorConfig, *, seed: int, coarse: Bundle | None = None
) -> Generator:
    """The bundle's backbone with a fresh defect branch of that shape, or one that grew.

    Args:
        bundle: With a backbone.
        config: Its shape, with that of the branch.
        seed: Of what is fresh.
        coarse: A coarser bundle whose branch to begin as; see `grow`.

    Raises:
        OptionError: That one has no branch of such a shape.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = Generator(config)
    if coarse is not None:
        grow_branch(generator, coarse)
    fresh = {k: v for k, v in generator.state_dict().items() if k.startswith(BRANCH)}
    bundle.load_into(generator, "generator", fresh, without=BRANCH)
    return generator


def matching_critic(
    bundle: Bundle, config: GeneratorConfig, critic: CriticConfig, *, seed: int
) -> Critic:
    """A critic of images with masks.

    Args:
        bundle: With a backbone; if its critic has the same options, the new one begins as that,
            where its kind can.
        config: Shape of the generator.
        critic: Options of the new critic.
        seed: Random seed of its fresh weights.
    """
    alike = critic_of(bundle) == critic
    if alike:
        with torch.device("meta"):
            bundle.check_fits(build_critic(critic, config), "critic")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fresh = build_critic(critic, config, image_channels=4)
    if alike and (change := fresh.widened(bundle.tensors("critic"))):
        bundle.load_into(fresh, "critic", change)
    return fresh
