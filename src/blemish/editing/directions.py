r"""Directions of codes that change one attribute of a part, learnt from its own samples.

An attribute's boundary (`boundary`) gives a move of codes for each scale of rows. Moves of one
attribute change others as well. With the effect E_jk of move j on attribute k, in deviations of the
attribute, measured on probes that are moved both ways, the direction of attribute i is

    d_i = \sum_j c_{ij} m_j,
    c_i = \arg\min_c \lVert E^T c - e_i \rVert^2 + \lambda \lVert c \rVert^2,

which conditions it on all others (compare the projection of Shen et al., 2020, InterFaceGAN). The
directions are conditioned once more on each other, by their own effects on fresh probes. A distance
of 1 changes the attribute by about one deviation among fresh parts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.editing.attributes import ATTRIBUTES, measured
from blemish.editing.boundary import Whitening, fit_boundary, outer, separation
from blemish.editing.factorise import principal_axes, sefa
from blemish.editing.rows import scales_of
from blemish.errors import BundleError, OptionError
from blemish.models.generator import Generator
from blemish.pictures import fit_square, to_picture
from blemish.types import Codes

NETWORK = "directions"
FIGURES = ("attribute", "accuracy", "purity")
HELD_OUT = 0.25  # of the samples: fresh ones, for the separation accuracy
PROBE_MOVE = 1.0  # distance of the probes, in deviations of codes or of the attribute
RIDGE = 0.02
MEASURED_SIDE = 128  # attributes are measured on pictures of at most this side
BATCH = 16
OnProgress = Callable[[int], None]
Named = TypeVar("Named")
Attributes = Float[np.ndarray, "n a"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionTraining:
    """Options of `learn_directions`.

    Attributes:
        samples: Fresh parts whose attributes are measured.
        probes: Parts that are moved along each direction, both ways.
        components: Directions of SeFa, and of the principal components.
        seed: Random seed of the parts.
    """

    samples: int = 1000
    probes: int = 64
    components: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 100 or self.probes < 2 or self.components < 0:
            raise OptionError(
                got=f"{self.samples} samples, {self.probes} probes and {self.components} "
                "components",
                expected="100 samples or more, 2 probes or more, 0 components or more",
                todo="Correct the option.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """Direction of codes.

    Attributes:
        name: Name of the attribute, or such as `sefa-1` and `pca-1`.
        rows: Move of each row for a distance of 1.
        attribute: Attribute that it changes most.
        accuracy: Share of fresh parts with little or much of the attribute (the lowest and the
            highest fifth) that its boundary separates; for others than attributes, a boundary
            across the direction.
        purity: Change of the attribute over the sum of the changes of all others, each in its
            deviations among fresh parts.
    """

    name: str
    rows: Float[Tensor, "layers d"]
    attribute: str
    accuracy: float
    purity: float


def moved(codes: Codes, direction: Direction, distances: list[float]) -> Codes:
    """Codes of a single item moved along a direction, one for each distance."""
    rows = direction.rows.to(codes.w.device)
    space = codes.edited_space()
    found = [replace(codes, w=codes.w + far * rows, space=space) for far in distances]
    return Codes.joined(found)


def write_directions(bundle: Bundle, directions: list[Direction]) -> None:
    """Store directions in a bundle; `read_directions` is the inverse."""
    tensors: dict[str, Tensor] = {}
    for one in directions:
        tensors[f"{one.name}.rows"] = one.rows
        known = ATTRIBUTES.index(one.attribute), one.accuracy, one.purity
        tensors[f"{one.name}.figures"] = torch.tensor(known, dtype=torch.float32)
    bundle.write(NETWORK, tensors)


def read_directions(bundle: Bundle, rows: int, width: int) -> dict[str, Direction]:
    """Directions of a bundle by name, those of attributes first.

    Args:
        bundle: The bundle.
        rows: Rows of its generator's codes.
        width: Numbers in a row.

    Raises:
        BundleError: It has none, or they do not fit its generator.
    """
    bundle.require(NETWORK, "directions", "directions")
    tensors = {k: v for k, v in bundle.tensors(NETWORK).items() if "/" not in k}  # not of looks
    names = sorted({name.rpartition(".")[0] for name in tensors}, key=_order)
    found = {name: _direction(name, tensors) for name in names}
    if any(one is None or one.rows.shape != (rows, width) for one in found.values()):
        raise BundleError(
            got=f"{bundle.path / NETWORK}.safetensors, directions of another generator",
            expected=f"rows of [{rows}, {width}] with their figures",
            todo=f"{bundle.advice('directions')} again.",
        )
    return {name: one for name, one in found.items() if one is not None}


def direction_named(name: str, known: Mapping[str, Named], bundle: Bundle) -> Named:
    """The direction of a name.

    Args:
        name: Name.
        known: Directions by name: of parts, or of looks.
        bundle: Bundle to which they belong.

    Raises:
        OptionError: There is none.
    """
    if name in known:
        return known[name]
    raise OptionError(
        got=f"the direction '{name[:40]}'",
        expected=f"one of {', '.join(known)}" if known else "a bundle that knows directions",
        todo="Correct the name." if known else f"{bundle.advice('directions')}.",
    )


def _order(name: str) -> tuple[int, str]:
    return (ATTRIBUTES.index(name), "") if name in ATTRIBUTES else (len(ATTRIBUTES), name)


def _direction(name: str, tensors: dict[str, Tensor]) -> Direction | None:
    rows, figures = tensors.get(f"{name}.rows"), tensors.get(f"{name}.figures")
    if rows is None or figures is None or figures.shape != (len(FIGURES),):
        return None
    index, accuracy, purity = figures.tolist()
    if not 0 <= index < len(ATTRIBUTES):
        return None
    return Direction(
        name=name,
        rows=rows,
        attribute=ATTRIBUTES[round(index)],
        accuracy=accuracy,
        purity=purity,
    )


def learn_directions(
    generator: Generator, training: DirectionTraining, on_progress: OnProgress = lambda _: None
) -> list[Direction]:
    """Find directions by the generator's own samples.

    Args:
        generator: Frozen generator.
        training: Numbers of samples.
        on_progress: Callback, called with the number of pictures so far; see `pictures_needed`.
    """
    return _Learner(generator, training, on_progress).learn()


def pictures_needed(generator: Generator, training: DirectionTraining) -> int:
    """Pictures that `learn_directions` draws."""
    moves = len(scales_of(generator.config)) * len(ATTRIBUTES)
    of_attributes = training.probes * (moves + 3 * len(ATTRIBUTES))
    of_components = _fewer(training.probes) * 2 * training.components
    return training.samples + 2 * (of_attributes + of_components)


def _fewer(probes: int) -> int:
    """Probes of a direction of no attribute, whose purity is far from a pure one's."""
    return max(2, probes // 4)


class _Learner:
    def __init__(
        self, generator: Generator, training: DirectionTraining, on_progress: OnProgress
    ) -> None:
        self.generator, self.training, self.on_progress = generator, training, on_progress
        self.rng = torch.Generator().manual_seed(training.seed)
        self.drawn, self.side = 0, min(generator.config.resolution, MEASURED_SIDE)
        self.w, self.values = self._samples()
        self.deviations = self.values.std(axis=0).clip(min=1e-9)
        self.whitening = Whitening.of(self.w[: self.known])

    @property
    def known(self) -> int:
        """Samples that boundaries are fitted to; the others are fresh."""
        return round(len(self.w) * (1 - HELD_OUT))

    def learn(self) -> list[Direction]:
        moves, accuracies = self._moves()
        rows, fresh = self._conditioned_twice(moves), self._probes()
        found = self._named(ATTRIBUTES, rows, fresh, accuracies)
        few, layers = fresh[: _fewer(len(fresh))], self.generator.config.layers
        for prefix, axes in self._components():
            names = [f"{prefix}-{k + 1}" for k in range(len(axes))]
            everywhere = axes[:, None].expand(-1, layers, -1).contiguous()
            found += self._named(names, everywhere, few, None)
        return found

    def _conditioned_twice(self, moves: Float[Tensor, "m layers d"]) -> Float[Tensor, "a layers d"]:
        """The direction of each attribute, of moves combined once, or twice where that is purer.

        A second combination undoes what the first still changes beside its attribute, but may lose
        an attribute that hardly changes by itself.
        """
        once = _combined(self._effects(moves, self._probes()), moves)
        first = self._effects(once, self._probes())
        twice = _combined(first, once)
        second = self._effects(twice, self._probes())
        purer = [purity(second[k], k) >= purity(first[k], k) for k in range(len(ATTRIBUTES))]
        return torch.where(torch.tensor(purer)[:, None, None], twice, once)

    def _moves(self) -> tuple[Float[Tensor, "m layers d"], list[float]]:
        """Moves across each attribute's boundary, one for each scale, and their accuracies."""
        u, moves, accuracies = self.whitening.white(self.w), [], []
        scales = scales_of(self.generator.config).values()
        for values in self.values.T:
            chosen, much = outer(values[: self.known])
            boundary = fit_boundary(u[: self.known][chosen], much[chosen])
            accuracies.append(separation(boundary, u[self.known :], values[self.known :]))
            along = torch.from_numpy(self.whitening.move(boundary.normal)).float()
            moves += [rows[:, None] * along for rows in scales]
        return torch.stack(moves), accuracies

    def _components(self) -> list[tuple[str, Float[Tensor, "count d"]]]:
        """Directions of SeFa and GANSpace, each as long as the deviation of codes along it."""
        count, w = self.training.components, torch.from_numpy(self.w).float()
        if not count:
            return []
        kinds = [("sefa", sefa(self.generator, count)), ("pca", principal_axes(w, count))]
        return [(name, axes * (w @ axes.T).std(dim=0)[:, None]) for name, axes in kinds]

    def _named(
        self,
        names: Sequence[str],
        rows: Float[Tensor, "m layers d"],
        probes: Float[Tensor, "p d"],
        accuracies: list[float] | None,
    ) -> list[Direction]:
        effects, found = self._effects(rows, probes), []
        for k, name in enumerate(names):
            strongest = k if accuracies else int(np.abs(effects[k]).argmax())
            accuracy = accuracies[k] if accuracies else self._across(rows[k], strongest)
            found.append(
                Direction(
                    name=name,
                    rows=rows[k],
                    attribute=ATTRIBUTES[strongest],
                    accuracy=accuracy,
                    purity=purity(effects[k], strongest),
                )
            )
        return found

    def _across(self, rows: Float[Tensor, "layers d"], attribute: int) -> float:
        """Separation of an attribute by the sign of codes along a direction, whichever way."""
        along = (self.w - self.w.mean(axis=0)) @ rows[0].double().numpy()
        chosen, much = outer(self.values[:, attribute])
        right = float(((along > np.median(along)) == much)[chosen].mean())
        return max(right, 1 - right)

    def _effects(
        self, rows: Float[Tensor, "m layers d"], probes: Float[Tensor, "p d"]
    ) -> Float[np.ndarray, "m a"]:
        """Mean change of each attribute, in its deviations, for a distance of 1 of each move."""
        found = []
        for one in rows:
            start = probes[:, None].expand(-1, self.generator.config.layers, -1)
            ends = [self._measured(start + sign * PROBE_MOVE * one) for sign in (1, -1)]
            found.append((ends[0] - ends[1]).mean(axis=0) / 2 / PROBE_MOVE / self.deviations)
        return np.stack(found)

    def _probes(self) -> Float[Tensor, "p d"]:
        z = torch.randn(self.training.probes, self.generator.config.z_dim, generator=self.rng)
        with torch.no_grad():
            return self.generator.mapping(z.to(self.generator.mapping.w_avg.device)).cpu()

    def _samples(self) -> tuple[Float[np.ndarray, "n d"], Attributes]:
        config, w = self.generator.config, []
        for n in _batches(self.training.samples):
            z = torch.randn(n, config.z_dim, generator=self.rng)
            with torch.no_grad():
                w.append(self.generator.mapping(z.to(self.generator.mapping.w_avg.device)).cpu())
        joined = torch.cat(w)
        rows = joined[:, None].expand(-1, config.layers, -1)
        return joined.double().numpy(), self._measured(rows)

    @torch.no_grad()
    def _measured(self, rows: Float[Tensor, "n layers d"]) -> Attributes:
        found = []
        for some in rows.split(BATCH):
            codes = Codes(w=some.to(self.generator.mapping.w_avg.device))
            pictures = to_picture(self.generator(codes).image)
            found.append(
                measured(np.stack([fit_square(picture, self.side) for picture in pictures]))
            )
            self.drawn += len(some)
            self.on_progress(self.drawn)
        return np.concatenate(found)


def purity(effects: Float[np.ndarray, " a"], attribute: int) -> float:
    """Change of an attribute over the sum of the changes of the others."""
    sizes = np.abs(effects)
    return float(sizes[attribute] / max(sizes.sum() - sizes[attribute], 1e-9))


def _combined(
    effects: Float[np.ndarray, "m a"], moves: Float[Tensor, "m layers d"]
) -> Float[Tensor, "a layers d"]:
    """The direction of each attribute, from moves and their effects."""
    wanted = torch.from_numpy(_conditioned(effects)).float()
    return torch.einsum("ij,jld->ild", wanted, moves)


def _conditioned(effects: Float[np.ndarray, "m a"]) -> Float[np.ndarray, "a m"]:
    """Weights of the moves for each attribute's direction; see the module's docstring."""
    m = len(effects)
    gram = effects @ effects.T + RIDGE * np.eye(m)
    return np.linalg.solve(gram, effects).T


def _batches(total: int) -> list[int]:
    return [min(BATCH, total - first) for first in range(0, total, BATCH)]
