r"""Metrics of images, masks and sets, as functions of tensors.

Images are RGB in [-1, 1]; a mask counts as defect from 0.5 on. Sets are compared by feature
vectors, one row per image. All set metrics depend on the network and on the number of rows, so give
both with each figure. They are computed in float64.
"""

from math import inf

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from torch import Tensor

from blemish.errors import DataError


def psnr(a: Float[Tensor, "n 3 h w"], b: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    """Peak signal-to-noise ratio in decibels, 10·log10(4 / MSE): the peak-to-peak range is 2.

    Returns:
        One figure per pair; infinite for equal images.
    """
    return 10 * torch.log10(4 / (a - b).square().mean(dim=(1, 2, 3)))


def ms_ssim(a: Float[Tensor, "n 3 h w"], b: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    """Structural similarity over scales (Wang et al., 2003), in a Gaussian window of 11 pixels.

    The published five scales need 176 pixels a side. A smaller image uses those that fit, with
    their weights rescaled to a sum of one, so figures of different sizes are not comparable.

    Args:
        a: RGB in [-1, 1], at least 11 pixels a side.
        b: Image to compare with.

    Returns:
        One figure per pair in [0, 1], the mean of the channels; 1 for equal images.
    """
    weights = _scale_weights(min(a.shape[2:])).to(a)
    a, b, factors = (a + 1) / 2, (b + 1) / 2, []
    for scale in range(len(weights)):
        likeness, structure = _ssim_terms(a, b)
        factors.append(likeness if scale == len(weights) - 1 else structure)
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    powers = torch.stack(factors, dim=-1).clamp(min=0) ** weights
    return powers.prod(dim=-1).mean(dim=1)


def mask_iou(a: Float[Tensor, "n 1 h w"], b: Float[Tensor, "n 1 h w"]) -> Float[Tensor, " n"]:
    """Intersection over union; 1 if both masks are empty."""
    a, b = a >= 0.5, b >= 0.5
    union = (a | b).sum(dim=(1, 2, 3))
    shared = (a & b).sum(dim=(1, 2, 3))
    return torch.where(union > 0, shared / union.clamp(min=1), 1.0)


def boundary_f(
    a: Float[Tensor, "n 1 h w"], b: Float[Tensor, "n 1 h w"], *, tolerance: float = 3
) -> Float[Tensor, " n"]:
    """Agreement of two outlines: F of the fractions close to the other (Csurka et al., 2013).

    Args:
        a: Masks.
        b: Masks to compare with.
        tolerance: Maximum distance of matching outlines, in pixels.

    Returns:
        In [0, 1]; 1 if both masks are empty, 0 if one is.
    """
    pairs = zip(_outlines(a), _outlines(b), strict=True)
    scores = [_outline_agreement(x, y, tolerance) for x, y in pairs]
    return torch.tensor(scores, dtype=a.dtype, device=a.device)


def kernel_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    subsets: int | None = None,
    size: int = 1000,
    seed: int = 0,
) -> float:
    """Unbiased squared MMD with the kernel (x·y/d + 1)³, known as KID (Bińkowski et al., 2018).

    Args:
        x: Features of one set, at least two rows.
        y: Features of the other, at least two rows.
        subsets: Number of random subsets to average over, as published figures do; by default all
            rows at once, which has less variance and the same mean.
        size: Rows of a subset, or all.
        seed: Random seed of the subsets.

    Returns:
        About 0 for sets of one distribution; negative as often as positive.

    Raises:
        DataError: A set has fewer than two rows.
    """
    x, y = _set(x), _set(y)
    if subsets is None:
        return _unbiased_mmd(x, y)
    rng = torch.Generator().manual_seed(seed)
    draws = [(_subset(x, size, rng), _subset(y, size, rng)) for _ in range(subsets)]
    return sum(_unbiased_mmd(*draw) for draw in draws) / subsets


def frechet_distance(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> float:
    r"""Distance of the Gaussians fitted to two sets, known as FID (Heusel et al., 2017).

    With centred rows $X^T X = \Sigma_x$ the trace of the root of $\Sigma_x \Sigma_y$ is the sum of
    the singular values of $X Y^T$, so no root of a near-singular matrix is needed. The estimate is
    biased: with fewer rows than a few times `d` it depends mostly on the sample size, and only sets
    of equal size are comparable; prefer `kernel_distance` there.

    Args:
        x: Features of one set, at least two rows.
        y: Features of the other, at least two rows.

    Raises:
        DataError: A set has fewer than two rows.
    """
    x, y = _set(x), _set(y)
    means = (x.mean(dim=0) - y.mean(dim=0)).square().sum()
    x, y = _covariance_root(x), _covariance_root(y)
    shared = torch.linalg.svdvals(x @ y.T).sum()
    return float(means + x.square().sum() + y.square().sum() - 2 * shared)


def nearest(
    a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]
) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
    """Euclidean distance of each row of `a` to its nearest row in `b`, and that row's index."""
    distance, index = _distances(a, b).min(dim=1)
    return distance, index


def memorisation_rate(
    generated: Float[Tensor, "n d"], training: Float[Tensor, "m d"], *, quantile: float = 0.05
) -> float:
    """Fraction of generated items that are suspiciously close to a training item.

    Close means: no farther from its nearest training item than the closest `quantile` of the
    training items are from each other. A generator that copies is near 1, and one that has learnt
    the distribution near `quantile`.

    Args:
        generated: Features of generated items.
        training: Features of all training items of the generator, at least two rows.
        quantile: Fraction of the training items that sets the threshold.

    Raises:
        DataError: There are fewer than two training items.
    """
    generated, training = generated.double(), _set(training)
    among = _distances(training, training).fill_diagonal_(inf).min(dim=1).values
    distance, _ = nearest(generated, training)
    return float((distance <= among.quantile(quantile)).double().mean())


def sliced_wasserstein(
    a: Float[Tensor, "n 3 h w"],
    b: Float[Tensor, "n 3 h w"],
    *,
    patches: int = 64,
    directions: int = 128,
    seed: int = 0,
) -> dict[int, float]:
    """Distance of local patches at each scale of a Laplacian pyramid (Karras et al., 2018, §5).

    Patches of 7 pixels are normalised to zero mean and unit deviation per channel over the set,
    then compared along random directions, in which the Wasserstein distance is that of sorted
    values.

    Args:
        a: Images of one set.
        b: The same number of images of the other.
        patches: Number of patches per image.
        directions: Number of projections to average over.
        seed: Random seed of places and directions.

    Returns:
        Distances by the side of the scale, from the images' own down to 16 pixels; 0 for equal
        sets.
    """
    rng = torch.Generator().manual_seed(seed)
    levels = zip(_pyramid(a.double()), _pyramid(b.double()), strict=True)
    return {x.shape[-1]: _patch_distance(x, y, patches, directions, rng) for x, y in levels}


def _scale_weights(side: int) -> Tensor:
    published = torch.tensor([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
    fitting = [i for i in range(len(published)) if side // 2**i >= 11]
    assert fitting, "an image smaller than the window"
    weights = published[: len(fitting)]
    return weights / weights.sum()


def _ssim_terms(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    # Per channel: luminance times structure, then structure alone; c are the published constants.
    c1, c2 = 0.01**2, 0.03**2
    mean_a, mean_b = _windowed(a), _windowed(b)
    variances = _windowed(a * a) - mean_a**2 + _windowed(b * b) - mean_b**2
    covariance = _windowed(a * b) - mean_a * mean_b
    structure = (2 * covariance + c2) / (variances + c2)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return (luminance * structure).mean(dim=(2, 3)), structure.mean(dim=(2, 3))


def _windowed(x: Tensor) -> Tensor:
    taps = torch.exp(-((torch.arange(11) - 5.0) ** 2) / (2 * 1.5**2)).to(x)
    return _separable(x, taps / taps.sum())


def _separable(x: Tensor, taps: Tensor) -> Tensor:
    kernel = taps.expand(x.shape[1], 1, 1, -1)
    x = F.conv2d(x, kernel, groups=x.shape[1])
    return F.conv2d(x, kernel.transpose(2, 3), groups=x.shape[1])


def _outlines(masks: Tensor) -> Bool[np.ndarray, "n h w"]:
    inside = (masks[:, 0] >= 0.5).cpu().numpy()
    cross = ndimage.generate_binary_structure(2, 1)[None]
    return inside & np.logical_not(ndimage.binary_erosion(inside, cross))


def _outline_agreement(a: np.ndarray, b: np.ndarray, tolerance: float) -> float:
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    precision, recall = _share_near(a, b, tolerance), _share_near(b, a, tolerance)
    return 2 * precision * recall / max(precision + recall, 1e-12)


def _share_near(outline: np.ndarray, other: np.ndarray, tolerance: float) -> float:
    distance = ndimage.distance_transform_edt(~other)
    return float(np.mean(np.asarray(distance)[outline] <= tolerance))


def _set(features: Tensor) -> Tensor:
    if len(features) < 2:
        raise DataError(
            got=f"a set of {len(features)}",
            expected="at least two images to compare sets",
            todo="Add images to the folder.",
        )
    return features.double()


def _unbiased_mmd(x: Tensor, y: Tensor) -> float:
    within = _mean_off_diagonal(_kernel(x, x)) + _mean_off_diagonal(_kernel(y, y))
    return float(within - 2 * _kernel(x, y).mean())


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _mean_off_diagonal(kernel: Tensor) -> Tensor:
    n = len(kernel)
    return (kernel.sum() - kernel.trace()) / (n * (n - 1))


def _subset(x: Tensor, size: int, rng: torch.Generator) -> Tensor:
    return x[torch.randperm(len(x), generator=rng)[:size]]


def _covariance_root(x: Tensor) -> Tensor:
    # Any R with RᵀR = Σ will do; that of a QR decomposition is at most d by d.
    centred = (x - x.mean(dim=0)) / (len(x) - 1) ** 0.5
    return torch.linalg.qr(centred, mode="r").R


def _distances(a: Tensor, b: Tensor) -> Tensor:
    # By differences, because the faster matrix product gives equal rows a nonzero distance.
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def _pyramid(x: Tensor) -> list[Tensor]:
    levels = []
    while min(x.shape[2:]) >= 32:
        coarse = _blurred(x)[:, :, ::2, ::2]
        stuffed = torch.zeros_like(x)
        stuffed[:, :, ::2, ::2] = 4 * coarse
        levels.append(x - _blurred(stuffed))
        x = coarse
    return [*levels, x]


def _blurred(x: Tensor) -> Tensor:
    taps = torch.tensor([1.0, 4, 6, 4, 1]).to(x) / 16
    return _separable(F.pad(x, (2, 2, 2, 2), mode="reflect"), taps)


def _patch_distance(
    a: Tensor, b: Tensor, patches: int, directions: int, rng: torch.Generator
) -> float:
    places = _places(a.shape, patches, rng)
    a, b = _standardised(_patches(a, places)), _standardised(_patches(b, places))
    axes = F.normalize(torch.randn(a.shape[1], directions, generator=rng).to(a), dim=0)
    return float(((a @ axes).sort(dim=0).values - (b @ axes).sort(dim=0).values).abs().mean())


def _places(shape: torch.Size, patches: int, rng: torch.Generator) -> Tensor:
    rows = torch.randint(shape[2] - 6, (shape[0], patches), generator=rng)
    return rows * (shape[3] - 6) + torch.randint(shape[3] - 6, rows.shape, generator=rng)


def _patches(x: Tensor, places: Tensor) -> Tensor:
    unfolded = F.unfold(x, 7)
    index = places.to(x.device)[:, None].expand(-1, unfolded.shape[1], -1)
    return unfolded.gather(2, index).transpose(1, 2).reshape(-1, 3, 49)


def _standardised(patches: Tensor) -> Tensor:
    deviation, mean = torch.std_mean(patches, dim=(0, 2), keepdim=True)
    return ((patches - mean) / deviation.clamp(min=1e-8)).flatten(1)
