"""Inversion of photographs, with an outcome for each: in a batch, failure is a value."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log10
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from blemish.checkpoint import Bundle, save_codes
from blemish.devices import one_thread
from blemish.errors import DataError
from blemish.files import ensure_writable, write_atomically
from blemish.inversion.descent import Found, Watch
from blemish.inversion.domain import DomainPercentiles, cycle_distance, read_again
from blemish.inversion.losses import squared_error
from blemish.inversion.methods import InversionMethod, method_name
from blemish.inversion.model import Model
from blemish.pictures import (
    fit_square,
    grid,
    note_oblong,
    read_picture,
    refuse_small,
    to_mask,
    to_picture,
    to_tensor,
    write_picture,
)
from blemish.types import Codes

Outcome = Literal["ok", "out of domain", "did not converge", "unreadable"]
Picture = UInt8[np.ndarray, "_h _w 3"]
BATCH = 8
MOST_EXTREME = 99.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Inversion:
    """Result for one photograph.

    Attributes:
        outcome: Outcome; all but "ok" have a reason.
        reason: Reason in words; empty if the outcome is "ok".
        method: Name of the inversion method.
        codes: Codes of a single item, without a defect unless one was searched for.
        mask: Mask of the defect, zeros and ones, to give to the generator; None without a defect.
        target: Photograph at the generator's resolution, in [-1, 1].
        image: Image that the codes generate.
        terms: Loss terms at the end of the search, unweighted.
        steps: Number of steps of the search.
        domain_scores: Position of the codes among fresh ones, distances and percentiles by name;
            empty if the bundle has no statistics of its codes.
        strangeness: Distance of the photograph from those of the bundle's object, above 1 if it
            shows something else; None if nobody knows.
        detail: Image with the detail that the codes lose; None if it was not asked for.
    """

    outcome: Outcome
    reason: str
    method: str
    codes: Codes
    mask: Float[Tensor, "1 1 h w"] | None
    target: Float[Tensor, "1 3 h w"]
    image: Float[Tensor, "1 3 h w"]
    terms: dict[str, float]
    steps: int
    domain_scores: dict[str, float]
    strangeness: float | None
    detail: Float[Tensor, "1 3 h w"] | None = None

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio in dB, 10·log10(4/MSE) on [-1, 1]."""
        return _psnr(self.image, self.target)

    def facts(self) -> dict[str, Any]:
        """Figures as JSON values."""
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "method": self.method,
            "space": self.codes.space,
            "steps": self.steps,
            "psnr_db": round(self.psnr, 3),
            "terms": {name: round(value, 6) for name, value in self.terms.items()},
            "standing": {name: round(value, 4) for name, value in self.domain_scores.items()},
            "strangeness": None if self.strangeness is None else round(self.strangeness, 6),
            **self._of_detail(),
        }

    def _of_detail(self) -> dict[str, Any]:
        if self.detail is None:
            return {}
        return {"psnr_detailed_db": round(_psnr(self.detail, self.target), 3)}

    def save(self, out: Path, bundle: Bundle) -> dict[str, Any]:
        """Write codes, images and figures into a folder, the figures last; returns them."""
        ensure_writable(out)
        for stale in ("inversion.json", "mask.png", "detailed.png"):  # of an earlier inversion
            (out / stale).unlink(missing_ok=True)
        save_codes(out / "codes.safetensors", self.codes)
        pictures = [to_picture(self.target[0]), to_picture(self.image[0])]
        write_picture(out / "photograph.png", pictures[0])
        write_picture(out / "reconstruction.png", pictures[1])
        write_picture(out / "comparison.png", grid([*pictures, self._difference()], 3))
        if self.mask is not None:
            write_picture(out / "mask.png", to_mask(self.mask[0]))
        if self.detail is not None:
            write_picture(out / "detailed.png", to_picture(self.detail[0]))
        facts = self.facts() | {"bundle": {"name": bundle.path.name, "digest": bundle.digest}}
        write_atomically(out / "inversion.json", (json.dumps(facts, indent=2) + "\n").encode())
        return facts

    def _difference(self) -> UInt8[np.ndarray, "h w 3"]:
        """Absolute difference, from black to white over half the range."""
        return to_picture((self.image - self.target).abs()[0] * 2 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """Outcome for a file that is not a photograph."""

    error: DataError

    @property
    def outcome(self) -> Outcome:
        return "unreadable"

    def facts(self) -> dict[str, Any]:
        """Same keys as those of an `Inversion`."""
        return {"outcome": self.outcome, "reason": f"got {self.error.got}"}


@runtime_checkable  # for the tests, which check types
class InvertPictures(Protocol):
    """Inversion of a batch of pictures of any size."""

    def __call__(
        self, pictures: Sequence[Picture], *, watch: Watch | None = None
    ) -> list[Inversion]: ...


@one_thread()
def invert(
    model: Model,
    pictures: Sequence[Picture],
    method: InversionMethod,
    *,
    seed: int = 0,
    defect: bool = False,
    watch: Watch | None = None,
) -> list[Inversion]:
    """Find the codes of photographs, all in one batch.

    Args:
        model: Networks of a bundle; the search uses their device.
        pictures: Images of any size; they are resized to the generator's square.
        method: Inversion method with its options.
        seed: Random seed of the search, the same for each photograph.
        defect: Search for a defect as well, its code and its mask.
        watch: Callback for each step, such as a `Trajectory`.

    Raises:
        BundleError: The bundle lacks what the method or `defect` needs.
    """
    target = targets_of(model, pictures)
    rngs = [torch.Generator().manual_seed(seed) for _ in pictures]
    found = method.find(model, target, rngs=rngs, defect=defect, watch=watch)
    return judge(model, target, found, method_name(method), strangeness(model, pictures))


def targets_of(model: Model, pictures: Sequence[Picture]) -> Float[Tensor, "n 3 h w"]:
    """Pictures at the generator's resolution, in [-1, 1]."""
    side = model.generator.config.resolution
    target = torch.stack([to_tensor(fit_square(picture, side)) for picture in pictures])
    return target.to(model.device)


def strangeness(model: Model, pictures: Sequence[Picture]) -> list[float] | None:
    """Strangeness of each photograph; None if the bundle lacks the statistics of its object."""
    if model.recognizer is None:
        return None
    return [model.recognizer.strangeness(picture) for picture in pictures]


@torch.no_grad()
def judge(
    model: Model,
    target: Float[Tensor, "n 3 h w"],
    found: Found,
    method: str,
    strange: Sequence[float] | None = None,
) -> list[Inversion]:
    """Outcome of each item of a batch.

    Args:
        model: Networks of a bundle.
        target: Photographs at the generator's resolution.
        found: Result of the search.
        method: Name of the method.
        strange: Strangeness of the photographs, if it is known.
    """
    image = model.generator(found.codes, mask=found.mask).image
    domain_scores = domain_percentiles(model, found.codes)
    inversions = []
    for k in range(len(target)):
        here = slice(k, k + 1)
        found_scores = {} if domain_scores is None else _item_of(domain_scores, k)
        how_strange = None if strange is None else strange[k]
        outcome, reason = _outcome(bool(found.converged[k]), found_scores, how_strange)
        inversions.append(
            Inversion(
                outcome=outcome,
                reason=reason,
                method=method,
                codes=found.codes[here],
                mask=None if found.mask is None else found.mask[here],
                target=target[here],
                image=image[here],
                terms={name: values[k].item() for name, values in found.terms.items()},
                steps=int(found.steps[k]),
                domain_scores=found_scores,
                strangeness=how_strange,
            )
        )
    return inversions


@torch.no_grad()
def domain_percentiles(model: Model, codes: Codes) -> DomainPercentiles | None:
    """Position of codes among the generator's own; None without statistics of these."""
    if model.domain is None:
        return None
    cycle = None
    if model.encoder is not None:
        again = read_again(model.generator, model.encoder, codes.w)
        cycle = cycle_distance(codes.w, again, model.domain.deviation)
    return model.domain.percentiles(codes.w, cycle)


def invert_files(
    work: InvertPictures,
    files: Sequence[Path],
    *,
    batch: int = BATCH,
    watches: Sequence[Watch] | None = None,
) -> Iterator[tuple[Path, Inversion | Unreadable]]:
    """Inversion of each file, in order; an unreadable file does not affect others.

    Args:
        work: Inversion of one batch, such as `invert` with its model and method.
        files: Photographs.
        batch: Photographs per search batch; it changes only rounding.
        watches: Callbacks for steps, one per batch.
    """
    for number, first in enumerate(range(0, len(files), batch)):
        here = files[first : first + batch]
        read = [_read(file) for file in here]
        pictures = [picture for picture in read if not isinstance(picture, Unreadable)]
        watch = None if watches is None else watches[number]
        made = iter(work(pictures, watch=watch) if pictures else ())
        for file, picture in zip(here, read, strict=True):
            yield file, picture if isinstance(picture, Unreadable) else next(made)


def read_photograph(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Read an image that is large enough to be a photograph.

    Raises:
        DataError: The file can't be read, or is smaller than `pictures.LEAST_SIDE` squared.
    """
    picture = read_picture(path)
    refuse_small(path, picture)
    note_oblong(path, *picture.shape[1::-1])
    return picture


def _read(file: Path) -> UInt8[np.ndarray, "h w 3"] | Unreadable:
    try:
        return read_photograph(file)
    except DataError as error:
        return Unreadable(error=error)


def _outcome(
    converged: bool, domain_scores: dict[str, float], strange: float | None
) -> tuple[Outcome, str]:
    if strange is not None and strange > 1:
        return "out of domain", (
            "the photograph shows something else than the part that the bundle has learnt: its "
            f"strangeness is {strange:.2f}, at most 1 is expected"
        )
    if not converged:
        return "did not converge", "the search reached its time limit, or found nothing better"
    if domain_scores.get("percentile", 0) > MOST_EXTREME:
        return "out of domain", (
            f"the codes are more extreme than {MOST_EXTREME:.0f} in 100 of the generator's own"
        )
    return "ok", ""


def _psnr(a: Float[Tensor, "1 3 h w"], b: Float[Tensor, "1 3 h w"]) -> float:
    return 10 * log10(4 / max(squared_error(a, b).item(), 1e-12))


def _item_of(domain_scores: DomainPercentiles, index: int) -> dict[str, float]:
    values = {name: getattr(domain_scores, name) for name in DomainPercentiles.__dataclass_fields__}
    return {name: value[index].item() for name, value in values.items() if value is not None}
