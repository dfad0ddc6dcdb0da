"""`blemish edit`: parts changed by their codes."""

import sys
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from blemish.cli.inversion import OF_METHOD, SearchFlags
from blemish.cli.options import Json
from blemish.cli.progress import Progress, print_json
from blemish.errors import OptionError
from blemish.names import Device, Fidelity, InversionChoice, Space

if TYPE_CHECKING:
    from blemish.checkpoint import Bundle
    from blemish.editing.parts import PartEdits
    from blemish.editing.result import Edit, KeptDetail
    from blemish.editing.subjects import EditSubject
    from blemish.inversion.methods import InversionMethod
    from blemish.inversion.model import Model

PartName = Annotated[str, Positional, arg(metavar="PART")]
Box = Annotated[str | None, arg(metavar="X,Y,W,H", help_behavior_hint="(default: none)")]
MaskFile = Annotated[Path | None, arg(help_behavior_hint="(default: none)")]
MOST_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class EditSearch:
    """Options of the inversion of photographs.

    Attributes:
        method: Inversion method; auto is in-domain if the bundle has an encoder, else project.
        space: Search space; encode does not support z. f/w+ also changes features at 16², for parts
            that lie as none of the training's did.
        search_steps: Maximum steps of the search.
        seconds: Time limit of the search, in seconds.
    """

    method: InversionChoice = "auto"
    space: Space = "w+"
    search_steps: Annotated[int | None, arg(help_behavior_hint=OF_METHOD)] = None
    seconds: Annotated[float | None, arg(help_behavior_hint="(default: no limit)")] = None

    def how(self) -> SearchFlags:
        """The same as `blemish invert` takes it."""
        return SearchFlags(
            method=self.method, space=self.space, steps=self.search_steps, seconds=self.seconds
        )


FlatSearch = Annotated[EditSearch, arg(name="")]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRun:
    """Options that all edits share.

    Attributes:
        bundle: Folder of a bundle, or the name of a shipped one.
        seed: Random seed of the searches.
        fidelity: consult keeps the detail of photographs that their codes lose, if the bundle has a
            consultation branch; codes draws the codes alone.
        without: Mask of a defect whose detail is not kept, of any size; for consult.
        out: Folder for pictures, codes, a strip and figures.
        device: Device to compute on; auto uses CUDA if available.
        json: Print the figures as JSON.
    """

    bundle: str = "hazelnut"
    seed: int = 0
    fidelity: Fidelity = "codes"
    without: MaskFile = None
    out: Path = Path("edit")
    device: Device = "auto"
    json: Json = False

    def opened(self, search: EditSearch) -> "OpenedRun":
        """The bundle, ready for edits.

        Raises:
            BundleError: There is none, or it can't be used.
            OptionError: An option of the method or the seed is out of range.
        """
        from blemish.checkpoint import find_bundle
        from blemish.devices import choose_device
        from blemish.editing.parts import PartEdits
        from blemish.inversion.model import load_model
        from blemish.seeds import refuse_seeds

        refuse_seeds(self.seed)
        found, device = find_bundle(self.bundle), choose_device(self.device)
        method, model = search.how().chosen(found), load_model(found, device)
        detail = self._detail(found, model)
        edits = PartEdits(bundle=found, model=model, seed=self.seed, detail=detail)
        return OpenedRun(self, edits, method)

    def _detail(self, bundle: "Bundle", model: "Model") -> "KeptDetail | None":
        from blemish.editing.regions import mask_region
        from blemish.editing.result import KeptDetail
        from blemish.inversion.consult import load_consultation

        if self.fidelity == "codes":
            if self.without is None:
                return None
            raise OptionError(
                got="--without and the codes alone",
                expected="it with --fidelity consult",
                todo="Add that, or leave it out.",
            )
        branch, keep = load_consultation(bundle, model.device), None
        if self.without is not None:
            region = mask_region(self.without, model.generator.config.resolution)
            keep = (~region)[None, None].float().to(model.device)
        return KeptDetail(branch=branch, keep=keep)


FlatRun = Annotated[EditRun, arg(name="")]


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """A bundle with the options of a run.

    Attributes:
        run: Options.
        edits: The bundle, ready for edits.
        method: Inversion method of photographs.
    """

    run: EditRun
    edits: "PartEdits"
    method: "InversionMethod"

    def parts(self, *names: str) -> "list[EditSubject]":
        """Parts with their codes; the output folder must be writable."""
        from blemish.editing.subjects import find_subjects
        from blemish.files import ensure_writable

        ensure_writable(self.run.out)
        with Progress("inverting", 1) as progress:

            def watch(time: float, _terms: Any, _image: Any) -> None:
                progress.part(time)

            known = self.edits.bundle, self.edits.model, self.method
            return find_subjects(names, *known, seed=self.run.seed, watch=watch)

    def finish(self, edit: "Edit") -> None:
        """Write an edit, and print its figures."""
        row = edit.save(self.run.out, self.edits.bundle)
        if self.run.json:
            print_json(row)
            return
        percentiles = row["in_domain_percentiles"]
        if percentiles is not None:
            print(f"in-domain percentiles: {', '.join(f'{p:.1f}' for p in percentiles)}")
        print(f"{self.run.out} has the pictures, codes and figures.", file=sys.stderr)


