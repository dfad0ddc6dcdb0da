"""What an edit writes: a picture of each code, the codes, a strip and figures."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.checkpoint import Bundle, save_codes
from blemish.devices import one_thread
from blemish.editing.subjects import EditSubject
from blemish.files import ensure_writable, write_atomically
from blemish.inversion.consult import Consultation, draw_detailed
from blemish.inversion.invert import domain_percentiles
from blemish.inversion.model import Model
from blemish.models.generator import Generator
from blemish.pictures import grid, to_picture, write_picture
from blemish.types import Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Result of an edit.

    Attributes:
        verb: Name of the edit.
        subjects: Parts that were edited.
        codes: Codes of the results.
        image: Their pictures, in [-1, 1].
        percentiles: In-domain percentile of each result; None if the domain is unknown.
        facts: Options of the edit.
    """

    verb: str
    subjects: tuple[EditSubject, ...]
    codes: Codes
    image: Float[Tensor, "n 3 h w"]
    percentiles: list[float] | None
    facts: dict[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """Figures as JSON values."""
        known = self.percentiles
        return {
            "edit": self.verb,
            "parts": [{"name": one.name, **one.facts} for one in self.subjects],
            **self.facts,
            "in_domain_percentiles": None if known is None else [round(p, 2) for p in known],
        }

    def save(self, out: Path, bundle: Bundle) -> dict[str, Any]:
        """Write pictures, codes, a strip and figures into a folder, the figures last.

        Raises:
            OutputError: The folder can't be written to.
        """
        ensure_writable(out)
        (out / "edit.json").unlink(missing_ok=True)  # of an earlier edit
        pictures = list(to_picture(self.image))
        for number, picture in enumerate(pictures):
            write_picture(out / f"{number:02d}.png", picture)
        save_codes(out / "codes.safetensors", self.codes)
        shown = [*(to_picture(one.target[0]) for one in self.subjects), *pictures]
        write_picture(out / "strip.png", grid(shown, len(shown)))
        row = self.row() | {"bundle": {"name": bundle.path.name, "digest": bundle.digest}}
        write_atomically(out / "edit.json", (json.dumps(row, indent=2) + "\n").encode())
        return row


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDetail:
    """Detail of photographs that edits keep.

    Attributes:
        branch: Consultation branch.
        keep: 1 where detail is kept, 0 where it is a defect that stays removed; 1 everywhere if
            None.
        shares: Share of the second part's detail in each result; None keeps the first part's.
    """

    branch: Consultation
    keep: Float[Tensor, "1 1 h w"] | None = None
    shares: tuple[float, ...] | None = None

    def images(
        self, generator: Generator, subjects: Sequence[EditSubject], codes: Codes
    ) -> list[Float[Tensor, "1 3 h w"]]:
        """Picture of each code."""
        first = self._of(generator, subjects[0], codes)
        if self.shares is None:
            return list(first.split(1))
        second = self._of(generator, subjects[1], codes)
        pairs = zip(first.split(1), second.split(1), self.shares, strict=True)
        return [a.lerp(b, share) for a, b, share in pairs]

    def _of(
        self, generator: Generator, subject: EditSubject, codes: Codes
    ) -> Float[Tensor, "n 3 h w"]:
        return draw_detailed(
            generator, self.branch, subject.target, subject.codes, codes, self.keep
        )


@one_thread()
@torch.no_grad()
def edited(
    verb: str,
    model: Model,
    subjects: Sequence[EditSubject],
    codes: Codes,
    detail: KeptDetail | None = None,
    **facts: Any,
) -> Edit:
    """Pictures and figures of the codes of an edit.

    Args:
        verb: Name of the edit.
        model: Networks of a bundle.
        subjects: Parts that were edited.
        codes: Codes of the results.
        detail: Detail of the parts to keep; None draws the codes alone.
        **facts: Options of the edit.
    """
    codes = codes.detached()
    if detail is None:
        images = [model.generator(codes[k : k + 1]).image for k in range(len(codes))]
    else:
        images = detail.images(model.generator, subjects, codes)
        facts = {**facts, "fidelity": "consult"}
    known = domain_percentiles(model, codes)
    return Edit(
        verb=verb,
        subjects=tuple(subjects),
        codes=codes,
        image=torch.cat(images),
        percentiles=None if known is None else known.percentile.tolist(),
        facts=facts,
    )
