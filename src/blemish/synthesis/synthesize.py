"""From an order to items in a dataset: the four steps, an item by itself."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.devices import one_thread
from blemish.errors import BundleError, OptionError
from blemish.generator.network import DefectConfig, Generator
from blemish.inversion.keep import Kept, load_inversion
from blemish.inversion.methods import Method, options_of, usual_method
from blemish.inversion.model import Model, load_model
from blemish.inversion.search import Step
from blemish.pictures import fit, fit_mask, mask_to_tensor, to_tensor
from blemish.seeds import refuse_seeds
from blemish.synthesis.carry import (
    Carried,
    carry,
    enlarged_cover,
    reach_px,
    soft_cover,
    within_reach,
)
from blemish.synthesis.curation.curate import Curator
from blemish.synthesis.curation.duplicates import fingerprint, to_text
from blemish.synthesis.dataset import Dataset, Synthetic
from blemish.synthesis.defect import Placed
from blemish.synthesis.detail import Details
from blemish.synthesis.fading import faded
from blemish.synthesis.order import Order
from blemish.synthesis.references import References
from blemish.synthesis.ways.approach import Approach, Job
from blemish.synthesis.ways.choice import WAYS, Way, usual_way
from blemish.types import Codes

STEM_LENGTH = 40


class Synthesizer:
    """A bundle at work: an item is a function of what is ordered and of its seed.

    Raises:
        BundleError: The bundle has no defect branch, or one that the approach can't use, or lacks
            a mapper that is asked for; or `inverted` holds codes of another bundle.
        OptionError: The approach contradicts itself.
        DataError: `inverted` can't be read.
    """

    @one_thread()
    def __init__(self, bundle: Bundle, approach: Approach, *, device: str = "cpu") -> None:
        self.bundle, self.approach = bundle, approach
        self.model: Model = load_model(bundle, device)
        self.generator: Generator = self.model.generator
        _refuse_branch(bundle, self.generator.config.defect, approach)
        self.method: Method = approach.invert or usual_method(self.model)
        self.kept: Kept | None = None
        if approach.inverted is not None:
            self.kept = load_inversion(approach.inverted, bundle)
        self.device = device
        real, third = approach.real, approach.first_third
        self.references = References(
            bundle, approach.reference, real, first_third=third, device=device
        )
        self.details: Details | None = None
        if approach.detail and real is not None:
            self.details = Details(real, first_third=third, side=self._side, tone=approach.tone)
        self.name_of_way = usual_way(bundle, approach)
        self.way: Way = WAYS[self.name_of_way](bundle, self.model, approach)
        self.curator = Curator.of(bundle, device)

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
        if self.details is not None:
            self.details.prepare(kind)

    @one_thread()
    def invert(self, order: Order, *, tell: Callable[[float], None] | None = None) -> Codes | None:
        """Step A: the codes of the part, which all items on it share; None where none are needed.

        Args:
            order: With the photograph.
            tell: Called at each step with the share of the search that is done.

        Raises:
            OptionError: The codes at hand were found for another photograph.
        """
        if not self.way.inverts:
            return None
        target = self._seen(order.picture)
        if self.kept is not None:
            return _codes_of(self.kept, target, order)
        rng = torch.Generator().manual_seed(0)
        watch = None if tell is None else lambda time, *_: tell(time)
        return self.method.find(self.model, target, rngs=[rng], watch=watch).codes.good()

    @one_thread()
    def make(
        self, order: Order, seed: int, *, twin: Codes | None = None, tell: Step | None = None
    ) -> Synthetic:
        """One item.

        Args:
            order: What is asked for.
            seed: Another seed is another defect.
            twin: What `invert` gave for this photograph, so that it is not inverted again.
            tell: Called behind each step of a search with its number.
        """
        if twin is None:
            twin = self.invert(order)
        photograph = self._seen(order.picture)
        mask = mask_to_tensor(fit_mask(order.requested, self._side))[None].to(self.device)
        job = Job(
            photograph=photograph,
            mask=mask,
            kind=self.types.index(order.kind),
            seed=seed,
            reference=self.references.choose(order.kind, photograph, mask, seed),
        )
        placed = self.way.place(job, twin, tell=tell)
        dice = np.random.default_rng(seed)
        strength = order.strength * faded(order.requested, self.approach.uneven, dice)
        carried, drawn = self._carry(order, seed, placed, mask, strength)
        return self._item(order, seed, placed, carried, drawn, strength)

    def name(self, order: Order, seed: int) -> str:
        """Of an item: the same order, options, bundle and seed give the same name."""
        asked = json.dumps([order.digest, self.options(), self.bundle.digest, seed])
        stem = order.normal.stem[:STEM_LENGTH].lstrip(".")  # a dot in front would hide the file
        return f"{stem}_{hashlib.sha256(asked.encode()).hexdigest()[:10]}"

    def options(self) -> dict[str, Any]:
        """The approach, as JSON holds it."""
        known = {f.name: getattr(self.approach, f.name) for f in fields(self.approach)}
        known["way"] = self.name_of_way
        known["invert"] = options_of(self.method) if self.way.inverts else None
        known["search"] = asdict(self.approach.search)
        known["inverted"] = None if self.kept is None else self.kept.digest
        return json.loads(json.dumps(known, default=str))

    @property
    def _side(self) -> int:
        return self.generator.config.resolution

    def _seen(self, picture: UInt8[np.ndarray, "h w 3"]) -> Tensor:
        """A photograph as the networks see it, a batch of one."""
        return to_tensor(fit(picture, self._side))[None].to(self.device)

    def _item(
        self,
        order: Order,
        seed: int,
        placed: Placed,
        carried: Carried,
        drawn: np.ndarray,
        strength: np.ndarray,
    ) -> Synthetic:
        reasons, scores = self._judge(order, carried, strength)
        terms = {name: round(values[0].item(), 5) for name, values in placed.terms.items()}
        mark = fingerprint(carried.picture, order.picture)
        return Synthetic(
            name=self.name(order, seed),
            kind=order.kind,
            picture=order.original.with_change(carried.picture, carried.changed),
            changed=carried.changed,
            twin=order.original,
            requested=order.requested,
            codes=placed.codes,
            reasons=reasons,
            facts={
                "seed": seed,
                "strength": order.strength,
                "normal": str(order.normal),
                "requested": str(order.mask),
                "photograph": hashlib.sha256(order.picture.tobytes()).hexdigest()[:16],
                "fingerprint": to_text(mark),
                "bundle": {"name": self.bundle.path.name, "digest": self.bundle.digest},
                "options": self.options(),
                "scores": _scores(order, carried, drawn) | scores | terms,
            },
        )

    def _judge(
        self, order: Order, carried: Carried, strength: np.ndarray
    ) -> tuple[tuple[str, ...], dict[str, float]]:
        """Why the item should not be used, and its scores; nothing of a bundle that has no idea."""
        if self.curator is None:
            return (), {}
        found = self.curator.judge(
            order.kind,
            carried.picture,
            order.picture,
            carried.changed,
            order.requested,
            strength=strength,
        )
        return found.reasons, found.scores

    def _carry(
        self, order: Order, seed: int, placed: Placed, mask: Tensor, strength: np.ndarray
    ) -> tuple[Carried, np.ndarray]:
        """Step D, and the generator's own mask at the photograph's size."""
        h, w = order.requested.shape
        change = (placed.defective - placed.twin)[0].permute(1, 2, 0).cpu().numpy() * 127.5
        own = placed.mask_logits[0, 0].sigmoid().cpu().numpy()
        own_cover = enlarged_cover(own, h, w)
        if self.approach.search.control == "condition":
            drawn, cover = mask[0, 0].cpu().numpy(), soft_cover(order.requested)
        else:
            drawn, cover = own, own_cover
        detail = None
        if self.details is not None:
            detail = self.details.under(order.picture, order.requested, order.kind, seed)
        carried = carry(
            order.picture,
            change,
            drawn,
            cover,
            order.requested,
            strength=strength,
            grey=order.original.grey,
            detail=detail,
        )
        return carried, own_cover > 0.5


def synthesize(
    synthesizer: Synthesizer,
    orders: Sequence[Order],
    dataset: Dataset,
    *,
    count: int,
    seed: int,
    tell: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Make items for seeds `seed … seed + count - 1` and add those that are not there yet.

    Args:
        synthesizer: Of a bundle.
        orders: What is asked for, all on one photograph; seeds take them in turn.
        dataset: Where items go.
        count: So many.
        seed: Of the first.
        tell: Told in words how it goes.

    Returns:
        The manifest's rows of these items, made now or before.

    Raises:
        OptionError: `count` is below one, or a seed out of range.
        OutputError: The folder can't be written into.
    """
    refuse_seeds(seed, count)
    known = {row["name"]: row for row in dataset.rows()}
    twin, rows = None, []
    for s in range(seed, seed + count):
        order = orders[s % len(orders)]
        name = synthesizer.name(order, s)
        if name not in known:
            if twin is None:
                twin = synthesizer.invert(order, tell=lambda done: tell(f"inverting, {done:.0%}"))
            made = synthesizer.make(order, s, twin=twin, tell=lambda k: tell(f"placing, step {k}"))
            known[name] = dataset.add(made)
            tell(f"made {name}")
        rows.append(known[name])
    dataset.contact_sheet()
    return rows


def _codes_of(kept: Kept, target: Tensor, order: Order) -> Codes:
    """The codes that were found before, if they are this photograph's."""
    if not torch.equal(kept.photograph.to(target.device), target):
        raise OptionError(
            got=f"{order.normal} with codes that were found for another photograph",
            expected="the photograph that was inverted",
            todo="Name that photograph, or invert this one.",
        )
    return kept.codes.to(target.device).good()


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


def _refuse_branch(bundle: Bundle, branch: DefectConfig | None, approach: Approach) -> None:
    if branch is None or not branch.types:
        raise BundleError(
            got=f"{bundle.path}, a bundle that knows no type of defect",
            expected="one that has learnt defects",
            todo=f"Run 'blemish train defects DATA --bundle {bundle.path}'.",
        )
    if approach.search.control == "condition" and not branch.takes_mask:
        raise BundleError(
            got=f"{bundle.path}, a bundle whose defect branch takes no mask",
            expected="one that does, or another way to meet the mask",
            todo="Use --mask-control codes or noise.",
        )
