r"""Whether a photograph shows what the generator draws at all.

Its strangeness is its distance from what its own code draws, x against G(E(x)): the encoder gives
codes of the domain only, so what the generator can't draw comes out as something else. An optimiser
would not do, since in w+ it can draw almost anything. How strange is too strange is learnt from
photographs of the part, moved about as its symmetries allow.
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
MARGIN = 4.0  # a part with a large defect is up to three times as strange as the strangest good one
MOVES = 4


@torch.no_grad()
def strangeness(
    generator: Generator, critic: Critic, encoder: Encoder, target: Float[Tensor, "n 3 h w"]
) -> Float[Tensor, " n"]:
    """How far photographs are from what their codes draw, in pixels and the critic's features.

    Args:
        generator: Frozen, as the others.
        critic: Of images.
        encoder: Whose word for the codes is taken.
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
    """The strangeness of the strangest photograph, each of them moved `MOVES` times."""
    rng, found = torch.Generator().manual_seed(seed), []
    device = generator.mapping.w_avg.device
    for images in photographs.repeat(MOVES, 1, 1, 1).split(batch):
        moved = augment_stack(images, symmetries, generator=rng).clamp(-1, 1).to(device)
        found.append(strangeness(generator, critic, encoder, moved).max().item())
    return max(found)
