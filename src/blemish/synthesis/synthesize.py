"""From an order to items in a dataset: the four steps, in chunks that seeds fill."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.errors import BundleError, OptionError
from blemish.generator.network import DefectConfig, Generator
from blemish.inversion.keep import Kept, load_inversion
from blemish.inversion.methods import Method, options_of, usual_method
from blemish.inversion.model import Model, load_model
from blemish.inversion.search import Step, refuse_seeds
from blemish.pictures import fit, fit_mask, mask_to_tensor, to_tensor
from blemish.synthesis.carry import (
    Carried,
    carry,
    enlarged_cover,
    reach_px,
    soft_cover,
    within_reach,
)
from blemish.synthesis.dataset import Dataset, Synthetic
from blemish.synthesis.defect import DefectSearch, Placed, place_defects
from blemish.synthesis.order import Order
from blemish.synthesis.references import ReferenceName, References
from blemish.types import Codes

# Items are made in chunks of this size, from the same seeds, whatever is asked for: so an item is
# rounded in the same way by whatever run makes it.
CHUNK = 4
STEM_LENGTH = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Options of a synthesis.

    Attributes:
        invert: Step A; None is `usual_method` for the bundle.
        inverted: A folder that `blemish invert` wrote, whose codes take the place of step A.
        search: Steps B and C.
        reference: Of the defect's look.
        real: A folder with real defects, for references that need it.
    """

    invert: Method | None = None
    inverted: Path | None = None
    search: DefectSearch = field(default_factory=DefectSearch)
    reference: ReferenceName = "none"
    real: Path | None = None


class Synthesizer:
    """A bundle at work: invert a part once, then place as many defects on it as wanted.

    Raises:
        BundleError: The bundle has no defect branch, or one that the recipe can't use; or
            `inverted` holds codes of another bundle.
        DataError: `inverted` can't be read.
    """

    def __init__(self, bundle: Bundle, recipe: Recipe, *, device: str = "cpu") -> None:
        self.bundle, self.recipe = bundle, recipe
        self.model: Model = load_model(bundle, device)
        self.generator: Generator = self.model.generator
        self.method = recipe.invert or usual_method(self.model)
        self.kept: Kept | None = None
        if recipe.inverted is not None:
            self.kept = load_inversion(recipe.inverted, bundle)
        self.device = device
        self.references = References(bundle, recipe.reference, recipe.real, device=device)
        _refuse_branch(bundle, self.generator.config.defect, recipe)

    @property
    def types(self) -> tuple[str, ...]:
        """The defects that the bundle has learnt."""
        defect = self.generator.config.defect
        return defect.types if defect else ()

    def prepare(self, kind: str) -> None:
        """Read what the recipe needs for a type of defect, before any time is spent.

        Raises:
            OptionError: It needs real defects, and there are none.
            DataError: One can't be read.
            BundleError: The bundle lacks what the reference needs.
        """
        self.references.prepare(kind)

    def invert(self, order: Order, *, tell: Callable[[float], None] | None = None) -> Codes:
        """Step A: the codes of the part on the photograph, which all of its items share.

        Args:
            order: With the photograph.
            tell: Called at each step with the share of the search that is done.

        Raises:
            OptionError: The codes at hand were found for another photograph.
        """
        target = to_tensor(fit(order.picture, self._side))[None].to(self.device)
        if self.kept is not None:
            return _codes_of(self.kept, target, order)
        rng = torch.Generator().manual_seed(0)
        watch = None if tell is None else lambda time, *_: tell(time)
        return self.method.find(self.model, target, rngs=[rng], watch=watch).codes.good()

    def make(
        self, order: Order, twin: Codes, seeds: list[int], *, tell: Step | None = None
    ) -> Iterator[Synthetic]:
        """Steps B to D for each seed."""
        rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
        photograph = to_tensor(fit(order.picture, self._side))[None].to(self.device)
        mask = mask_to_tensor(fit_mask(order.requested, self._side))[None].to(self.device)
        placed = place_defects(
            self.generator,
            twin,
            photograph,
            mask,
            self.types.index(order.kind),
            self.recipe.search,
            rngs=rngs,
            reference=self.references.choose(order.kind, photograph, mask, len(seeds)),
            tell=tell,
        )
        for index, seed in enumerate(seeds):
            yield self._finish(order, placed, index, seed, mask)

    def name(self, order: Order, seed: int) -> str:
        """Of an item: the same order, options, bundle and seed give the same name."""
        asked = json.dumps([order.digest, self.options(), self.bundle.digest, seed])
        stem = order.normal.stem[:STEM_LENGTH].lstrip(".")  # a dot in front would hide the file
        return f"{stem}_{hashlib.sha256(asked.encode()).hexdigest()[:10]}"

    def options(self) -> dict[str, Any]:
        """The recipe, as JSON holds it."""
        known = {f.name: getattr(self.recipe, f.name) for f in fields(self.recipe)}
        known["invert"] = options_of(self.method)
        known["search"] = asdict(self.recipe.search)
        known["inverted"] = None if self.kept is None else self.kept.digest
        return json.loads(json.dumps(known, default=str))

    @property
    def _side(self) -> int:
        return self.generator.config.resolution

    def _finish(
        self, order: Order, placed: Placed, index: int, seed: int, mask: Tensor
    ) -> Synthetic:
        carried, drawn = self._carry(order, placed, index, mask)
        codes = placed.codes
        return Synthetic(
            name=self.name(order, seed),
            kind=order.kind,
            picture=carried.picture,
            changed=carried.changed,
            twin=order.picture,
            requested=order.requested,
            codes=_item(codes, index),
            facts={
                "seed": seed,
                "normal": str(order.normal),
                "requested": str(order.mask),
                "bundle": {"name": self.bundle.path.name, "digest": self.bundle.digest},
                "options": self.options(),
                "scores": _scores(order, carried, drawn)
                | {name: round(values[index].item(), 5) for name, values in placed.terms.items()},
            },
        )

    def _carry(
        self, order: Order, placed: Placed, index: int, mask: Tensor
    ) -> tuple[Carried, np.ndarray]:
        """Step D, and the generator's own mask at the photograph's size."""
        h, w = order.requested.shape
        change = (placed.defective - placed.twin)[index].permute(1, 2, 0).cpu().numpy() * 127.5
        own = placed.mask_logits[index, 0].sigmoid().cpu().numpy()
        own_cover = enlarged_cover(own, h, w)
        if self.recipe.search.control == "condition":
            drawn, cover = mask[0, 0].cpu().numpy(), soft_cover(order.requested)
        else:
            drawn, cover = own, own_cover
        carried = carry(order.picture, change, drawn, cover, order.requested)
        return carried, own_cover > 0.5


