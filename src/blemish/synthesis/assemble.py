"""From placed defects to an item: its name, record, marks and scores."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import UInt8

from blemish.checkpoint import Bundle
from blemish.marks import mark
from blemish.names import PLACEMENT_METHODS, PlacementName
from blemish.notes import note
from blemish.originals import Original
from blemish.synthesis.curation.duplicates import fingerprint, to_text
from blemish.synthesis.dataset import SyntheticItem
from blemish.synthesis.measures import measures_of
from blemish.synthesis.naming import plain_stem
from blemish.synthesis.networks import Networks
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.placement.task import PlacementMethod
from blemish.synthesis.records import record_of
from blemish.synthesis.request import Request
from blemish.synthesis.several import JudgedDefect, as_one, classes_of


class ItemAssembler:
    """Items of one placement method with fixed options.

    Args:
        bundle: Bundle that made the defects, if any.
        options: Options of the placement.
        method: Name of the placement method.
        placement: The method.
        networks: Networks of the bundle.
    """

    def __init__(
        self,
        bundle: Bundle | None,
        options: SynthesisOptions,
        method: PlacementName,
        placement: PlacementMethod,
        networks: Networks,
    ) -> None:
        self.bundle, self.options = bundle, options
        self.method: PlacementName = method
        self.placement, self.networks = placement, networks

    def name(self, request: Request, seed: int) -> str:
        """Name of an item: the same request, options, bundle and seed give the same name."""
        digest = None if self.bundle is None else self.bundle.digest
        asked = json.dumps([request.digest, self.record(), digest, seed])
        return f"{plain_stem(request.normal)}_{hashlib.sha256(asked.encode()).hexdigest()[:10]}"

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

    def record(self) -> dict[str, Any]:
        """Options that items depend on, as JSON values."""
        known = record_of(self.options) | {"way": self.method} | self.placement.record()
        return json.loads(json.dumps(known, default=str))

    def item(self, request: Request, seed: int, defects: list[JudgedDefect]) -> SyntheticItem:
        """The item of a request.

        Args:
            request: Request.
            seed: Random seed that the defects were placed with.
            defects: Its defects, at least one.
        """
        placed, united = as_one(request.original, defects), request.united
        known, judged = measures_of(united, placed), {}
        if len(defects) == 1:
            known, judged = defects[0].measured, defects[0].judged
        several = len({one.request.kind for one in defects}) > 1
        photograph = photograph_digest(request.picture)
        return SyntheticItem(
            name=self.name(request, seed),
            kind=request.item_kind,
            picture=replace(defects[-1].photograph, mark=self.mark(generated=request.generated)),
            changed=placed.carried.changed,
            twin=self._twin(request),
            requested=united.requested,
            codes=placed.codes,
            classes=classes_of(defects, self.placement.types) if several else None,
            reasons=tuple(dict.fromkeys(reason for one in defects for reason in one.reasons)),
            facts={
                "seed": seed,
                "strength": request.strength,
                "normal": str(request.normal),
                "requested": str(request.mask),
                "photograph": photograph,
                "fingerprint": to_text(fingerprint(placed.carried.picture, request.picture)),
                "bundle": _origin(self.bundle),
                "options": self.record(),
                "scores": known | self._domain(request, photograph) | judged,
                **({"defects": [one.facts() for one in defects]} if len(defects) > 1 else {}),
                **({"classes": _numbered(self.placement.types)} if several else {}),
            },
        )

    def _twin(self, request: Request) -> Original:
        """The photograph, marked if the bundle drew it."""
        if not request.generated:
            return request.original
        return replace(request.original, mark=self.mark(generated=True))

    def _domain(self, request: Request, photograph: str) -> dict[str, bool]:
        """Whether the photograph shows something else than the part; empty where nobody knows.

        Args:
            request: Request.
            photograph: Digest of its photograph, which is judged once.
        """
        foreign = (
            None if request.generated else self.networks.is_foreign(request.picture, photograph)
        )
        if foreign is None:
            return {}
        if foreign:
            note(
                f"{request.normal} is out of domain: it shows something else than the part that "
                "the bundle has learnt. Its items say so in the manifest (scores, out_of_domain)."
            )
        return {"out_of_domain": foreign}


def photograph_digest(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    """Name of a photograph by its pixels."""
    return hashlib.sha256(picture.tobytes()).hexdigest()[:16]


def _numbered(types: tuple[str, ...]) -> dict[str, str]:
    """Type of each number in a class map."""
    return {str(number): kind for number, kind in enumerate(types, 1)}


def _origin(bundle: Bundle | None) -> dict[str, str] | None:
    return None if bundle is None else {"name": bundle.path.name, "digest": bundle.digest}
