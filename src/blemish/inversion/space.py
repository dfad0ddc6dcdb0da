r"""Search spaces, and starting points of a search.

With M the mapping network and L layers, a code becomes the rows that drive the generator:

    z :  w_l = M(z)        w :  w_l = w        w+ :  w_l = w_l,        l = 1 … L.

In f/w+ the code is that of w+ and a change Δ of the generator's features at 16², for parts that lie
as none of the training's did (after F/W+ of BDInvert; Kang et al., 2021). Because Δ is added to
what the rows draw, an edit of the rows changes the features as in w+: f(w') + Δ.

The defect's code is in the same space with its own mapping, which depends on the type. Its mask, if
the branch takes one, is searched for as logits: soft during the search, binary at the end.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from blemish.errors import BundleError
from blemish.models.encoder import Encoding
from blemish.models.generator import Generator, Mapping
from blemish.names import SearchStart, Space
from blemish.types import Codes

Z_CANDIDATES = 4096
FAINT = -2.0
# A logit has farther to go than an element of w; at the same rate it would not get there.
MASK_PACE = 10
FEATURE_SIDE = 16  # of the features that f/w+ changes


@dataclass(frozen=True, slots=True, kw_only=True)
class WStatistics:
    """Mean of w, and the root of the mean squared distance to it, over mapped z."""

    mean: Float[Tensor, " d"]
    deviation: Float[Tensor, ""]

    @property
    def unit(self) -> float:
        """Deviation of a single element."""
        return self.deviation.item() / len(self.mean) ** 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """State of a search: its variables, and their mapping to the generator's input.

    Attributes:
        space: Space of both codes.
        code: Code in z (`n z`), in w (`n d`), or in w+ and f/w+ (`n layers d`).
        noise: Noise maps that are search variables.
        features: Change of the generator's features, in f/w+; None in other spaces.
        defect: Code of the defect; None disables the branch.
        kind: Type of each item's defect; None if the branch knows no types.
        mask_leaf: Logits of the mask over `MASK_PACE`; None leaves the mask to the branch.
    """

    space: Space
    code: Float[Tensor, "n ..."]
    noise: dict[str, Tensor] = field(default_factory=dict)
    features: Float[Tensor, "n c r r"] | None = None
    defect: Float[Tensor, "n ..."] | None = None
    kind: Int[Tensor, " n"] | None = None
    mask_leaf: Float[Tensor, "n 1 h w"] | None = None

    def leaves(self) -> list[Tensor]:
        """All search variables."""
        parts = [self.code, self.features, self.defect, self.mask_leaf]
        return [part for part in parts if part is not None] + [*self.noise.values()]

    def codes(self, generator: Generator, perturb: Tensor | float = 0) -> Codes:
        """Input of the generator, with gradients; `perturb` is added to the part's code."""
        config, w_defect = generator.config, None
        w = code_rows(generator.mapping, self.code + perturb, config.layers, self.space)
        if self.defect is not None:
            mapping, layers = generator.defect_mapping, config.defect_layers
            w_defect = code_rows(mapping, self.defect, layers, self.space, self.kind)
        return Codes(
            w=w,
            w_defect=w_defect,
            features=self.features,
            noise=self.noise or None,
            space=self.space,
        )

    def mask_logits(self) -> Float[Tensor, "n 1 h w"] | None:
        """Logits of the searched mask."""
        return None if self.mask_leaf is None else self.mask_leaf * MASK_PACE

    def mask(self, *, binary: bool) -> Float[Tensor, "n 1 h w"] | None:
        """Mask for the branch, soft or cut at a logit of 0."""
        logits = self.mask_logits()
        if logits is None:
            return None
        return (logits >= 0).to(logits.dtype) if binary else logits.sigmoid()


def has_rows(space: Space) -> bool:
    """Whether codes of a space have a row for each layer."""
    return space in ("w+", "f/w+")


