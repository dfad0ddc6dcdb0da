"""Frozen networks of a bundle, beside which a further network is trained, and batches for it."""

from dataclasses import dataclass
from typing import Self

import torch

from blemish.checkpoint import Bundle
from blemish.data.augment import Symmetries
from blemish.data.folder import DefectFolder
from blemish.models.critic import Critic
from blemish.models.encoder import Encoder, load_encoder
from blemish.models.generator import Generator
from blemish.models.load import load_critic, load_generator
from blemish.training.encoder.batches import EncoderBatches, read_source
from blemish.training.encoder.perceptual import PerceptualLoss


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenNetworks:
    """Networks that stay as they are, and batches of good parts.

    Attributes:
        generator: Generator.
        encoder: Encoder of photographs.
        critic: Critic of images.
        perceptual_loss: Perceptual loss.
        batches: Photographs of good parts, and parts that the generator draws.
    """

    generator: Generator
    encoder: Encoder
    critic: Critic
    perceptual_loss: PerceptualLoss
    batches: EncoderBatches

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        data: DefectFolder,
        device: torch.device,
        *,
        pairs: float,
        symmetries: Symmetries,
        everything: bool,
    ) -> Self:
        """Load the networks and read the photographs.

        Args:
            bundle: Bundle with a generator, a critic and an encoder.
            data: Photographs of good parts.
            device: Device to work on.
            pairs: Share of a batch that the generator draws.
            symmetries: Symmetries of the part.
            everything: Learn from `test/good` as well.

        Raises:
            DataError: There is no good photograph, or one can't be read.
            BundleError: The bundle lacks its generator, critic or encoder.
        """
        generator, critic = load_generator(bundle, device), load_critic(bundle, device)
        side = generator.config.resolution
        known = {"symmetries": symmetries, "placements": symmetries, "everything": everything}
        source = read_source(data, (), side, **known)
        return cls(
            generator=generator,
            encoder=load_encoder(bundle, device),
            critic=critic,
            perceptual_loss=PerceptualLoss.of("efficientnet-lite0", critic, device),
            batches=EncoderBatches(generator, source, pairs=pairs, defects=0),
        )
