"""From a request to items in a dataset: the four steps, for one item at a time."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from blemish.checkpoint import Bundle
from blemish.devices import one_thread
from blemish.inversion.search import Step
from blemish.marks import mark
from blemish.models.generator import Generator
from blemish.models.load import load_generator
from blemish.names import PLACEMENT_METHODS, PlacementName
from blemish.notes import note
from blemish.originals import Original
from blemish.recognition import Recognizer
from blemish.seeds import refuse_seeds, seed_of
from blemish.synthesis.composite import Carried, reach_px, within
from blemish.synthesis.curation.curate import Curator
from blemish.synthesis.curation.duplicates import fingerprint, to_text
from blemish.synthesis.curation.sightings import shrunk_size
from blemish.synthesis.dataset import Dataset, SyntheticItem
from blemish.synthesis.masks.learned import MaskModel, load_masks
from blemish.synthesis.naming import plain_stem
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.placement.drawn import SearchPlacement
from blemish.synthesis.placement.methods import PLACEMENT, usual_way
from blemish.synthesis.placement.task import PlacedDefect, PlacementMethod
from blemish.synthesis.placement.window import WindowPlacement
from blemish.synthesis.records import record_of
from blemish.synthesis.request import Request
from blemish.synthesis.several import Laid, as_one, classes_of
from blemish.synthesis.strength import faded
from blemish.types import Codes
from blemish.windows.paint import NETWORK, WindowModel, load_windows


class Synthesizer:
    """Opened placement method that makes items; an item depends only on the request and its seed.

    Args:
        bundle: Bundle that makes the items; None for a method that needs none.
        options: Options of the placement.
        device: Device to compute on.

    Attributes:
        method: Name of the placement method.

    Raises:
        BundleError: The bundle lacks what the method or an option needs.
        OptionError: The options contradict each other.
        DataError: A folder of the options can't be read.
    """

    @one_thread()
    def __init__(
        self, bundle: Bundle | None, options: SynthesisOptions, *, device: str = "cpu"
    ) -> None:
        self.bundle, self.options = bundle, options
        self.method: PlacementName = usual_way(bundle, options)
        self.way: PlacementMethod = PLACEMENT[self.method](bundle, options, device)
        self.device = device
        self.curator: Curator | None = None
        if bundle is not None and PLACEMENT_METHODS[self.method].needs_bundle:
            self.curator = Curator.of(bundle, device)
        self.foreign: dict[str, bool] = {}

    @property
    def types(self) -> tuple[str, ...]:
        """Types of defects that can be placed."""
        return self.way.types

    @cached_property
    def generator(self) -> Generator:
        """Generator of the bundle, which may draw parts as well."""
        if isinstance(self.way, SearchPlacement):
            return self.way.generator
        assert self.bundle is not None, "parts are drawn by a bundle"
        return load_generator(self.bundle, self.device)

    @cached_property
    def windows(self) -> WindowModel | None:
        """The bundle's window generator, if it has one."""
        if isinstance(self.way, WindowPlacement):
            return self.way.model
        if self.bundle is None or not self.bundle.has(NETWORK):
            return None
        return load_windows(self.bundle, self.device)

    @cached_property
    def masks(self) -> MaskModel:
        """The bundle's mask generator.

        Raises:
            BundleError: The bundle has none.
        """
        assert self.bundle is not None, "learned masks are drawn by a bundle"
        return load_masks(self.bundle)

    @cached_property
    def recognizer(self) -> Recognizer | None:
        """Recognizer of the bundle's object, if the bundle has its statistics."""
        return None if self.bundle is None else Recognizer.of(self.bundle)

    def prepare(self, kind: str) -> None:
        """Read the data of a type before the work starts; see `PlacementMethod.prepare`."""
        self.way.prepare(kind)

    @one_thread()
    def invert(
        self, order: Request, *, tell: Callable[[float], None] | None = None
    ) -> Codes | None:
        """Step A: codes of the part, shared by all items on it; see `PlacementMethod.invert`."""
        return self.way.invert(order, tell=tell)

    @one_thread()
    def make(
        self, order: Request, seed: int, *, twin: Codes | None = None, tell: Step | None = None
    ) -> SyntheticItem:
        """Make one item, with all defects of the request.

        Args:
            order: Request.
            seed: Random seed; another seed gives another defect.
            twin: Result of `invert` for this photograph, to avoid inverting it again.
            tell: Callback after each step of a search, called with its number.
        """
        return self._item(order, seed, self.lay(order, seed, twin=twin, tell=tell))

    @one_thread()
    def lay(
        self, order: Request, seed: int, *, twin: Codes | None = None, tell: Step | None = None
    ) -> list[Laid]:
        """The defects of an item, each on the photograph with the earlier ones.

        This is all that is needed to show an item. Arguments as in `make`.
        """
        if twin is None:
            twin = self.invert(order)
        laid: list[Laid] = []
        for number, one in enumerate(order.defects):
            under = laid[-1].photograph if laid else order.original
            request = replace(one, original=under)
            laid.append(self._laid(request, seed_of(seed, number), twin, tell))
        return laid

    def name(self, order: Request, seed: int) -> str:
        """Name of an item: the same request, options, bundle and seed give the same name."""
        digest = None if self.bundle is None else self.bundle.digest
        asked = json.dumps([order.digest, self.record(), digest, seed])
        return f"{plain_stem(order.normal)}_{hashlib.sha256(asked.encode()).hexdigest()[:10]}"

    def mark(self, *, generated: bool) -> str:
        """XMP packet of its pictures; empty if none is wanted.

        Args:
            generated: Whether the bundle drew the part as well.
        """
        if self.options.no_mark:
            return ""
        digest = None if self.bundle is None else self.bundle.digest
        if generated:
            return mark("trainedAlgorithmicMedia", digest)
        if PLACEMENT_METHODS[self.method].needs_bundle:
            return mark("compositeWithTrainedAlgorithmicMedia", digest)
        return mark("compositeCapture", None)

    def is_foreign(self, picture: UInt8[np.ndarray, "h w 3"], photograph: str) -> bool | None:
        """Whether a photograph shows something else than the part; None where nobody knows.

        Args:
            picture: The photograph.
            photograph: Its digest; the same one is judged once.
        """
        if self.recognizer is None:
            return None
        if photograph not in self.foreign:
            self.foreign[photograph] = self.recognizer.is_foreign(picture)
        return self.foreign[photograph]

    def record(self) -> dict[str, Any]:
        """Options that items depend on, as JSON values."""
        known = record_of(self.options) | {"way": self.method} | self.way.record()
        return json.loads(json.dumps(known, default=str))

    def _laid(self, order: Request, seed: int, twin: Codes | None, tell: Step | None) -> Laid:
        """One defect on a photograph, and what curation finds."""
        rng = np.random.default_rng(seed)
        strength = order.strength * faded(order.requested, self.options.uneven, rng)
        made = self.way.place(order, seed, strength, twin, tell=tell)
        reasons, judged = self._judge(order, made.carried, strength)
        known = _scores(order, made) | made.terms
        return Laid(
            order=order, seed=seed, made=made, reasons=reasons, measured=known, judged=judged
        )

    def _item(self, order: Request, seed: int, laid: list[Laid]) -> SyntheticItem:
        made, united = as_one(order.original, laid), order.united
        known, judged = _scores(united, made), {}
        if len(laid) == 1:
            known, judged = laid[0].measured, laid[0].judged
        several = len({one.order.kind for one in laid}) > 1
        photograph = photograph_digest(order.picture)
        return SyntheticItem(
            name=self.name(order, seed),
            kind=order.item_kind,
            picture=replace(laid[-1].photograph, mark=self.mark(generated=order.generated)),
            changed=made.carried.changed,
            twin=self._twin(order),
            requested=united.requested,
            codes=made.codes,
            classes=classes_of(laid, self.types) if several else None,
            reasons=tuple(dict.fromkeys(reason for one in laid for reason in one.reasons)),
            facts={
                "seed": seed,
                "strength": order.strength,
                "normal": str(order.normal),
                "requested": str(order.mask),
                "photograph": photograph,
                "fingerprint": to_text(fingerprint(made.carried.picture, order.picture)),
                "bundle": _origin(self.bundle),
                "options": self.record(),
                "scores": known | self._domain(order, photograph) | judged,
                **({"defects": [one.facts() for one in laid]} if len(laid) > 1 else {}),
                **({"classes": _numbered(self.types)} if several else {}),
            },
        )

    def _twin(self, order: Request) -> Original:
        """The photograph, marked if the bundle drew it."""
        if not order.generated:
            return order.original
        return replace(order.original, mark=self.mark(generated=True))

    def _domain(self, order: Request, photograph: str) -> dict[str, bool]:
        """Whether the photograph shows something else than the part; empty where nobody knows.

        Args:
            order: Request.
            photograph: Digest of its photograph, which is judged once.
        """
        foreign = None if order.generated else self.is_foreign(order.picture, photograph)
        if foreign is None:
            return {}
        if foreign:
            note(
                f"{order.normal} is out of domain: it shows something else than the part that the "
                "bundle has learnt. Its items say so in the manifest (scores, out_of_domain)."
            )
        return {"out_of_domain": foreign}

    def _judge(
        self, order: Request, carried: Carried, strength: Float[np.ndarray, "h w"]
    ) -> tuple[tuple[str, ...], dict[str, float]]:
        """Reasons against the item, and its scores; empty if the bundle has no curation bounds."""
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
    orders: Sequence[Request],
    dataset: Dataset,
    *,
    count: int,
    seed: int,
    tell: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Make items for seeds `seed … seed + count - 1` and add those that are missing.

    Args:
        synthesizer: Synthesizer of a bundle.
        orders: Requests, all on one photograph; seeds use them in turn.
        dataset: Data set for the items.
        count: Number of items.
        seed: Random seed of the first item.
        tell: Callback for progress messages.

    Returns:
        The manifest's rows of these items, made now or before.

    Raises:
        OptionError: `count` is below one, or a seed out of range.
        OutputError: The folder can't be written to.
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
            known[name] = add_item(dataset, made)
            tell(f"made {name}")
        rows.append(known[name])
    dataset.contact_sheet()
    return rows


