r"""Domain of a generator's codes: their statistics, and the position of a code among them.

Rows w_1 … w_L of d numbers are measured by three distances, in units of the generator's own codes:

    cycle        \lVert w - E(G(w)) \rVert^2 / (L d \sigma^2)              (Zhu et al., 2020),
    mahalanobis  (mean_{l,k} (b_k \cdot (\lambda^{-1}(w_l) - \mu))^2 / s_k^2)^{1/2},
    spread       mean_l \lVert w_l - \bar w \rVert^2 / (d \sigma^2),

with σ² the mean variance of an element of w and λ the mapping's last leaky ReLU. Before it, codes
are nearly Gaussian (Wulff and Torralba, 2020), with the centre μ, the axes b_k and deviations s_k,
which have a lower bound. Each distance becomes a percentile among fresh samples, generated as in
training. The largest of them is ranked among fresh samples again, which gives a calibrated
percentile: one fresh code in a hundred is above 99.

All stored values are rounded to half precision before use, so that a bundle in half precision gives
the same percentiles.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from blemish.errors import BundleError
from blemish.inversion.search import Step
from blemish.models.encoder import Encoding
from blemish.models.generator import Generator
from blemish.models.mixing import mixed_latents, mixed_rows
from blemish.types import Codes

PREFIX = "domain."
GRID = torch.cat([torch.arange(0, 100, 0.5), torch.tensor([99.9, 100])])
LARGEST_HALF = 65504
# Fraction of the largest deviation: the lower bound of each deviation. The mapping leaves many axes
# with almost no variance. Unbounded, they would put the mean of w outside the domain, and any code
# that is two hundredths of a deviation away from a fresh one.
LEAST_SHARE = 0.1
LEAST_DEVIATION = 1e-6

_TABLES = "quantiles."
_DIMENSIONS = {"mean": 1, "deviation": 0, "centre": 1, "basis": 2, "deviations": 1}
_WITHOUT_CYCLE = {"mahalanobis", "spread", "worst"}

Encode = Callable[[Float[Tensor, "n 3 h w"]], Encoding]


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainPercentiles:
    """Position of codes among fresh ones: distances, and percentiles in 0..100.

    A percentile is the fraction of fresh samples with a smaller distance. At 100 a code is farther
    than all of them, and only the distance tells how far; a code that is not finite gets 100, too.

    Attributes:
        cycle: Distance to the encoder's prediction for the generated image; None without an
            encoder.
        mahalanobis: Distance from the centre of the codes; about 1 for fresh ones.
        spread: Spread of the rows around their mean; 0 in z and w.
        cycle_percentile: Percentile of the cycle; None if the statistics were computed without an
            encoder, too.
        mahalanobis_percentile: Percentile of the Mahalanobis distance.
        spread_percentile: Percentile of the spread.
        percentile: Overall percentile, of the largest of the others.
    """

    cycle: Float[Tensor, " n"] | None
    mahalanobis: Float[Tensor, " n"]
    spread: Float[Tensor, " n"]
    cycle_percentile: Float[Tensor, " n"] | None
    mahalanobis_percentile: Float[Tensor, " n"]
    spread_percentile: Float[Tensor, " n"]
    percentile: Float[Tensor, " n"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """Statistics of a generator's own codes.

    Attributes:
        mean: Mean of w.
        deviation: Root of the mean variance of an element of w: the unit of distances.
        centre: Mean of w before the mapping's last leaky ReLU.
        basis: Principal axes there, in columns.
        deviations: Deviation along each axis, with a lower bound, scaled so that fresh codes are at
            1.
        tables: Quantiles of each distance among fresh samples, at the percentiles `GRID`; also of
            the largest percentile, as "worst", and as "worst_with_cycle" if the cycle is known.
    """

    mean: Float[Tensor, " d"]
    deviation: Float[Tensor, ""]
    centre: Float[Tensor, " d"]
    basis: Float[Tensor, "d d"]
    deviations: Float[Tensor, " d"]
    tables: dict[str, Float[Tensor, " q"]] = field(default_factory=dict)

    @classmethod
    def read(cls, tensors: Mapping[str, Tensor]) -> "Domain | None":
        """Domain from a bundle's statistics; None if it was never computed.

        Raises:
            BundleError: A tensor is missing, has another shape or is out of range.
        """
        known = {k.removeprefix(PREFIX): v for k, v in tensors.items() if k.startswith(PREFIX)}
        if not known:
            return None
        _refuse_torn(known)
        tables = {k.removeprefix(_TABLES): v for k, v in known.items() if k.startswith(_TABLES)}
        return cls(**{name: known[name] for name in _DIMENSIONS}, tables=tables)

    def tensors(self) -> dict[str, Tensor]:
        """Tensors for a bundle's statistics; `read` is the inverse."""
        known = {PREFIX + name: getattr(self, name) for name in _DIMENSIONS}
        return known | {PREFIX + _TABLES + name: table for name, table in self.tables.items()}

    def to(self, device: torch.device | str) -> "Domain":
        """A copy on another device."""
        moved = {name: getattr(self, name).to(device) for name in _DIMENSIONS}
        tables = {name: table.to(device) for name, table in self.tables.items()}
        return Domain(**moved, tables=tables)

    def mahalanobis(self, w: Float[Tensor, "n layers d"]) -> Float[Tensor, " n"]:
        """Distance from the centre; see the module's docstring."""
        along = ((straighten(w) - self.centre) @ self.basis) / self.deviations
        return along.square().mean(dim=(1, 2)).sqrt()

    def spread(self, w: Float[Tensor, "n layers d"]) -> Float[Tensor, " n"]:
        """Mean squared distance of rows to their mean."""
        far = w - w.mean(dim=1, keepdim=True)
        return far.square().mean(dim=(1, 2)) / self.deviation**2

    @torch.no_grad()
    def percentiles(
        self, w: Float[Tensor, "n layers d"], cycle: Float[Tensor, " n"] | None = None
    ) -> DomainPercentiles:
        """Position of codes among fresh ones.

        Args:
            w: Rows for the backbone.
            cycle: Their `cycle_distance`, if there is an encoder.
        """
        values = _distances(self, w, cycle)
        shares = _percentiles(values, self.tables)
        worst = self.tables["worst_with_cycle" if "cycle" in shares else "worst"]
        largest = _largest(shares)
        return DomainPercentiles(
            cycle=cycle,
            mahalanobis=values["mahalanobis"],
            spread=values["spread"],
            cycle_percentile=shares.get("cycle"),
            mahalanobis_percentile=shares["mahalanobis"],
            spread_percentile=shares["spread"],
            # Rounding may turn the last quantiles into 1; a code beyond all stays beyond.
            percentile=percentile(largest, worst).where(largest < 100, 100.0),
        )


