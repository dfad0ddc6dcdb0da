"""From a bundle to its networks."""

from typing import Any

import torch

from blemish.checkpoint import Bundle
from blemish.errors import BundleError
from blemish.generator.critic import Critic
from blemish.generator.network import DefectConfig, Generator, GeneratorConfig


def shape_of(bundle: Bundle) -> GeneratorConfig:
    """Configuration of the generator, from `config.json`.

    Raises:
        BundleError: The file does not describe a generator of Blemish.
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
            got=f"{bundle.path / 'config.json'}, whose 'generator' is invalid ({error})",
            expected="the fields of GeneratorConfig",
            todo="Download or train the bundle again.",
        ) from error


def load_generator(bundle: Bundle, device: torch.device | str = "cpu") -> Generator:
    """The bundle's generator, frozen."""
    generator = Generator(shape_of(bundle))
    bundle.load_into(generator, "generator")
    return generator.eval().requires_grad_(False).to(device)


def load_matching_critic(bundle: Bundle, device: torch.device | str = "cpu") -> Critic:
    """The bundle's critic of images with masks, frozen."""
    critic = Critic(shape_of(bundle), image_channels=4)
    bundle.load_into(critic, "match_critic")
    return critic.eval().requires_grad_(False).to(device)


def load_critic(bundle: Bundle, device: torch.device | str = "cpu") -> Critic:
    """The bundle's critic of images, frozen."""
    critic = Critic(shape_of(bundle))
    bundle.load_into(critic, "critic")
    return critic.eval().requires_grad_(False).to(device)
