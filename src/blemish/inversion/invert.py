"""Photographs to codes, and what the search came to."""

import json
from dataclasses import dataclass
from math import log10
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from blemish.checkpoint import Bundle, save_codes
from blemish.errors import DataError
from blemish.files import ensure_writable, write_atomically
from blemish.generator.critic import Critic
from blemish.generator.network import Generator
from blemish.inversion.losses import squared_error
from blemish.inversion.project import Projection, project
from blemish.inversion.search import Step
from blemish.pictures import fit, grid, read_picture, to_picture, to_tensor, write_picture
from blemish.types import Codes

LEAST_SIDE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Inversion:
    """The result for one photograph.

    Attributes:
        codes: Of a single item, the defect branch off.
        target: The photograph at the generator's resolution, in [-1, 1].
        image: What the codes draw.
        terms: Of the search's loss at its end, unweighted.
    """

    codes: Codes
    target: Float[Tensor, "1 3 h w"]
    image: Float[Tensor, "1 3 h w"]
    terms: dict[str, float]

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio in dB, 10·log10(4/MSE) on [-1, 1]."""
        return 10 * log10(4 / max(squared_error(self.image, self.target).item(), 1e-12))

    def save(self, out: Path, bundle: Bundle) -> dict[str, object]:
        """Write codes, pictures and figures into a folder; returns the figures."""
        ensure_writable(out)
        save_codes(out / "codes.safetensors", self.codes)
        pictures = [to_picture(self.target[0]), to_picture(self.image[0])]
        write_picture(out / "reconstruction.png", pictures[1])
        write_picture(out / "comparison.png", grid([*pictures, self._difference()], 3))
        facts = {
            "space": self.codes.space,
            "psnr_db": round(self.psnr, 3),
            "terms": {name: round(value, 6) for name, value in self.terms.items()},
            "bundle": {"name": bundle.path.name, "digest": bundle.digest},
        }
        write_atomically(out / "inversion.json", (json.dumps(facts, indent=2) + "\n").encode())
        return facts

    def _difference(self) -> UInt8[np.ndarray, "h w 3"]:
        """Absolute difference, from black to white over half the range."""
        return to_picture((self.image - self.target).abs()[0] * 2 - 1)


def read_photograph(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Read a picture that is large enough to be a photograph.

    Raises:
        DataError: It can't be read, or is smaller than `LEAST_SIDE` squared.
    """
    picture = read_picture(path)
    h, w = picture.shape[:2]
    if min(h, w) < LEAST_SIDE:
        raise DataError(
            got=f"{path}, a picture of {w} × {h} pixels",
            expected=f"a photograph of at least {LEAST_SIDE} × {LEAST_SIDE} pixels",
            todo="Give the photograph as the camera took it.",
        )
    return picture


def invert(
    generator: Generator,
    critic: Critic,
    picture: UInt8[np.ndarray, "h w 3"],
    how: Projection,
    *,
    seed: int = 0,
    tell: Step | None = None,
) -> Inversion:
    """Find the codes of a photograph.

    Args:
        generator: Frozen; the search is on its device.
        critic: Of the same bundle.
        picture: Of any size; it is resized to the generator's square.
        how: Options.
        seed: Of the search's randomness.
        tell: Called behind each step with its number.
    """
    device = generator.mapping.w_avg.device
    target = to_tensor(fit(picture, generator.config.resolution))[None].to(device)
    rng = torch.Generator().manual_seed(seed)
    codes, found = project(generator, critic, target, how, rngs=[rng], tell=tell)
    with torch.no_grad():
        image = generator(codes).image
    terms = {name: values.item() for name, values in found.items()}
    return Inversion(codes=codes, target=target, image=image, terms=terms)
