"""Semantic diffusion (Zhu et al., 2020): a region of one part becomes that of another.

The region of B is laid on A, the encoder gives a code of this composite, and an in-domain search
from there counts the region alone, with a small weight of the rest. So the generator decides how
the region continues on A, and the result stays in its domain.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from blemish.devices import one_thread
from blemish.inversion.descent import Found, Watch
from blemish.inversion.encode import predict_codes
from blemish.inversion.indomain import InDomain
from blemish.inversion.model import Model
from blemish.inversion.reconstruction import ReconstructionLoss

CONTEXT_WEIGHT = 0.2  # of a pixel outside the region; 0 lets the context drift


@one_thread()
def diffuse_region(
    model: Model,
    a: Float[Tensor, "1 3 h w"],
    b: Float[Tensor, "1 3 h w"],
    region: Bool[Tensor, "h w"],
    method: InDomain,
    *,
    seed: int = 0,
    watch: Watch | None = None,
) -> Found:
    """Bring a region of B to A.

    Args:
        model: Networks of a bundle with an encoder.
        a: Photograph that gives the context, at the generator's resolution.
        b: Photograph that gives the region.
        region: Place of the region on both.
        method: In-domain inversion with its options.
        seed: Random seed of the search.
        watch: Callback for each step.

    Raises:
        BundleError: The bundle has no encoder.
    """
    inside = region.to(a.device)[None, None].float()
    composite = a.lerp(b, inside.expand_as(a))
    likeness = ReconstructionLoss.to(model.critic, composite, inside.clamp(min=CONTEXT_WEIGHT))
    rngs = [torch.Generator().manual_seed(seed)]
    encoding = predict_codes(model, composite)
    return method.near(model, encoding, likeness, rngs=rngs, watch=watch)
