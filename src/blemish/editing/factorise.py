"""Directions without attributes: closed-form factorisation, and principal components of codes."""

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.models.generator import Generator


def sefa(generator: Generator, count: int) -> Float[Tensor, "count d"]:
    r"""Directions that change the styles most (SeFa; Shen and Zhou, 2021).

    Unit vectors n with the largest \lVert A n \rVert, with the affine weights A of all layers: the
    eigenvectors of A^T A.
    """
    weights = [
        layer.affine.weight * layer.affine.weight_gain for _, layer in generator.synthesis.layers()
    ]
    joined = torch.cat([weight.detach().double() for weight in weights])
    return _signed(torch.linalg.eigh(joined.T @ joined).eigenvectors.T.flip(0)[:count])


def principal_axes(w: Float[Tensor, "n d"], count: int) -> Float[Tensor, "count d"]:
    """Principal axes of codes (GANSpace; Härkönen et al., 2020), the longest first."""
    return _signed(torch.linalg.eigh(torch.cov(w.double().T)).eigenvectors.T.flip(0)[:count])


def _signed(axes: Float[Tensor, "count d"]) -> Float[Tensor, "count d"]:
    """Axes whose largest element is positive, so that the same codes give the same signs."""
    largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
    return (axes * largest.sign()).float()