def interpolate(
    a: PartName,
    b: PartName,
    steps: int = 7,
    search: FlatSearch = EditSearch(),
    run: FlatRun = EditRun(),
) -> None:
    """Draw the parts on the line between the codes of two parts.

    Args:
        a: First part: a photograph, a folder written by 'blemish invert', or seed:N for a drawn
            part.
        b: Second part, given likewise.
        steps: Number of pictures, both ends included.
        search: Inversion method of the photographs.
        run: Bundle, seed and output.
    """
    if not 2 <= steps <= MOST_STEPS:
        raise OptionError(
            got=f"--steps {steps}", expected=f"2 to {MOST_STEPS}", todo="Correct the option."
        )
    opened = run.opened(search)
    first, second = opened.parts(a, b)
    opened.finish(opened.edits.interpolate(first, second, steps))


def mix(
    a: PartName,
    b: PartName,
    rows: str = "fine",
    search: FlatSearch = EditSearch(),
    run: FlatRun = EditRun(),
) -> None:
    """Draw the first part with some rows of the second part's code (style mixing).

    Args:
        a: First part: a photograph, a folder written by 'blemish invert', or seed:N for a drawn
            part.
        b: Second part, given likewise.
        rows: Rows of the second part: numbers from 0, ranges such as 0-3, or coarse (maps up to
            8²), middle (16² and 32²) and fine (from 64²), separated by commas.
        search: Inversion method of the photographs.
        run: Bundle, seed and output.
    """
    opened = run.opened(search)
    opened.edits.rows(rows)  # a mistake shows before the search
    first, second = opened.parts(a, b)
    opened.finish(opened.edits.mix(first, second, rows))


def move(
    part: PartName,
    direction: str,
    distance: tuple[float, ...] = (-2.0, -1.0, 0.0, 1.0, 2.0),
    search: FlatSearch = EditSearch(),
    run: FlatRun = EditRun(),
) -> None:
    """Draw a part moved along a direction: darker, larger, turned, and so on.

    Args:
        part: Photograph, folder written by 'blemish invert', or seed:N for a drawn part.
        direction: Name of a direction; 'blemish edit directions' lists them.
        distance: Distances, one picture for each. For an attribute 1 is about one deviation among
            fresh parts, for sefa-K and pca-K one deviation of codes.
        search: Inversion method of the photograph.
        run: Bundle, seed and output.
    """
    if not distance or not all(isfinite(far) for far in distance):
        raise OptionError(
            got=f"--distance {' '.join(map(str, distance))}".strip(),
            expected="one finite number or more",
            todo="Correct the option.",
        )
    opened = run.opened(search)
    opened.edits.direction(direction)  # a mistake shows before the search
    (subject,) = opened.parts(part)
    opened.finish(opened.edits.move(subject, direction, distance))


def transplant(
    a: PartName,
    b: PartName,
    box: Box = None,
    mask: MaskFile = None,
    search: FlatSearch = EditSearch(),
    run: FlatRun = EditRun(),
) -> None:
    """Bring a region of the second part to the first (semantic diffusion, in domain).

    Args:
        a: Part that gives the context: a photograph, a folder written by 'blemish invert', or
            seed:N for a drawn part.
        b: Part that gives the region, given likewise.
        box: The region: x,y,width,height as fractions of the picture.
        mask: The region as a mask of any size, brighter on the region.
        search: Options of the in-domain search.
        run: Bundle, seed and output.
    """
    from blemish.editing.regions import box_region, mask_region
    from blemish.inversion.indomain import InDomain

    opened = run.opened(search)
    side, method = opened.edits.model.generator.config.resolution, opened.method
    if not isinstance(method, InDomain):
        raise OptionError(
            got=f"--method {search.method} to transplant a region with {run.bundle}",
            expected="in-domain, with a bundle that has an encoder",
            todo="Leave the option out, or train an encoder.",
        )
    if (box is None) == (mask is None):
        raise OptionError(
            got="both --box and --mask" if box else "neither --box nor --mask",
            expected="one of them",
            todo="Say with one of them which region to bring.",
        )
    region = box_region(box, side) if box is not None else mask_region(mask or Path(), side)
    first, second = opened.parts(a, b)
    opened.finish(opened.edits.transplant(first, second, region, method))


def list_directions(
    part: Annotated[str, arg(metavar="PART")] = "seed:0",
    search: FlatSearch = EditSearch(),
    run: FlatRun = EditRun(),
) -> None:
    """List the directions of a bundle with their figures, and draw a strip of each.

    Args:
        part: Part of the strips: a photograph, a folder written by 'blemish invert', or seed:N for
            a drawn part.
        search: Inversion method of the photograph.
        run: Bundle, seed and output.
    """
    from blemish.editing.strips import write_strips

    opened = run.opened(search)
    known = opened.edits.directions()
    (subject,) = opened.parts(part)
    rows = write_strips(run.out, opened.edits.model, subject, known.values())
    if run.json:
        print_json(rows)
        return
    for row in rows:
        figures = f"accuracy {row['accuracy']:.0%}, purity {row['purity']:.1f}"
        print(f"{row['name']:<12} {row['attribute']:<12} {figures}")
    print(f"{run.out} has a strip of each.", file=sys.stderr)