def add_item(dataset: Dataset, item: SyntheticItem) -> dict[str, Any]:
    """Write an item; its row names files in the data set's folder relative to it."""
    return dataset.add(_named_from(dataset.root, item))


def _named_from(root: Path, item: SyntheticItem) -> SyntheticItem:
    """Row of the item, with files relative to the data set's folder."""
    facts = _relative(root, item.facts)
    if "defects" in facts:
        facts["defects"] = [_relative(root, one) for one in facts["defects"]]
    return replace(item, facts=facts)


def _relative(root: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    here, found = root.absolute(), dict(facts)
    for key in {"normal", "requested"} & {*facts}:
        path = Path(facts[key]).absolute()
        if path.is_relative_to(here):
            found[key] = path.relative_to(here).as_posix()
    return found


def photograph_digest(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    """Name of a photograph by its pixels."""
    return hashlib.sha256(picture.tobytes()).hexdigest()[:16]


def _numbered(types: tuple[str, ...]) -> dict[str, str]:
    """Type of each number in a class map."""
    return {str(number): kind for number, kind in enumerate(types, 1)}


def _origin(bundle: Bundle | None) -> dict[str, str] | None:
    return None if bundle is None else {"name": bundle.path.name, "digest": bundle.digest}


def _scores(order: Request, made: PlacedDefect) -> dict[str, float | int]:
    """What is measured of an item beside what curation measures."""
    carried, drawn = made.carried, made.drawn
    return {
        "iou_requested": round(_iou(carried.changed, order.requested), 4),
        "iou_generator_mask": round(_iou(carried.changed, drawn), 4),
        "iou_generator_requested": round(_iou(drawn, order.requested), 4),
        "area": round(float(carried.changed.mean()), 6),
        "reach_px": reach_px(*order.requested.shape),
        "pixels_changed_beyond_reach": _changed_beyond_reach(order, carried),
    }


def _changed_beyond_reach(order: Request, carried: Carried) -> int:
    """Pixels that differ from the photograph further from the requested mask than the reach."""
    unequal = carried.picture != order.picture
    differs = unequal[..., 0] | unequal[..., 1] | unequal[..., 2]  # `any` takes four times as long
    # Distances to the mask are needed only in the box that holds the mask and what differs.
    x, y, w, h = cv2.boundingRect((differs | order.requested).astype(np.uint8))
    box = slice(y, y + h), slice(x, x + w)
    reached = within(order.requested[box], reach_px(*order.requested.shape))
    return int((differs[box] & ~reached).sum())


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 1.0
