"""Methods that draw a defect with the bundle's generator and add its change to the photograph.

Shared parts are here: the bundle's networks and references. The methods differ in how they find the
codes, one file each.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.data.folder import LEAST_MARKED
from blemish.errors import BundleError, OptionError
from blemish.inversion.methods import InversionMethod, chosen_method, method_options
from blemish.inversion.model import Model, load_model
from blemish.inversion.saved import SavedInversion, load_inversion
from blemish.inversion.search import Step
from blemish.models.generator import DefectConfig, Generator
from blemish.notes import note
from blemish.pictures import fit_mask, fit_square, mask_to_tensor, to_tensor
from blemish.synthesis.composite import Carried, carry, enlarged_cover, soft_cover
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.placement.search import Placed
from blemish.synthesis.placement.task import PlacedDefect, PlacementTask
from blemish.synthesis.real.defects import RealDefects
from blemish.synthesis.references.base import REFERENCES, ReferenceSource
from blemish.synthesis.request import Request
from blemish.types import Codes
from blemish.windows.paint import NETWORK as WINDOWS
from blemish.windows.paint import load_windows


@runtime_checkable  # for the tests, which check types
class CodeSearch(Protocol):
    """Method from a photograph and a mask to the codes of a defect, and the generated images."""

    def place(
        self, task: PlacementTask, twin: Codes | None, *, on_progress: Step | None = None
    ) -> Placed:
        """Place one defect.

        Args:
            task: Description of the defect.
            twin: The part's codes, a single item without a defect; None without inversion.
            on_progress: Callback after each step of a search, called with its number.
        """
        ...


class SearchPlacement:
    """Method that draws; see `task.PlacementMethod`.

    Args:
        placer: Class that finds the codes.
        bundle: Bundle that draws.
        options: Options of the synthesis.
        inverts: Whether the placer needs the codes of the part.
        device: Device to compute on.

    Raises:
        BundleError: The bundle has no defect branch, or one that does not fit the options; or
            `inverted` has codes of another bundle.
        DataError: `inverted` can't be read.
    """

    def __init__(
        self,
        placer: Callable[[Bundle, Model, SynthesisOptions], CodeSearch],
        bundle: Bundle,
        options: SynthesisOptions,
        *,
        inverts: bool,
        device: str,
    ) -> None:
        self.options, self.device, self.inverts = options, device, inverts
        self.model: Model = load_model(bundle, device)
        self.generator: Generator = self.model.generator
        self.types: tuple[str, ...] = _types(bundle, self.generator.config.defect, options)
        self.method: InversionMethod = chosen_method(
            bundle.has("encoder"), options.invert, space=options.space, steps=options.steps
        )
        self.kept: SavedInversion | None = None
        if options.inverted is not None:
            self.kept = load_inversion(options.inverted, bundle)
        self.reference: ReferenceSource | None = None
        if options.reference != "none":
            real = RealDefects(
                bundle,
                options.real,
                options.reference,
                first_third=options.first_third,
                device=device,
            )
            self.reference = REFERENCES[options.reference](real)
        self.placer = placer(bundle, self.model, options)

    def record(self) -> dict[str, Any]:
        """Record of the inversion for an item."""
        return {
            "invert": method_options(self.method) if self.inverts else None,
            "inverted": None if self.kept is None else self.kept.digest,
        }

    def prepare(self, kind: str) -> None:
        """Same as in `task.PlacementMethod`."""
        if self.reference is not None:
            self.reference.prepare(kind)

    def invert(
        self, request: Request, *, on_progress: Callable[[float], None] | None = None
    ) -> Codes | None:
        """Step A; see `task.PlacementMethod`.

        Raises:
            OptionError: The given codes belong to another photograph.
        """
        if not self.inverts:
            return None
        target = self._seen(request.picture)
        if self.kept is not None:
            return _codes_of(self.kept, target, request)
        rng = torch.Generator().manual_seed(0)
        watch = None if on_progress is None else lambda time, *_: on_progress(time)
        return self.method.find(self.model, target, rngs=[rng], watch=watch).codes.good()

    def place(
        self,
        request: Request,
        seed: int,
        strength: Float[np.ndarray, "h w"],
        twin: Codes | None,
        *,
        on_progress: Step | None = None,
    ) -> PlacedDefect:
        """Same as in `task.PlacementMethod`."""
        photograph = self._seen(request.picture)
        mask = mask_to_tensor(fit_mask(request.requested, self._side))[None].to(self.device)
        _note_vanishing(request, int(mask.sum()))
        reference = None
        if self.reference is not None:
            reference = self.reference.choose(request.kind, photograph, mask, seed)
        task = PlacementTask(
            photograph=photograph,
            mask=mask,
            kind=self.types.index(request.kind),
            seed=seed,
            reference=reference,
            zoom=max(request.requested.shape) / self._side,
        )
        placed = self.placer.place(task, twin, on_progress=on_progress)
        carried, drawn = self._carry(request, placed, mask, strength)
        terms = {name: round(values[0].item(), 5) for name, values in placed.terms.items()}
        return PlacedDefect(carried=carried, drawn=drawn, codes=placed.codes, terms=terms)

    @property
    def _side(self) -> int:
        return self.generator.config.resolution

    def _seen(self, picture: UInt8[np.ndarray, "h w 3"]) -> Tensor:
        """Photograph as network input, a batch of one."""
        return to_tensor(fit_square(picture, self._side))[None].to(self.device)

    def _carry(
        self,
        request: Request,
        placed: Placed,
        mask: Tensor,
        strength: Float[np.ndarray, "h w"],
    ) -> tuple[Carried, Bool[np.ndarray, "h w"]]:
        """Step D, and the generator's own mask at the photograph's size."""
        h, w = request.requested.shape
        change = (placed.defective - placed.twin)[0].permute(1, 2, 0).cpu().numpy() * 127.5
        own = placed.mask_logits[0, 0].sigmoid().cpu().numpy()
        own_cover = enlarged_cover(own, h, w)
        if self.options.mask_control == "condition":
            drawn, cover = mask[0, 0].cpu().numpy(), soft_cover(request.requested)
        else:
            drawn, cover = own, own_cover
        carried = carry(
            request.picture,
            change,
            drawn,
            cover,
            request.requested,
            strength=strength,
            grey=request.original.grey,
        )
        return carried, own_cover > 0.5


def _note_vanishing(request: Request, pixels: int) -> None:
    if pixels < LEAST_MARKED:
        note(
            f"{request.mask} has {pixels} pixels at the model's resolution, fewer than "
            f"{LEAST_MARKED}; the model hardly sees it."
        )


def _codes_of(kept: SavedInversion, target: Tensor, request: Request) -> Codes:
    """Codes from an earlier inversion, if they belong to this photograph."""
    if not torch.equal(kept.photograph.to(target.device), target):
        raise OptionError(
            got=f"{request.normal} with codes of another photograph",
            expected="the photograph that was inverted",
            todo="Use that photograph, or invert this one.",
        )
    return kept.codes.to(target.device).good()


def _types(
    bundle: Bundle, branch: DefectConfig | None, options: SynthesisOptions
) -> tuple[str, ...]:
    """Types of defects that the bundle draws, by its branch or its windows."""
    if branch is None and bundle.has(WINDOWS):
        return load_windows(bundle).types
    if branch is None or not branch.types:
        raise BundleError(
            got=f"{bundle.path}, a bundle without defect types",
            expected="one that has learnt defects",
            todo=f"{bundle.advice('windows DATA')}.",
        )
    if options.mask_control == "condition" and not branch.takes_mask:
        raise BundleError(
            got=f"{bundle.path}, a bundle whose defect branch takes no mask",
            expected="one that does, or another way to meet the mask",
            todo="Use --mask-control codes or noise.",
        )
    return branch.types