def start_features(generator: Generator, space: Space, n: int) -> Float[Tensor, "n c r r"] | None:
    """Variables of the generator's features, which change nothing yet; None but in f/w+."""
    if space != "f/w+":
        return None
    side = min(FEATURE_SIDE, generator.config.resolution)
    shape = (n, generator.config.channels(side), side, side)
    return torch.zeros(shape, device=generator.mapping.w_avg.device).requires_grad_()


def code_rows(
    mapping: Callable[..., Tensor],
    code: Tensor,
    layers: int,
    space: Space,
    kind: Int[Tensor, " n"] | None = None,
) -> Float[Tensor, "n layers d"]:
    """Rows that belong to a code.

    Args:
        mapping: Mapping from latents, and types where there are some, to w.
        code: Code in z (`n z`), in w (`n d`), or in w+ and f/w+ (`n layers d`).
        layers: Number of rows.
        space: Space of the code.
        kind: Type of each item's defect.
    """
    if has_rows(space):
        return code
    w = mapping(code, kind) if space == "z" else code
    return w[:, None].expand(-1, layers, -1)


def code_of(
    mapping: Callable[..., Tensor],
    z: Float[Tensor, "n z"],
    layers: int,
    space: Space,
    kind: Int[Tensor, " n"] | None = None,
) -> Tensor:
    """The code of latents in a space, as a variable of its own; `code_rows` gives its rows.

    Args:
        mapping: Mapping from latents, and types where there are some, to w.
        z: Latents.
        layers: Number of rows.
        space: Space of the code.
        kind: Type of each item's defect.
    """
    if space == "z":
        return z
    w = mapping(z, kind)
    return w if space == "w" else w[:, None].repeat(1, layers, 1)


def draws(shape: tuple[int, ...], rngs: list[torch.Generator]) -> Float[Tensor, "n ..."]:
    """Standard normal numbers, each item's from its own random generator."""
    return torch.stack([torch.randn(shape, generator=rng) for rng in rngs])


def w_statistics(generator: Generator, *, n: int = 10_000, seed: int = 0) -> WStatistics:
    """Statistics of w over `n` mapped latents."""
    return _statistics(generator.mapping, generator.config.z_dim, n, seed)


def w_defect_statistics(generator: Generator, *, n: int = 10_000, seed: int = 0) -> WStatistics:
    """Statistics of the defect's w over `n` mapped latents, alternating over all types."""
    return _statistics(generator.defect_mapping, generator.config.z_dim, n, seed)


def start_point(
    generator: Generator,
    space: Space,
    start: SearchStart,
    encoding: Encoding | None,
    rngs: list[torch.Generator],
    *,
    defect: bool,
) -> Point:
    """Starting point of a search.

    In w+ the encoder's rows are used as they are, in w their mean, and in z the best of
    `Z_CANDIDATES` latents of each item, whose w is nearest to it; the same for the mean of w.

    Args:
        generator: Frozen generator.
        space: Search space.
        start: Kind of start.
        encoding: Prediction of the encoder, for the start "encoder".
        rngs: One random generator per item.
        defect: Search for a defect as well.

    Raises:
        BundleError: A defect is searched for, and the bundle has no defect branch.
    """
    assert (encoding is not None) == (start == "encoder")
    code = _start_code(generator, space, start, encoding, rngs)
    point = Point(
        space=space,
        code=code.clone().requires_grad_(),
        features=start_features(generator, space, len(rngs)),
    )
    return with_defect(point, generator, encoding, rngs, start) if defect else point


