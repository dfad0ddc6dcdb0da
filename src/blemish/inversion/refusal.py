r"""Out-of-domain photographs: does a photograph show the generator's object at all?

The strangeness of a photograph x is its reconstruction distance, between x and G(E(x)). The encoder
gives only codes of the domain, so anything that the generator can't draw is reconstructed as
something else. An optimiser would not do, because in w+ it can draw almost anything. The limit
comes from photographs of the part, augmented by its symmetries.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.data.augment import Symmetries, augment_stack
from blemish.generator.critic import Critic
from blemish.generator.network import Generator
from blemish.inversion.encoder import Encoder
from blemish.inversion.likeness import Likeness
from blemish.types import Codes

PIXEL_WEIGHT = 10
MARGIN = 4.0  # a part with a large defect has up to three times the largest distance of good ones
MOVES = 4


@torch.no_grad()
def strangeness(
    generator: Generator, critic: Critic, encoder: Encoder, target: Float[Tensor, "n 3 h w"]
) -> Float[Tensor, " n"]:
    """Reconstruction distance of photographs, in pixels and the critic's features.

    Args:
        generator: Frozen generator.
        critic: Frozen critic of images.
        encoder: Frozen encoder that predicts the codes.
        target: Photographs at the generator's resolution.
    """
    again = generator(Codes(w=encoder(target).w)).image
    terms = Likeness.to(critic, target).terms(again)
    return PIXEL_WEIGHT * terms["pixels"] + terms["features"]


def strangest(
    generator: Generator,
    critic: Critic,
    encoder: Encoder,
    photographs: Float[Tensor, "n 3 h w"],
    symmetries: Symmetries,
    *,
    seed: int = 0,
    batch: int = 16,
) -> float:
    """Largest reconstruction distance of the photographs, each of them moved `MOVES` times."""
    rng, found = torch.Generator().manual_seed(seed), []
    device = generator.mapping.w_avg.device
    for images in photographs.repeat(MOVES, 1, 1, 1).split(batch):
        moved = augment_stack(images, symmetries, generator=rng).clamp(-1, 1).to(device)
        found.append(strangeness(generator, critic, encoder, moved).max().item())
    return max(found)
