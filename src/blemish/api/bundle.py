"""A bundle, opened for work in Python."""

from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, Literal

from blemish.api.edits import Edits, fill_photograph, repair_photograph
from blemish.api.inputs import MASK_IN_MEMORY, MEMORY, Photo, mask_of, original_of
from blemish.api.item import Item
from blemish.checkpoint import Bundle
from blemish.checkpoint import load_bundle as find
from blemish.devices import choose_device
from blemish.editing.defective import picture_inverter
from blemish.editing.fill import Filling
from blemish.editing.fillers import open_filler
from blemish.editing.find import defect_search
from blemish.errors import OptionError
from blemish.inversion.invert import Inversion
from blemish.inversion.methods import chosen_method
from blemish.inversion.model import Model, load_model
from blemish.names import Device, FillChoice, InversionChoice, MaskKind, Space
from blemish.seeds import refuse_seeds
from blemish.synthesis.masks.learned import NETWORK as MASKS
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.part import GoodPart
from blemish.synthesis.request import Request, drawn_on, request_under
from blemish.synthesis.synthesize import Synthesizer

WORKERS = 4  # sets of options whose networks are kept


class OpenBundle:
    """A bundle's networks, which are loaded when they are first used.

    Args:
        files: The bundle.
        device: Device to work on; auto is CUDA where there is one.
    """

    def __init__(self, files: Bundle, device: Device = "auto") -> None:
        self.files = files
        self.device: Literal["cpu", "cuda"] = choose_device(device)
        self._worker = lru_cache(WORKERS)(self._opened)
        self._model = cache(self._loaded)
        self._filler = cache(partial(open_filler, self.files, device=self.device))
        self._search = cache(partial(defect_search, self.files, self._model, self.device))

    def __reduce__(self) -> tuple[type["OpenBundle"], tuple[Bundle, Device]]:
        """Processes of a data loader open it anew."""
        return OpenBundle, (self.files, self.device)

    @property
    def types(self) -> tuple[str, ...]:
        """Types of defects that it has learnt."""
        return self._worker(SynthesisOptions(), True).types

    @property
    def digest(self) -> str:
        """SHA-256 of its weights and configuration."""
        return self.files.digest

    def synthesize(
        self,
        photo: Photo,
        mask: Photo | None = None,
        defect: str | None = None,
        *,
        seed: int = 0,
        strength: float = 1,
        **options: Any,
    ) -> Item:
        """Place a defect on a photograph of a good part.

        Args:
            photo: The photograph; see `inputs.original_of`.
            mask: Mask of the defect, of the photograph's size; one is drawn by the seed if absent.
            defect: Type of the defect; it may be absent where the bundle knows only one.
            seed: Random seed; another seed gives another defect.
            strength: Strength of the defect, from barely visible (0.1) to full (1).
            **options: Options of `blemish synthesize`, by the fields of `SynthesisOptions`.

        Returns:
            The same picture, mask and scores as from the command with the same request.

        Raises:
            DataError: The photograph or the mask can't be used.
            OptionError: An option is unknown or out of range, or the bundle has no such type.
            BundleError: The bundle lacks what the options need.
        """
        refuse_seeds(seed)
        if mask is None:
            options = {"mask_kind": self._usual_masks(), **options}
        plan = _options(options)
        plan.check_masks(mask is not None)
        worker = self._worker(plan.without_masks(), plan.needs_bundle)
        kind = self._kind(defect, worker.types)
        worker.prepare(kind)
        request = _order(photo, mask, kind, worker, plan, seed, strength)
        return Item(worker.make(request, seed))

    def invert(
        self,
        photo: Photo,
        *,
        seed: int = 0,
        method: InversionChoice = "auto",
        space: Space | None = None,
        steps: int | None = None,
        defect: bool = False,
    ) -> Inversion:
        """Find the codes of a photograph.

        Args:
            photo: The photograph; see `inputs.original_of`.
            seed: Random seed of the search.
            method: Inversion method; auto is in-domain if the bundle has an encoder, else project.
            space: Search space; by default w+, or w for project.
            steps: Steps of the search; by default the method's.
            defect: Find a defect as well: its mask and its code.

        Raises:
            DataError: The photograph can't be used.
            OptionError: An option is out of range.
            BundleError: The bundle lacks what the method, or a defect, needs.
        """
        refuse_seeds(seed)
        chosen = chosen_method(self.files.has("encoder"), method, space=space, steps=steps)
        work = picture_inverter(self.files, self._model(), chosen, seed=seed, defect=defect)
        (found,) = work([original_of(photo).picture])
        return found

    def edits(self, seed: int = 0) -> Edits:
        """Edits of parts by their codes: interpolate, mix, move, transplant; see `edits.Edits`."""
        return Edits(self.files, self._model(), seed)

    def fill(
        self,
        photo: Photo,
        hole: Photo,
        *,
        count: int = 1,
        seed: int = 0,
        method: FillChoice = "windows",
    ) -> list[Filling]:
        """Fill a hole of a photograph with good material, in several different ways.

        Args:
            photo: The photograph; see `inputs.original_of`.
            hole: Mask of the hole, of the photograph's size.
            count: Number of fillings; their seeds are consecutive.
            seed: Random seed of the first.
            method: Filling method: the bundle's windows, or codes of the whole part by a filling
                network ("codes") or by a search ("part").

        Raises:
            DataError: The photograph or the hole can't be used.
            BundleError: The bundle lacks the networks of the method.
        """
        return fill_photograph(self._filler(method), photo, hole, count=count, seed=seed)

    def repair(
        self,
        photo: Photo,
        defect: Photo | None = None,
        *,
        margin: int | None = None,
        seed: int = 0,
        method: FillChoice = "auto",
    ) -> Filling:
        """Replace a defect by good material.

        Args:
            photo: The photograph; see `inputs.original_of`.
            defect: Mask of the defect, of the photograph's size; without it the bundle's finder
                looks for the defect, or the photograph is compared with its in-domain
                reconstruction.
            margin: Pixels around the mask that are replaced as well; by default 1/32 of the side.
            seed: Random seed.
            method: Filling method; auto is "part" for a defect that covers the part, if the bundle
                has an encoder, and "windows" otherwise. See `fill`.

        Raises:
            DataError: The photograph or the mask can't be used, or no defect is found.
            BundleError: The bundle lacks the networks of the method.
        """
        filler = self._filler(method)
        return repair_photograph(filler, self._search, photo, defect, margin=margin, seed=seed)

    def push_to_hub(self, repository: str, *, private: bool = False) -> str:
        """Publish it; see `checkpoint.Bundle.push_to_hub`."""
        return self.files.push_to_hub(repository, private=private)

    def _usual_masks(self) -> MaskKind:
        return "learned" if self.files.has(MASKS) else "blob"

    def _kind(self, defect: str | None, types: tuple[str, ...]) -> str:
        if defect is not None:
            return defect
        if len(types) == 1:
            return types[0]
        raise OptionError(
            got="no type of defect",
            expected=f"one of those that are known: {', '.join(types) or 'none'}",
            todo=f"Choose one, as in defect={types[0] if types else 'scratch'!r}.",
        )

    def _opened(self, plan: SynthesisOptions, bundled: bool) -> Synthesizer:
        return Synthesizer(self.files if bundled else None, plan, device=self.device)

    def _loaded(self) -> Model:
        return load_model(self.files, self.device)