@torch.no_grad()
def with_defect(
    point: Point,
    generator: Generator,
    encoding: Encoding | None,
    rngs: list[torch.Generator],
    start: SearchStart = "mean",
) -> Point:
    """Add variables for a defect's code and, if the branch takes one, its mask.

    The start "encoder" uses its code, mask and type. Others start with a faint mask everywhere, and
    with a random type, which matters only in z.

    Raises:
        BundleError: The bundle has no defect branch.
    """
    if generator.config.defect is None:
        raise BundleError(
            got="a bundle whose generator has no defect branch",
            expected="one with a branch, such as an imported network of DFMGAN",
            todo="Search for a good part.",
        )
    mapping, layers = generator.defect_mapping, generator.config.defect_layers
    kind = _kind(mapping, encoding, rngs)
    goal = None if encoding is None else encoding.w_defect
    if goal is None and start != "random":
        goal = w_defect_statistics(generator).mean.expand(len(rngs), layers, -1)
    code = _near(mapping, goal, layers, point.space, generator.config.z_dim, kind, rngs)
    leaf = _mask_start(generator, encoding, len(rngs)) / MASK_PACE
    return replace(
        point,
        defect=code.clone().requires_grad_(),
        kind=kind,
        mask_leaf=leaf.requires_grad_() if generator.config.defect.takes_mask else None,
    )


@torch.no_grad()
def _start_code(
    generator: Generator,
    space: Space,
    start: SearchStart,
    encoding: Encoding | None,
    rngs: list[torch.Generator],
) -> Tensor:
    layers, goal = generator.config.layers, None if encoding is None else encoding.w
    if start == "mean":
        goal = w_statistics(generator).mean.expand(len(rngs), layers, -1)
    return _near(generator.mapping, goal, layers, space, generator.config.z_dim, None, rngs)


def _kind(
    mapping: Mapping, encoding: Encoding | None, rngs: list[torch.Generator]
) -> Int[Tensor, " n"] | None:
    if not mapping.kinds:
        return None
    if encoding is not None and encoding.kind_logits is not None:
        return encoding.kind_logits.argmax(dim=1)
    kinds = [torch.randint(mapping.kinds, (), generator=rng) for rng in rngs]
    return torch.stack(kinds).to(mapping.w_avg.device)


def _mask_start(
    generator: Generator, encoding: Encoding | None, n: int
) -> Float[Tensor, "n 1 h w"]:
    if encoding is not None and encoding.mask_logits is not None:
        return encoding.mask_logits
    side = generator.config.resolution
    return torch.full((n, 1, side, side), FAINT, device=generator.mapping.w_avg.device)


def _near(
    mapping: Mapping,
    goal: Float[Tensor, "n layers d"] | None,
    layers: int,
    space: Space,
    z_dim: int,
    kind: Int[Tensor, " n"] | None,
    rngs: list[torch.Generator],
) -> Tensor:
    """Code near the goal's rows; without a goal, of a fresh latent."""
    if goal is None:
        z = draws((z_dim,), rngs).to(mapping.w_avg.device)
        if space == "z":
            return z
        goal = code_rows(mapping, z, layers, "z", kind)
    if space == "z":
        return _nearest(mapping, goal.mean(dim=1), z_dim, kind, rngs)
    return goal if has_rows(space) else goal.mean(dim=1)


def _nearest(
    mapping: Mapping,
    goal: Float[Tensor, "n d"],
    z_dim: int,
    kind: Int[Tensor, " n"] | None,
    rngs: list[torch.Generator],
) -> Float[Tensor, "n z"]:
    found = []
    for index, rng in enumerate(rngs):
        z = torch.randn(Z_CANDIDATES, z_dim, generator=rng).to(goal.device)
        kinds = None if kind is None else kind[index].expand(len(z))
        far = (mapping(z, kinds) - goal[index]).square().sum(dim=1)
        found.append(z[far.argmin()])
    return torch.stack(found)


@torch.no_grad()
def _statistics(mapping: Mapping, z_dim: int, n: int, seed: int) -> WStatistics:
    device = mapping.w_avg.device
    z = torch.randn(n, z_dim, generator=torch.Generator().manual_seed(seed)).to(device)
    w = mapping(z, torch.arange(n, device=device) % mapping.kinds if mapping.kinds else None)
    mean = w.mean(dim=0)
    return WStatistics(mean=mean, deviation=(w - mean).square().sum(dim=1).mean().sqrt())