def straighten(w: Float[Tensor, "n *rows d"]) -> Float[Tensor, "n *rows d"]:
    """Undo the leaky ReLU of slope 0.2 that ends the mapping."""
    return F.leaky_relu(w, 5.0)


def cycle_distance(
    w: Float[Tensor, "n layers d"],
    again: Float[Tensor, "n layers d"],
    deviation: Float[Tensor, ""] | float,
) -> Float[Tensor, " n"]:
    """Mean squared difference of codes and the encoder's prediction for their image.

    Args:
        w: Codes.
        again: Prediction for their image, E(G(w)).
        deviation: Deviation of w, per element; the result is in units of its square.
    """
    return (w - again).square().mean(dim=(1, 2)) / deviation**2


def read_again(
    generator: Generator, encoder: Encode, w: Float[Tensor, "n layers d"]
) -> Float[Tensor, "n layers d"]:
    """Encoder's prediction for the image of a good part, E(G(w))."""
    return encoder(generator(Codes(w=w)).image).w


def percentile(values: Float[Tensor, " n"], table: Float[Tensor, " q"]) -> Float[Tensor, " n"]:
    """Percentage of the fresh samples below each value, in 0..100.

    Args:
        values: Distances.
        table: Quantiles at `GRID`; linear between them. A value that many samples share, such as a
            spread of 0, gets its lowest percentile.
    """
    grid = GRID.to(values.device)
    above = torch.searchsorted(table, values.contiguous()).clamp(1, len(table) - 1)
    low, high = table[above - 1], table[above]
    share = ((values - low) / (high - low).clamp(min=1e-12)).clamp(0, 1).nan_to_num(1.0)
    return grid[above - 1].lerp(grid[above], share)


@torch.no_grad()
def fit_domain(
    generator: Generator,
    encoder: Encode | None = None,
    *,
    n: int = 10_000,
    seed: int = 0,
    mixing: float = 0.9,
    batch: int = 50,
    on_progress: Step | None = None,
) -> Domain:
    """Compute the domain of a generator's codes.

    Axes and percentiles come from separate samples, because the samples that gave the axes are
    closer to them than others.

    Args:
        generator: Frozen generator.
        encoder: Encoder of the same bundle, in evaluation mode; without one there is no cycle.
        n: Number of samples of each kind.
        seed: Random seed of the samples.
        mixing: Same as in `fresh_rows`.
        batch: Samples per batch; it changes only rounding.
        on_progress: Callback after each batch, called with the number of samples so far.
    """
    assert n > 1
    rng = torch.Generator().manual_seed(seed)
    domain, found = _axes(generator, n, rng), []
    for w in _batches(generator, n, rng, mixing, batch):
        cycle = None
        if encoder is not None:
            cycle = cycle_distance(w, read_again(generator, encoder, w), domain.deviation)
        found.append(_distances(domain, w, cycle))
        if on_progress is not None:
            on_progress(min(n, len(found) * batch))
    values = {name: torch.cat([part[name] for part in found]) for name in found[0]}
    return replace(domain, tables=_calibrate(values))