def load(name: str | Path, *, revision: str | None = None, device: Device = "auto") -> OpenBundle:
    """Open a bundle: a folder, a shipped one by its name, or `user/repository` of the hub.

    Args:
        name: Folder, name, or repository if there is no such folder.
        revision: Branch, tag or commit of a repository; by default the main branch.
        device: Device to work on; auto is CUDA where there is one.

    Raises:
        BundleError: There is none, or it is not a bundle.
        OptionError: CUDA is asked for and there is none.
    """
    return OpenBundle(find(name, revision=revision), device)


def _options(options: dict[str, Any]) -> SynthesisOptions:
    try:
        return SynthesisOptions(**options)
    except TypeError as error:
        known = ", ".join(sorted(SynthesisOptions.__dataclass_fields__))
        raise OptionError(
            got=f"options {', '.join(options)} ({error})",
            expected=f"some of {known}",
            todo="Correct the name; 'blemish synthesize --help' explains each.",
        ) from error


def _order(
    photo: Photo,
    mask: Photo | None,
    kind: str,
    worker: Synthesizer,
    options: SynthesisOptions,
    seed: int,
    strength: float,
) -> Request:
    part = GoodPart(_named(photo, MEMORY), original_of(photo))
    if mask is None:
        learned = worker.networks.masks_for(options.mask_kind)
        requested = drawn_on(part, options, kind, seed, learned)
        options = replace(options, off_part=None)
    else:
        requested = mask_of(mask, part.original, kind)
    name = _named(mask, MASK_IN_MEMORY)
    return request_under(part, name, requested, kind, worker.types, options, strength=strength)


def _named(photo: Photo | None, unnamed: Path) -> Path:
    return Path(photo) if isinstance(photo, str | Path) else unnamed
