"""Good material drawn by windows over a region of a photograph, for comparison."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from blemish.checkpoint import Bundle
from blemish.data.importing.importing import ProposalMethod
from blemish.data.importing.propose import unlike
from blemish.models.window_generator import GOOD
from blemish.windows.paint import load_good_windows, paint

Picture = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]


def by_windows(bundle: Bundle) -> ProposalMethod:
    """Proposal of masks by what differs from the good material that a bundle draws.

    Raises:
        BundleError: The bundle has no windows, or they draw no good material.
    """
    repaired = repairer(bundle)

    def propose(picture: Picture, inside: Mask) -> Mask:
        return unlike(picture, [repaired(picture, inside)], inside)

    return ProposalMethod(f"comparison with the windows of {bundle.path.name}", lambda _: propose)


def repairer(bundle: Bundle) -> Callable[[Picture, Mask], Picture]:
    """Function that draws good material under a mask; the same photograph gives the same bytes.

    Raises:
        BundleError: The bundle has no windows, or they draw no good material.
    """
    model = load_good_windows(bundle)

    def repaired(picture: Picture, inside: Mask) -> Picture:
        rng = torch.Generator().manual_seed(0)
        return paint(model.generator, picture, inside, model.codes(GOOD, rng), rng)

    return repaired
