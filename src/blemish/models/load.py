"""From a bundle to its networks."""

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeVar

import torch
from torch import nn

from blemish.checkpoint import Bundle
from blemish.data.augment import Symmetries
from blemish.documents import dataclass_from, limit
from blemish.errors import BundleError, OptionError
from blemish.models.critic import Critic, CriticConfig, build_critic
from blemish.models.critic_kinds import critic_from
from blemish.models.generator import Generator, GeneratorConfig

Network = TypeVar("Network", bound=nn.Module)
MAX_TYPES = 1000

CriticName = Literal["critic", "match_critic"]


def shape_of(bundle: Bundle) -> GeneratorConfig:
    """Configuration of the generator, from `config.json`.

    Raises:
        BundleError: The file does not describe a generator of Blemish.
    """
    try:
        config = dataclass_from(GeneratorConfig, bundle.config.get("generator"), "'generator'")
        _refuse_sizes(config)
    except (ValueError, OptionError) as error:
        raise _unclear(bundle, "generator", error, "GeneratorConfig") from error
    return config


def load_generator(bundle: Bundle, device: torch.device | str = "cpu") -> Generator:
    """The bundle's generator, frozen."""
    config = shape_of(bundle)
    return load_network(bundle, "generator", lambda: Generator(config), device)


def critic_of(bundle: Bundle, name: CriticName = "critic") -> CriticConfig:
    """The options of the bundle's critic; bundles that do not say have a residual one.

    Args:
        bundle: The bundle.
        name: "critic" for the critic of images, "match_critic" for that of images with masks.

    Raises:
        BundleError: There is no such kind, or it has other options.
    """
    try:
        return critic_from(bundle.config.get(name, {"kind": "residual"}))
    except (OptionError, ValueError) as error:
        reason = error.got if isinstance(error, OptionError) else str(error)
        raise BundleError(
            got=f"{bundle.path / 'config.json'}, whose '{name}' is invalid ({reason})",
            expected="the options of a critic that this version of Blemish has",
            todo="Install a newer version, or train the bundle again.",
        ) from error


def load_matching_critic(bundle: Bundle, device: torch.device | str = "cpu") -> Critic:
    """The bundle's critic of images with masks, frozen."""
    return _load_critic(bundle, "match_critic", device)


def load_critic(bundle: Bundle, device: torch.device | str = "cpu") -> Critic:
    """The bundle's critic of images, frozen."""
    return _load_critic(bundle, "critic", device)


def _load_critic(bundle: Bundle, name: CriticName, device: torch.device | str) -> Critic:
    config, shape, channels = critic_of(bundle, name), shape_of(bundle), 3 + (name != "critic")
    make = partial(build_critic, config, shape, image_channels=channels)
    return load_network(bundle, name, make, device)


def trained_symmetries(bundle: Bundle, stage: str, name: str) -> Symmetries | None:
    """The symmetries that a stage was trained with; None where the bundle does not say.

    Args:
        bundle: The bundle.
        stage: The stage's name among the bundle's trainings.
        name: The option: "symmetries" or "placements".

    Raises:
        BundleError: What it says are no symmetries.
    """
    options = bundle.training_of(stage)
    if name not in options:
        return None
    try:
        return dataclass_from(Symmetries, options[name], f"training.{stage}.{name}")
    except (ValueError, OptionError) as error:
        raise _unclear(bundle, "training", error, "Symmetries") from error


def load_network(
    bundle: Bundle,
    name: str,
    make: Callable[[], Network],
    device: torch.device | str = "cpu",
    *,
    guard: bool = True,
) -> Network:
    """One of a bundle's networks, frozen.

    Args:
        bundle: The bundle.
        name: The name of the network's file.
        make: Builds the network.
        device: To work on.
        guard: Unless the bundle ships with Blemish, build the network first without memory behind
            it, so that a configuration that does not fit the weights can't ask for more memory
            than they take; this imports a second's worth of PyTorch.

    Raises:
        BundleError: The weights are missing, torn, or of other names and shapes.
    """
    if guard and not bundle.embedded:
        with torch.device("meta"):
            bundle.check_fits(make(), name)
    network = make()
    bundle.load_into(network, name)
    return network.eval().requires_grad_(False).to(device)


def _unclear(bundle: Bundle, part: str, error: Exception, kind: str) -> BundleError:
    reason = error.got if isinstance(error, OptionError) else str(error)
    return BundleError(
        got=f"{bundle.path / 'config.json'}, whose '{part}' is invalid ({reason})",
        expected=f"the fields of {kind}",
        todo="Fetch or train the bundle again.",
    )


def _refuse_sizes(config: GeneratorConfig) -> None:
    """Refuse sizes that no network has, before any is built."""
    branch = config.defect
    limit(
        {
            "z_dim": (config.z_dim, 1, 4096),
            "w_dim": (config.w_dim, 1, 4096),
            "mapping_layers": (config.mapping_layers, 1, 64),
            "channel_base": (config.channel_base, config.resolution, 2**20),
            "channel_max": (config.channel_max, 1, 4096),
            "conv_clamp": (1 if config.conv_clamp is None else config.conv_clamp, 1e-6, 1e6),
            "c_dim": (config.c_dim, 0, 100_000),
            "critic_group": (config.critic_group, 1, 4096),
            "critic_mapping_layers": (config.critic_mapping_layers, 1, 64),
            "the number of defect types": (len(branch.types) if branch else 0, 0, MAX_TYPES),
        }
    )
    if branch and len(set(branch.types)) < len(branch.types):
        raise ValueError("a defect type stands there twice")