def synthesize(
    synthesizer: Synthesizer,
    order: Order,
    dataset: Dataset,
    *,
    count: int,
    seed: int,
    tell: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Make items for seeds `seed … seed + count - 1` and add those that are not there yet.

    Returns:
        The manifest's rows of these items, made now or before.

    Raises:
        OptionError: `count` is below one, or a seed out of range.
        OutputError: The folder can't be written into.
    """
    refuse_seeds(seed, count)
    seeds = range(seed, seed + count)
    names = {s: synthesizer.name(order, s) for s in seeds}
    known = {row["name"]: row for row in dataset.rows()}
    twin: Codes | None = None
    for first in range(seed // CHUNK * CHUNK, seed + count, CHUNK):
        chunk = list(range(first, first + CHUNK))
        missing = [s for s in chunk if s in names and names[s] not in known]
        if not missing:
            continue
        if twin is None:
            twin = synthesizer.invert(order, tell=lambda done: tell(f"inverting, {done:.0%}"))
        made = synthesizer.make(order, twin, chunk, tell=lambda k: tell(f"placing, step {k}"))
        for item in made:
            if item.facts["seed"] in missing:
                known[item.name] = dataset.add(item)
                tell(f"made {item.name}")
    dataset.contact_sheet()
    return [known[names[s]] for s in seeds]


def _codes_of(kept: Kept, target: Tensor, order: Order) -> Codes:
    """The codes that were found before, if they are this photograph's."""
    if not torch.equal(kept.photograph.to(target.device), target):
        raise OptionError(
            got=f"{order.normal} with codes that were found for another photograph",
            expected="the photograph that was inverted",
            todo="Name that photograph, or invert this one.",
        )
    return kept.codes.to(target.device).good()


def _item(codes: Codes, index: int) -> Codes:
    """One item's rows and noise maps, still a batch of one."""
    assert codes.w_defect is not None
    here = slice(index, index + 1)
    noise = {name: map[here] for name, map in (codes.noise or {}).items()}
    return replace(codes, w=codes.w[here], w_defect=codes.w_defect[here], noise=noise)


def _scores(order: Order, carried: Carried, drawn: np.ndarray) -> dict[str, float | int]:
    beyond = (carried.picture != order.picture).any(axis=2) & ~within_reach(order.requested)
    return {
        "iou_requested": round(_iou(carried.changed, order.requested), 4),
        "iou_generator_mask": round(_iou(carried.changed, drawn), 4),
        "iou_generator_requested": round(_iou(drawn, order.requested), 4),
        "area": round(float(carried.changed.mean()), 6),
        "reach_px": reach_px(*order.requested.shape),
        "pixels_changed_beyond_reach": int(beyond.sum()),
    }


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 1.0


def _refuse_branch(bundle: Bundle, branch: DefectConfig | None, recipe: Recipe) -> None:
    if branch is None or not branch.types:
        raise BundleError(
            got=f"{bundle.path}, a bundle that knows no type of defect",
            expected="one that has learnt defects",
            todo=f"Run 'blemish train defects DATA --bundle {bundle.path}'.",
        )
    if recipe.search.control == "condition" and not branch.takes_mask:
        raise BundleError(
            got=f"{bundle.path}, a bundle whose defect branch takes no mask",
            expected="one that does, or another way to meet the mask",
            todo="Use --mask-control codes or noise.",
        )
