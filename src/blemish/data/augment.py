"""Random symmetries of the part, applied to image and mask together.

The pixel at p, relative to the centre, takes the value at z R p + t: the zoom z, the rotation R and
the shift t are drawn for each item. Flips come first and copy pixels exactly; everything else is
one bilinear sampling, reflected at the border. It is linear in the stack, y = S x, so its gradient
is the transpose of S, whose gradient is S again: second derivatives exist, as a critic's penalty
needs them.
"""

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from blemish.errors import OptionError
from blemish.types import Sample

_NAMES = ("flip", "flip_vertical", "rotate", "shift", "scale", "colour")
_MAGNITUDES = ("degrees", "shift_by", "scale_by", "colour_by")


@dataclass(frozen=True, slots=True, kw_only=True)
class Symmetries:
    """Changes to a photograph that keep it a plausible photograph of the part.

    Attributes:
        flip: Mirror left and right.
        flip_vertical: Mirror top and bottom.
        rotate: Rotate by up to `degrees` in either direction.
        shift: Move by up to `shift_by` of the side, in each direction.
        scale: Zoom by a ratio of up to 1 + `scale_by`, in or out.
        colour: Change brightness, contrast and each channel's gain by up to `colour_by`.

    Raises:
        OptionError: A magnitude is negative.
    """

    flip: bool = False
    flip_vertical: bool = False
    rotate: bool = False
    shift: bool = False
    scale: bool = False
    colour: bool = False
    degrees: float = 15.0
    shift_by: float = 0.06
    scale_by: float = 0.1
    colour_by: float = 0.05

    def __post_init__(self) -> None:
        for name in _MAGNITUDES:
            if not 0 <= getattr(self, name) < math.inf:
                raise _negative(name, getattr(self, name))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a list such as "flip,rotate,flip-vertical"; "none" is empty.

        Raises:
            OptionError: A name is unknown.
        """
        names = [name.strip().lower().replace("-", "_") for name in text.split(",")]
        names = [name for name in names if name not in ("", "none")]
        for name in names:
            if name not in _NAMES:
                raise _unknown(name)
        return cls(**dict.fromkeys(names, True))

    def names(self) -> str:
        """List in the format of `parse`."""
        chosen = [name.replace("_", "-") for name in _NAMES if getattr(self, name)]
        return ",".join(chosen) or "none"


def augment(
    sample: Sample,
    symmetries: Symmetries,
    *,
    generator: torch.Generator,
    probability: float | Tensor = 1.0,
) -> Sample:
    """Augment each image and its mask randomly; gradients flow through both.

    Args:
        sample: Images in [-1, 1] and masks in [0, 1].
        symmetries: Allowed changes.
        generator: Random generator on the CPU; the result depends only on its state.
        probability: Probability of each symmetry; one for all items, or one per item. A drawn flip
            mirrors in one of two cases.

    Returns:
        A sample of the same size; colour may move an image slightly out of its range.
    """
    stack = torch.cat([sample.image, sample.mask.to(sample.image.dtype)], dim=1)
    moved = augment_stack(stack, symmetries, generator=generator, probability=probability)
    return Sample(image=moved[:, :3], mask=moved[:, 3:].clamp(0, 1))


def augment_stack(
    stack: Float[Tensor, "n c h w"],
    symmetries: Symmetries,
    *,
    generator: torch.Generator,
    probability: float | Tensor = 1.0,
) -> Float[Tensor, "n c h w"]:
    """Same as `augment`, for images with masks stacked after their three channels, in any range."""
    draws = _draw(stack.shape[0], symmetries, generator, probability)
    stack = _flip(stack, draws["flip"][:, 0] > 0, dim=3)
    stack = _flip(stack, draws["flip_vertical"][:, 0] > 0, dim=2)
    stack = _move(stack, _affine(draws, symmetries, stack.shape[3] / stack.shape[2]))
    return _recolour(stack, draws["colour"] * symmetries.colour_by)


def _draw(
    n: int, symmetries: Symmetries, generator: torch.Generator, probability: float | Tensor
) -> dict[str, Float[Tensor, "n 5"]]:
    # Everything is drawn whatever is chosen, so that one choice never changes another's draws.
    wanted = torch.tensor([getattr(symmetries, name) for name in _NAMES])
    likely = torch.as_tensor(probability).detach().cpu().reshape(-1, 1)
    chosen = (torch.rand(n, len(_NAMES), generator=generator) < likely) & wanted
    amounts = torch.rand(n, len(_NAMES), 5, generator=generator) * 2 - 1
    amounts = amounts * chosen[:, :, None]
    return {name: amounts[:, index] for index, name in enumerate(_NAMES)}


def _affine(
    draws: dict[str, Float[Tensor, "n 5"]], symmetries: Symmetries, aspect: float
) -> Float[Tensor, "n 2 3"]:
    # Coordinates run over [-1, 1] along each side, so a rotation must undo and redo the aspect.
    angle = draws["rotate"][:, 0] * math.radians(symmetries.degrees)
    zoom = (1 + symmetries.scale_by) ** draws["scale"][:, 0]
    cosine, sine = zoom * angle.cos(), zoom * angle.sin()
    right, down = (2 * symmetries.shift_by * draws["shift"][:, :2]).unbind(dim=1)
    rows = [cosine, -sine / aspect, right, sine * aspect, cosine, down]
    return torch.stack(rows, dim=1).reshape(-1, 2, 3)


def _flip(
    stack: Float[Tensor, "n c h w"], flipped: Bool[Tensor, " n"], dim: int
) -> Float[Tensor, "n c h w"]:
    if not flipped.any():
        return stack
    return torch.where(flipped.to(stack.device)[:, None, None, None], stack.flip(dim), stack)


def _move(
    stack: Float[Tensor, "n c h w"], affine: Float[Tensor, "n 2 3"]
) -> Float[Tensor, "n c h w"]:
    moved = (affine != torch.eye(2, 3)).any(dim=2).any(dim=1)
    if not moved.any():
        return stack
    # In half precision the grid itself would be off by whole pixels.
    wide = stack.to(torch.promote_types(stack.dtype, torch.float32))
    grid = F.affine_grid(affine.to(wide), list(stack.shape), align_corners=False)
    sampled = _Sampling.apply(wide, grid).to(stack.dtype)
    return torch.where(moved.to(stack.device)[:, None, None, None], sampled, stack)


def _recolour(
    stack: Float[Tensor, "n c h w"], amounts: Float[Tensor, "n 5"]
) -> Float[Tensor, "n c h w"]:
    if not amounts.any():
        return stack
    amounts = amounts.to(stack.device, stack.dtype)[:, :, None, None]
    brightness, contrast, gains = amounts[:, :1], amounts[:, 1:2], amounts[:, 2:]
    image = stack[:, :3] * (1 + contrast) * (1 + gains) + brightness
    return torch.cat([image, stack[:, 3:]], dim=1)


def _unknown(name: str) -> OptionError:
    choices = ", ".join(["none", *_NAMES]).replace("_", "-")
    return OptionError(
        got=f"the symmetry '{name}'",
        expected=f"a list of these: {choices}",
        todo="Name those under which the photograph stays one of the same part.",
    )


def _negative(name: str, value: float) -> OptionError:
    todo = "Give the limit of the change; it applies in both directions."
    return OptionError(got=f"{name} = {value}", expected="a number of 0 or more", todo=todo)


class _Sampling(torch.autograd.Function):
    """Sampling y = S x of the stack at the grid. PyTorch's own has no second derivative."""

    @staticmethod
    def forward(ctx: Any, stack: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        return F.grid_sample(stack, grid, padding_mode="reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _Spreading.apply(*gradients, *ctx.saved_tensors), None


class _Spreading(torch.autograd.Function):
    """Transpose x = S' y: adds each value to the places that it was sampled from."""

    @staticmethod
    def forward(ctx: Any, slope: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        bilinear, reflection, align_corners = 0, 1, False
        # Only the shape of the stack is used, which the gradient shares.
        spread, _ = torch.ops.aten.grid_sampler_2d_backward(
            slope, slope, grid, bilinear, reflection, align_corners, (True, False)
        )
        return spread

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _Sampling.apply(*gradients, *ctx.saved_tensors), None
