"""From an order to items in a dataset: the four steps, an item by itself."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from blemish.checkpoint import Bundle
from blemish.generator.network import Generator
from blemish.generator.restore import load_generator
from blemish.inversion.search import Step
from blemish.names import PLACEMENT_METHODS, PlacementMethod
from blemish.seeds import refuse_seeds
from blemish.synthesis.carry import Carried, reach_px, within_reach
from blemish.synthesis.curation.curate import Curator
from blemish.synthesis.curation.duplicates import fingerprint, to_text
from blemish.synthesis.curation.sightings import shrunk_size
from blemish.synthesis.dataset import Dataset, Synthetic
from blemish.synthesis.fading import faded
from blemish.synthesis.naming import plain_stem
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.order import Order
from blemish.synthesis.records import record_of
from blemish.synthesis.ways.choice import WAYS, usual_way
from blemish.synthesis.ways.drawn import Drawn
from blemish.synthesis.ways.job import Made, Way
from blemish.types import Codes


class Synthesizer:
    """A placement method at work: an item is a function of what is ordered and of its seed.

    Args:
        bundle: The bundle that makes the items; None for a method that needs none.
        options: How defects are placed.
        device: The device to work on.

    Attributes:
        method: Name of the placement method.

    Raises:
        BundleError: The bundle lacks what the method or an option needs.
        OptionError: The options contradict each other.
        DataError: A folder that the options name can't be read.
    """

    def __init__(
        self, bundle: Bundle | None, options: SynthesisOptions, *, device: str = "cpu"
    ) -> None:
        self.bundle, self.options = bundle, options
        self.method: PlacementMethod = usual_way(bundle, options)
        self.way: Way = WAYS[self.method](bundle, options, device)
        self.device = device
        self.curator: Curator | None = None
        if bundle is not None and PLACEMENT_METHODS[self.method].needs_bundle:
            self.curator = Curator.of(bundle, device)

    @property
    def types(self) -> tuple[str, ...]:
        """The types of defects that can be placed."""
        return self.way.types

    @cached_property
    def generator(self) -> Generator:
        """The bundle's generator, which may draw parts as well."""
        if isinstance(self.way, Drawn):
            return self.way.generator
        assert self.bundle is not None, "parts are drawn by a bundle"
        return load_generator(self.bundle, self.device)

    def prepare(self, kind: str) -> None:
        """Read what a type of defect needs, before any time is spent; see `job.Way.prepare`."""
        self.way.prepare(kind)

    def invert(self, order: Order, *, tell: Callable[[float], None] | None = None) -> Codes | None:
        """Step A: the codes of the part, which all items on it share; see `job.Way.invert`."""
        return self.way.invert(order, tell=tell)

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
        rng = np.random.default_rng(seed)
        strength = order.strength * faded(order.requested, self.options.uneven, rng)
        made = self.way.place(order, seed, strength, twin, tell=tell)
        return self._item(order, seed, made, strength)

    def name(self, order: Order, seed: int) -> str:
        """Of an item: the same order, options, bundle and seed give the same name."""
        digest = None if self.bundle is None else self.bundle.digest
        asked = json.dumps([order.digest, self.record(), digest, seed])
        return f"{plain_stem(order.normal)}_{hashlib.sha256(asked.encode()).hexdigest()[:10]}"

    def record(self) -> dict[str, Any]:
        """The options that items depend on, as JSON holds them."""
        known = record_of(self.options) | {"way": self.method} | self.way.record()
        return json.loads(json.dumps(known, default=str))

    def _item(
        self, order: Order, seed: int, made: Made, strength: Float[np.ndarray, "h w"]
    ) -> Synthetic:
        carried = made.carried
        reasons, scores = self._judge(order, carried, strength)
        mark = fingerprint(carried.picture, order.picture)
        return Synthetic(
            name=self.name(order, seed),
            kind=order.kind,
            picture=order.original.with_change(carried.picture, carried.changed),
            changed=carried.changed,
            twin=order.original,
            requested=order.requested,
            codes=made.codes,
            reasons=reasons,
            facts={
                "seed": seed,
                "strength": order.strength,
                "normal": str(order.normal),
                "requested": str(order.mask),
                "photograph": hashlib.sha256(order.picture.tobytes()).hexdigest()[:16],
                "fingerprint": to_text(mark),
                "bundle": _origin(self.bundle),
                "options": self.record(),
                "scores": _scores(order, carried, made.drawn) | scores | made.terms,
            },
        )

    def _judge(
        self, order: Order, carried: Carried, strength: Float[np.ndarray, "h w"]
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
            part=order.part.at(shrunk_size(order.picture)),
        )
        return found.reasons, found.scores


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
            known[name] = dataset.add(_named_from(dataset.root, made))
            tell(f"made {name}")
        rows.append(known[name])
    dataset.contact_sheet()
    return rows


def _named_from(root: Path, item: Synthetic) -> Synthetic:
    """The item, its files in the data set's folder named from there, wherever that lies."""
    here, facts = root.absolute(), dict(item.facts)
    for key in ("normal", "requested"):
        path = Path(facts[key]).absolute()
        if path.is_relative_to(here):
            facts[key] = path.relative_to(here).as_posix()
    return replace(item, facts=facts)


def _origin(bundle: Bundle | None) -> dict[str, str] | None:
    return None if bundle is None else {"name": bundle.path.name, "digest": bundle.digest}


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