def _batches(
    generator: Generator, n: int, rng: torch.Generator, mixing: float, batch: int
) -> Iterator[Float[Tensor, "_n layers d"]]:
    z, cut = mixed_latents(generator.config, n, rng, mixing)
    for latents, cuts in zip(z.split(batch, dim=1), cut.split(batch), strict=True):
        yield mixed_rows(generator, latents, cuts)


def _axes(generator: Generator, n: int, rng: torch.Generator) -> Domain:
    """Mean, axes and deviations over mapped latents; no tables yet."""
    device = generator.mapping.w_avg.device
    z = torch.randn(n, generator.config.z_dim, generator=rng).to(device)
    w = generator.mapping(z).cpu().double()
    mean, straight = _halved(w.mean(dim=0)), straighten(w)
    centre = _halved(straight.mean(dim=0))
    basis = _halved(torch.linalg.eigh(torch.cov(straight.T)).eigenvectors)
    # Measured along the rounded axes, so that the deviations include the rounding error.
    along = (straight - centre) @ basis.double()
    deviations = along.square().mean(dim=0).sqrt()
    deviations = deviations.clamp(min=max(LEAST_DEVIATION, LEAST_SHARE * deviations.max().item()))
    unit = (along / deviations).square().mean().sqrt().clamp(min=LEAST_DEVIATION)
    return Domain(
        mean=mean,
        deviation=_halved((w - mean).square().mean().sqrt().clamp(min=LEAST_DEVIATION)),
        centre=centre,
        basis=basis,
        deviations=_halved((deviations * unit).clamp(min=LEAST_DEVIATION)),
    ).to(device)


def _distances(
    domain: Domain, w: Float[Tensor, "n layers d"], cycle: Float[Tensor, " n"] | None
) -> dict[str, Float[Tensor, " n"]]:
    known = {} if cycle is None else {"cycle": cycle}
    return {"mahalanobis": domain.mahalanobis(w), "spread": domain.spread(w), **known}


def _calibrate(values: dict[str, Float[Tensor, " n"]]) -> dict[str, Float[Tensor, " q"]]:
    """Quantiles of each distance, and of the largest percentile without and with the cycle's."""
    tables = {name: _table(found) for name, found in values.items()}
    shares = _percentiles(values, tables)
    if "cycle" in shares:
        tables["worst_with_cycle"] = _table(_largest(shares))
        del shares["cycle"]
    return tables | {"worst": _table(_largest(shares))}


def _percentiles(
    values: dict[str, Float[Tensor, " n"]], tables: dict[str, Float[Tensor, " q"]]
) -> dict[str, Float[Tensor, " n"]]:
    return {k: percentile(found, tables[k]) for k, found in values.items() if k in tables}


def _largest(shares: dict[str, Float[Tensor, " n"]]) -> Float[Tensor, " n"]:
    return torch.stack(list(shares.values())).amax(dim=0)


def _table(values: Float[Tensor, " n"]) -> Float[Tensor, " q"]:
    return _halved(values.float().quantile(GRID.to(values.device) / 100))


def _halved(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Values rounded to half precision, clipped to its largest numbers."""
    return x.clamp(-LARGEST_HALF, LARGEST_HALF).half().float()


def _refuse_torn(known: Mapping[str, Tensor]) -> None:
    """Check the input of `Domain.read`, names without their prefix."""
    axes = {name: tensor for name, tensor in known.items() if not name.startswith(_TABLES)}
    tables = {name: tensor for name, tensor in known.items() if name.startswith(_TABLES)}
    finite = all(tensor.isfinite().all() for tensor in known.values())
    if not (finite and _are_axes(axes) and _are_tables(tables)):
        raise BundleError(
            got="statistics of a bundle with a damaged or outdated domain of codes",
            expected=f"'{PREFIX}…' as Blemish writes it: finite, complete, increasing quantiles",
            todo="Download the bundle again, or train its encoder again.",
        )


def _are_axes(axes: Mapping[str, Tensor]) -> bool:
    if {name: tensor.ndim for name, tensor in axes.items()} != _DIMENSIONS:
        return False
    sides = {side for tensor in axes.values() for side in tensor.shape}
    return len(sides) == 1 and all(axes[k].gt(0).all() for k in ("deviation", "deviations"))


def _are_tables(tables: Mapping[str, Tensor]) -> bool:
    names = {name.removeprefix(_TABLES) for name in tables}
    if names not in (_WITHOUT_CYCLE, _WITHOUT_CYCLE | {"cycle", "worst_with_cycle"}):
        return False
    return all(v.shape == GRID.shape and bool(v.diff().ge(0).all()) for v in tables.values())
