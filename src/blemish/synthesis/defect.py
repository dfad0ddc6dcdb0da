"""The experiment of the brief: the generator is frozen, the codes of a defect are searched for.

Terms: (a) the drawn mask meets the target mask; (b) outside the defect the image stays the given
photograph; (c) inside, it looks like a reference. In four steps:

    A  invert the photograph with the defect branch off            (`inversion.project`)
    B  freeze w, fit the defect code to the mask and the reference
    C  polish both together, the mask term on
    D  put the photograph's own pixels back where the reach ends   (`carry`)

The mask is met by searching codes, codes and the branch's noise maps, or by handing it to the
branch (`condition`), which leaves nothing to be searched for unless there is a reference.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.generator.network import Drawing, Generator
from blemish.inversion.losses import mask_error, noise_regularity, renormalise, squared_error
from blemish.inversion.search import Search, Step, Terms, refuse_weights, search
from blemish.inversion.space import code_rows, draws
from blemish.types import Codes, Space

MaskControl = Literal["codes", "noise", "condition"]


@runtime_checkable  # for the tests, which check types
class Reference(Protocol):
    """What the inside of the defect shall look like (term c)."""

    def error(
        self, image: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, " n"]:
        """How far the inside of each picture is from the reference."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DefectSearch:
    """Options of steps B and C.

    Attributes:
        control: How the mask is met.
        space: Where the defect code is searched.
        steps: Of step B; C takes a quarter of them.
        learning_rate: Of both.
        mask_weight: Of term (a).
        image_weight: Of term (b).
        reference_weight: Of term (c).
        stay_weight: Of the defect code's squared distance to where it started, in w.
        noise_weight: Of the regularity of noise maps, where those are searched.
    """

    control: MaskControl = "condition"
    space: Space = "w"
    steps: int = 200
    learning_rate: float = 0.05
    mask_weight: float = 1
    image_weight: float = 10
    reference_weight: float = 1
    stay_weight: float = 0.1
    noise_weight: float = 1

    def __post_init__(self) -> None:
        names = [f.name for f in fields(self) if f.name.endswith("_weight")]
        refuse_weights(**{name: getattr(self, name) for name in names})
        self.fit()  # refuses what is wrong with these

    def fit(self) -> Search:
        """Length and rate of step B."""
        return Search(steps=self.steps, learning_rate=self.learning_rate)

    def polish(self) -> Search:
        """Length and rate of step C."""
        return Search(steps=self.steps // 4, learning_rate=self.learning_rate / 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Defects on one part, before they are carried back.

    Attributes:
        codes: With the defect's.
        defective: As the generator drew it.
        twin: The same without the defect.
        mask_logits: The branch's own mask.
        terms: Of the search, at its end; empty where nothing was searched.
    """

    codes: Codes
    defective: Float[Tensor, "n 3 h w"]
    twin: Float[Tensor, "n 3 h w"]
    mask_logits: Float[Tensor, "n 1 h w"]
    terms: Terms = field(default_factory=dict)


@dataclass(slots=True)
class _Leaves:
    """What is searched for."""

    latent: Tensor
    w: Tensor
    noise: dict[str, Tensor]


def place_defects(
    generator: Generator,
    twin: Codes,
    photograph: Float[Tensor, "1 3 h w"],
    mask: Float[Tensor, "1 1 h w"],
    kind: int,
    how: DefectSearch,
    *,
    rngs: list[torch.Generator],
    reference: Reference | None = None,
    tell: Step | None = None,
) -> Placed:
    """Steps B and C: one defect for each generator of random numbers, all on one part.

    Args:
        generator: Frozen, with a defect branch.
        twin: Codes of the photograph, a single item, the branch off.
        photograph: At the generator's resolution.
        mask: The target, at the generator's resolution.
        kind: Index of the defect's type.
        how: Options.
        rngs: One per item.
        reference: Of the defect's look; none leaves it to the branch.
        tell: Called behind each step with its number.
    """
    n = len(rngs)
    photograph, mask = (item.expand(n, -1, -1, -1) for item in (photograph, mask))
    given = mask if how.control == "condition" else None
    leaves = _start(generator, twin, kind, how.space, rngs)
    start = _rows(generator, leaves.latent, kind, how.space).detach().clone()

    def draw() -> tuple[Drawing, Tensor]:
        rows = _rows(generator, leaves.latent, kind, how.space)
        codes = Codes(w=leaves.w, w_defect=rows, noise=leaves.noise)
        return generator.draw(codes, mask=given), rows

    def terms(_: float) -> Terms:
        drawing, rows = draw()
        assert drawing.mask_logits is not None
        found = {
            "mask": mask_error(drawing.mask_logits, mask),
            "image": squared_error(drawing.image, photograph, 1 - mask),
            "stay": (rows - start).square().mean(dim=(1, 2)),
        }
        if reference is not None:
            found["reference"] = reference.error(drawing.image, mask)
        if how.control == "noise":
            found["noise"] = noise_regularity(leaves.noise)
        return found

    found: Terms = {}
    if how.steps and (how.control != "condition" or reference is not None):
        found = _fit_and_polish(leaves, terms, how, tell)
    with torch.no_grad():
        drawing, rows = draw()
        good = generator.draw(Codes(w=leaves.w, noise=leaves.noise)).image
    assert drawing.mask_logits is not None
    still = {name: map.detach() for name, map in leaves.noise.items()}
    codes = replace(twin, w=leaves.w.detach(), w_defect=rows.detach(), noise=still)
    return Placed(
        codes=codes,
        defective=drawing.image.detach(),
        twin=good,
        mask_logits=drawing.mask_logits.detach(),
        terms=found,
    )


def _fit_and_polish(
    leaves: _Leaves, terms: Callable[[float], Terms], how: DefectSearch, tell: Step | None
) -> Terms:
    weights = {
        "mask": how.mask_weight,
        "image": how.image_weight,
        "reference": how.reference_weight,
        "stay": how.stay_weight,
        "noise": how.noise_weight,
    }
    branch = {name: map for name, map in leaves.noise.items() if name.startswith("res_")}
    free = list(branch.values()) if how.control == "noise" else []
    after = (lambda: renormalise(branch)) if free else None
    for leaf in (leaves.latent, *free):
        leaf.requires_grad_()
    search([leaves.latent, *free], terms, weights, how.fit(), after=after, tell=tell)
    leaves.w = leaves.w.clone().requires_grad_()
    both = [leaves.latent, leaves.w, *free]
    return search(both, terms, weights, how.polish(), after=after, tell=tell).terms


def _start(
    generator: Generator, twin: Codes, kind: int, space: Space, rngs: list[torch.Generator]
) -> _Leaves:
    n, device = len(rngs), twin.w.device
    z = draws((generator.config.z_dim,), rngs).to(device)
    noise = {
        name: draws((1, layer.resolution, layer.resolution), rngs).to(device)
        for name, layer in generator.synthesis.layers()
        if name.startswith("res_")
    }
    kept = {name: map.expand(n, -1, -1, -1) for name, map in (twin.noise or {}).items()}
    with torch.no_grad():
        w = generator.defect_mapping(z, torch.full((n,), kind, device=device))
    rows = w[:, None].repeat(1, generator.config.defect_layers, 1)
    latent = {"z": z, "w": w, "w+": rows}[space]
    return _Leaves(latent=latent, w=twin.w.repeat(n, 1, 1), noise=noise | kept)


def _rows(
    generator: Generator, latent: Tensor, kind: int, space: Space
) -> Float[Tensor, "n defect_layers d"]:
    kinds = torch.full((len(latent),), kind, device=latent.device)
    return code_rows(generator.defect_mapping, latent, generator.config.defect_layers, space, kinds)
