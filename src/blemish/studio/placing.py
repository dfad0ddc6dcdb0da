"""From a draft to what the page shows, and to an item that is kept.

Both take the same steps as `blemish synthesize`, so an item has the same bytes; what is shown only
leaves out what the page does not need, such as fingerprints.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from blemish.checkpoint import Bundle, embedded_bundles
from blemish.data.names import normal
from blemish.errors import DataError
from blemish.names import MaskKind
from blemish.studio.drafts import Draft, Method
from blemish.studio.photographs import Opened
from blemish.studio.views import changed_crop
from blemish.synthesis.dataset import SyntheticItem
from blemish.synthesis.masks.learned import NETWORK as MASKS
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.request import Request, drawn_on, request_under, together
from blemish.synthesis.several import JudgedDefect
from blemish.synthesis.synthesize import Synthesizer
from blemish.windows.paint import NETWORK as WINDOWS

SHOWN_SCORES = ("iou_requested", "drift", "verdict", "distance", "likeness", "contrast", "on_part")
UNSAVED = Path("painted mask")


@dataclass(frozen=True, kw_only=True)
class MaskWish:
    """Mask to draw.

    Attributes:
        bundle: Name of the bundle.
        kind: Kind of mask.
        type: Type of the defect.
        seed: Random seed.
        area: Area as a fraction of the part; None for the usual one.
    """

    bundle: str
    kind: MaskKind
    type: str
    seed: int = 0
    area: float | None = None


class DraftPlacer:
    """Opened bundles at work.

    Args:
        bundles: Bundles by name.
        real: Folder of real defects, for the method paste and real masks; None if there is none.
        device: Device to compute on.
    """

    def __init__(self, bundles: dict[str, Bundle], real: Path | None, device: str) -> None:
        self.bundles, self.real, self.device = bundles, real, device
        self.synthesizer = lru_cache(4)(self._opened)

    def bundle(self, name: str) -> Bundle:
        """A bundle by its name.

        Raises:
            DataError: There is none of that name.
        """
        if name not in self.bundles:
            raise DataError(
                got=f"the bundle '{name[:80]}'",
                expected=f"one of {', '.join(self.bundles)}",
                todo="Choose one of them, or reload the page.",
            )
        return self.bundles[name]

    def about(self, name: str) -> dict[str, Any]:
        """What a bundle can draw.

        Raises:
            DataError: There is no such bundle.
        """
        bundle = self.bundle(name)
        methods = {"window": self._types(name, "window") if bundle.has(WINDOWS) else ()}
        methods["paste"] = () if self.real is None else self._types(name, "paste")
        kinds = ["scratch", "blob", "spots"]
        kinds += ["learned"] if bundle.has(MASKS) else []
        kinds += ["real"] if self.real is not None else []
        return {"name": name, "methods": {k: v for k, v in methods.items() if v}, "masks": kinds}

    def request(self, opened: Opened, draft: Draft, masks: Sequence[Path] = ()) -> Request:
        """The request of a draft.

        Args:
            opened: Photograph.
            draft: What is painted on it.
            masks: Files of the masks; without them the masks are unnamed.

        Raises:
            DataError: A mask is empty, or most of it is off the part; or there is no mask.
            OptionError: The bundle does not know a type.
        """
        if not draft.defects:
            raise DataError(
                got="no mask", expected="a mask for the defect", todo="Paint one on the photograph."
            )
        types = self.synthesizer(draft.bundle, draft.method).types
        files = masks or [UNSAVED] * len(draft.defects)
        requests = [
            request_under(
                opened.part,
                file,
                one.mask.mask(*opened.size),
                one.type,
                types,
                strength=draft.strength,
            )
            for one, file in zip(draft.defects, files, strict=True)
        ]
        return together(requests)

    def show(self, opened: Opened, draft: Draft) -> dict[str, Any]:
        """What the page shows of an item: the changed crop, the label's outline and the scores.

        Raises:
            UserError: As in `request`.
        """
        start = time.perf_counter()
        worker = self.synthesizer(draft.bundle, draft.method)
        request = self.request(opened, draft)
        for one in request.defects:
            worker.prepare(one.kind)
        found = _shown(opened, worker.place(request, draft.seed))
        foreign = bool(worker.networks.is_foreign(opened.original.picture, opened.digest))
        took = round(time.perf_counter() - start, 3)
        return {**found, "seed": draft.seed, "out_of_domain": foreign, "seconds": took}

    def make(self, opened: Opened, draft: Draft, masks: Sequence[Path]) -> SyntheticItem:
        """The whole item; `masks` as in `request`."""
        worker = self.synthesizer(draft.bundle, draft.method)
        request = self.request(opened, draft, masks)
        for one in request.defects:
            worker.prepare(one.kind)
        return worker.make(request, draft.seed)

    def draw(self, opened: Opened, wish: MaskWish) -> Bool[np.ndarray, "h w"]:
        """A mask drawn on a photograph's part.

        Raises:
            UserError: The part has no room for it, or the mask generator does not know the type.
        """
        worker = self.synthesizer(wish.bundle, "window")
        real = self.real if wish.kind == "real" else None
        options = SynthesisOptions(mask_kind=wish.kind, real=real, area=wish.area)
        learned = worker.networks.masks_for(wish.kind)
        return drawn_on(opened.part, options, wish.type, wish.seed, learned)

    def warm_up(self, opened: Opened, name: str, method: Method) -> None:
        """Compute what a photograph and a bundle need before the first defect."""
        worker = self.synthesizer(name, method)
        _ = opened.part.mask
        worker.networks.is_foreign(opened.original.picture, opened.digest)

    def _types(self, name: str, method: Method) -> tuple[str, ...]:
        return self.synthesizer(name, method).types

    def _opened(self, name: str, method: Method) -> Synthesizer:
        bundle = self.bundle(name)
        if method == "paste":
            options = SynthesisOptions(method="paste", real=self.real)
            return Synthesizer(None, options, device=self.device)
        return Synthesizer(bundle, SynthesisOptions(method="window"), device=self.device)


def command_of(row: dict[str, Any], folder: Path, bundles: dict[str, Bundle]) -> list[str]:
    """The command that makes an item again.

    Args:
        row: Its row in a manifest.
        folder: Folder of the manifest.
        bundles: Known bundles.
    """
    options, defects = row["options"], row.get("defects", [row])
    words = ["blemish", "synthesize", "--normal", _located(row["normal"], folder)]
    for one in defects:
        words += ["--defect", one["type"], "--mask", _located(one["requested"], folder)]
    words += ["--seed", str(row["seed"]), "--strength", f"{row['strength']:g}"]
    if normal(options.get("way", "")) == "paste":
        return [*words, "--method", "paste", "--real", str(options["real"])]
    return [
        *words,
        "--method",
        "window",
        "--bundle",
        bundle_name(row["bundle"]["name"], bundles.values()),
    ]


def bundle_name(recorded: str, bundles: Iterable[Bundle]) -> str:
    """A bundle as commands and recipes take it: a shipped one's name, or a folder.

    Args:
        recorded: Name of its folder, as manifests have it.
        bundles: Known bundles.
    """
    found = [one.path for one in bundles if one.path.name == recorded]
    shipped = recorded in embedded_bundles() or not found
    return recorded if shipped else str(found[0].absolute())


def _located(name: str, folder: Path) -> str:
    return str(folder / name)


def _shown(opened: Opened, defects: Sequence[JudgedDefect]) -> dict[str, Any]:
    where = np.any([one.placed.carried.changed for one in defects], axis=0)
    reasons = list(dict.fromkeys(reason for one in defects for reason in one.reasons))
    return {
        **changed_crop(opened.original.picture, defects[-1].placed.carried.picture, where),
        "reasons": reasons if where.any() else ["nothing changed"],
        "defects": [{"type": one.request.kind, "scores": _scores(one)} for one in defects],
    }


def _scores(defect: JudgedDefect) -> dict[str, float]:
    known = defect.measured | defect.judged
    return {name: known[name] for name in SHOWN_SCORES if name in known}
