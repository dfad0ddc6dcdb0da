"""From a bundle to its networks."""

from typing import Any, Literal

import torch

from blemish.checkpoint import Bundle
from blemish.errors import BundleError, OptionError
from blemish.generator.critic import Critic, CriticConfig, build_critic
from blemish.generator.critic_kinds import critic_from
from blemish.generator.network import DefectConfig, Generator, GeneratorConfig

CriticName = Literal["critic", "match_critic"]


def shape_of(bundle: Bundle) -> GeneratorConfig:
    """The generator's configuration, as `config.json` has it.

    Raises:
        BundleError: It does not describe a generator of ours.
    """
    try:
        fields = dict(bundle.config["generator"])
        if fields.get("defect") is not None:
            branch: dict[str, Any] = dict(fields["defect"])
            branch["types"] = tuple(branch["types"])
            fields["defect"] = DefectConfig(**branch)
        return GeneratorConfig(**fields)
    except (KeyError, TypeError) as error:
        raise BundleError(
            got=f"{bundle.path / 'config.json'}, whose 'generator' can't be understood ({error})",
            expected="the fields of GeneratorConfig",
            todo="Fetch or train the bundle again.",
        ) from error


def load_generator(bundle: Bundle, device: torch.device | str = "cpu") -> Generator:
    """The bundle's generator, frozen."""
    generator = Generator(shape_of(bundle))
    bundle.load_into(generator, "generator")
    return generator.eval().requires_grad_(False).to(device)


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
    except (OptionError, AttributeError, TypeError) as error:
        reason = error.got if isinstance(error, OptionError) else str(error)
        raise BundleError(
            got=f"{bundle.path / 'config.json'}, whose '{name}' can't be understood ({reason})",
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
    config, channels = critic_of(bundle, name), 3 if name == "critic" else 4
    critic = build_critic(config, shape_of(bundle), image_channels=channels)
    bundle.load_into(critic, name)
    return critic.eval().requires_grad_(False).to(device)
