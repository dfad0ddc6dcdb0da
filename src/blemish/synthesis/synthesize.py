"""From a request to items in a dataset: the four steps, for one item at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from blemish.checkpoint import Bundle
from blemish.devices import one_thread
from blemish.inversion.search import Step
from blemish.names import PLACEMENT_METHODS, PlacementName
from blemish.seeds import refuse_seeds, seed_of
from blemish.synthesis.assemble import ItemAssembler
from blemish.synthesis.composite import Carried
from blemish.synthesis.curation.curate import Curator
from blemish.synthesis.curation.defect_features import shrunk_size
from blemish.synthesis.dataset import Dataset, SyntheticItem
from blemish.synthesis.measures import measures_of
from blemish.synthesis.networks import Networks
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.placement.methods import PLACEMENT, usual_method
from blemish.synthesis.placement.task import PlacementMethod
from blemish.synthesis.request import Request
from blemish.synthesis.several import JudgedDefect
from blemish.synthesis.strength import faded
from blemish.types import Codes


class Synthesizer:
    """Opened placement method that makes items; an item depends only on the request and its seed.

    Args:
        bundle: Bundle that makes the items; None for a method that needs none.
        options: Options of the placement.
        device: Device to compute on.

    Attributes:
        method: Name of the placement method.
        networks: Networks of the bundle that draw parts and masks.
        items: Names, marks and records of the items.

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
        self.method: PlacementName = usual_method(bundle, options)
        self.placement: PlacementMethod = PLACEMENT[self.method](bundle, options, device)
        self.device = device
        self.curator: Curator | None = None
        if bundle is not None and PLACEMENT_METHODS[self.method].needs_bundle:
            self.curator = Curator.of(bundle, device)
        self.networks = Networks(bundle, self.placement, device)
        self.items = ItemAssembler(bundle, options, self.method, self.placement, self.networks)

    @property
    def types(self) -> tuple[str, ...]:
        """Types of defects that can be placed."""
        return self.placement.types

    def prepare(self, kind: str) -> None:
        """Read the data of a type before the work starts; see `PlacementMethod.prepare`."""
        self.placement.prepare(kind)

    @one_thread()
    def invert(
        self, request: Request, *, on_progress: Callable[[float], None] | None = None
    ) -> Codes | None:
        """Step A: codes of the part, shared by all items on it; see `PlacementMethod.invert`."""
        return self.placement.invert(request, on_progress=on_progress)

    @one_thread()
    def make(
        self,
        request: Request,
        seed: int,
        *,
        twin: Codes | None = None,
        on_progress: Step | None = None,
    ) -> SyntheticItem:
        """Make one item, with all defects of the request.

        Args:
            request: Request.
            seed: Random seed; another seed gives another defect.
            twin: Result of `invert` for this photograph, to avoid inverting it again.
            on_progress: Callback after each step of a search, called with its number.
        """
        return self.items.item(
            request, seed, self.place(request, seed, twin=twin, on_progress=on_progress)
        )

    @one_thread()
    def place(
        self,
        request: Request,
        seed: int,
        *,
        twin: Codes | None = None,
        on_progress: Step | None = None,
    ) -> list[JudgedDefect]:
        """The defects of an item, each on the photograph with the earlier ones.

        This is all that is needed to show an item. Arguments as in `make`.
        """
        if twin is None:
            twin = self.invert(request)
        defects: list[JudgedDefect] = []
        for number, one in enumerate(request.defects):
            under = defects[-1].photograph if defects else request.original
            alone = replace(one, original=under)
            defects.append(self._place_one(alone, seed_of(seed, number), twin, on_progress))
        return defects

    def _place_one(
        self, request: Request, seed: int, twin: Codes | None, on_progress: Step | None
    ) -> JudgedDefect:
        """One defect on a photograph, and what curation finds."""
        rng = np.random.default_rng(seed)
        strength = request.strength * faded(request.requested, self.options.uneven, rng)
        placed = self.placement.place(request, seed, strength, twin, on_progress=on_progress)
        reasons, judged = self._judge(request, placed.carried, strength)
        known = measures_of(request, placed) | placed.terms
        return JudgedDefect(
            request=request,
            seed=seed,
            placed=placed,
            reasons=reasons,
            measured=known,
            judged=judged,
        )

    def _judge(
        self, request: Request, carried: Carried, strength: Float[np.ndarray, "h w"]
    ) -> tuple[tuple[str, ...], dict[str, float]]:
        """Reasons against the item, and its scores; empty if the bundle has no curation bounds."""
        if self.curator is None:
            return (), {}
        found = self.curator.judge(
            request.kind,
            carried.picture,
            request.picture,
            carried.changed,
            request.requested,
            strength=strength,
            part=request.part.at(shrunk_size(request.picture)),
        )
        return found.reasons, found.scores


def in_turn(requests: Sequence[Request]) -> Callable[[int], Request]:
    """Requests that consecutive seeds use in turn."""
    return lambda seed: requests[seed % len(requests)]


def synthesize(
    synthesizer: Synthesizer,
    request_of: Callable[[int], Request],
    dataset: Dataset,
    *,
    count: int,
    seed: int,
    on_progress: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Make items for seeds `seed … seed + count - 1` and add those that are missing.

    Args:
        synthesizer: Synthesizer of a bundle.
        request_of: Request of each seed, such as `in_turn` gives; all on one photograph.
        dataset: Data set for the items.
        count: Number of items.
        seed: Random seed of the first item.
        on_progress: Callback for progress messages.

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
        request = request_of(s)
        name = synthesizer.items.name(request, s)
        if name not in known:
            if twin is None:
                twin = synthesizer.invert(
                    request, on_progress=lambda done: on_progress(f"inverting, {done:.0%}")
                )
            item = synthesizer.make(
                request, s, twin=twin, on_progress=lambda k: on_progress(f"placing, step {k}")
            )
            known[name] = add_item(dataset, item)
            on_progress(f"made {name}")
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
