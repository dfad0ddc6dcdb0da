"""Interpolation: codes on the line between those of two parts."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.types import Codes


def interpolated(a: Codes, b: Codes, steps: int) -> Codes:
    """Codes at equal distances from the first part to the second, both included.

    Args:
        a: Codes of a single item.
        b: Codes of a single item of the same generator.
        steps: Number of codes, 2 or more.
    """
    assert steps > 1
    times = torch.linspace(0, 1, steps).tolist()
    return Codes.joined([blend(a, b, time) for time in times])


def blend(a: Codes, b: Codes, time: float) -> Codes:
    """Codes at a time in [0, 1] from the first part to the second.

    Noise maps are blended where both parts have them; otherwise those of neither are used.
    """
    shared = (a.noise or {}).keys() & (b.noise or {}).keys()
    noise = {
        name: (a.noise or {})[name].lerp((b.noise or {})[name], time) for name in sorted(shared)
    }
    features = blended_features(a, b, time)
    found = Codes(w=a.w.lerp(b.w, time), features=features, noise=noise or None)
    return replace(found, space=found.edited_space())


def blended_features(a: Codes, b: Codes, time: float) -> Float[Tensor, "n c r r"] | None:
    """Changes of features at a time in [0, 1]; a part without one has none of them."""
    either = b.features if a.features is None else a.features
    if either is None:
        return None
    first = torch.zeros_like(either) if a.features is None else a.features
    second = torch.zeros_like(either) if b.features is None else b.features
    return first.lerp(second, time)
