"""`blemish fill` and `blemish repair`: holes and defects replaced by good material."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from blemish.cli.options import Json
from blemish.cli.progress import Progress, print_json
from blemish.errors import OptionError
from blemish.names import Device, FillChoice

if TYPE_CHECKING:
    from blemish.editing.fill import Filling
    from blemish.originals import Original

MOST = 1000
MaskFile = Annotated[Path | None, arg(help_behavior_hint="(default: the defect is found)")]


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRun:
    """Options that `fill` and `repair` share.

    Attributes:
        count: Number of different fillings; their seeds are consecutive.
        method: Filling method: windows draws at the photograph's own scale; codes draws the whole
            part anew from codes, which can be edited, if the bundle has a filling network; part
            searches for the part's codes outside the hole, for holes that cover a whole part; auto
            is part for such holes, if the bundle has an encoder, and windows otherwise.
        bundle: Folder of a bundle, or the name of a shipped one.
        seed: Random seed of the first filling.
        device: Device to compute on; auto uses CUDA if available.
        json: Print the figures as JSON.
    """

    count: int = 1
    method: FillChoice = "windows"
    bundle: str = "hazelnut"
    seed: int = 0
    device: Device = "auto"
    json: Json = False

    def check(self) -> None:
        """Raise an OptionError if a number is out of range."""
        from blemish.seeds import refuse_seeds

        if not 1 <= self.count <= MOST:
            raise OptionError(
                got=f"--count {self.count}", expected=f"1 to {MOST}", todo="Correct the option."
            )
        refuse_seeds(self.seed, self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairRun(FillRun):
    """The same, with the usual method of `repair`."""

    method: FillChoice = "auto"


FlatFill = Annotated[FillRun, arg(name="")]
FlatRepair = Annotated[RepairRun, arg(name="")]


def fill(image: Path, mask: Path, out: Path = Path("filled"), run: FlatFill = FillRun()) -> None:
    """Fill a hole of a photograph with good material, in several different ways.

    Everything outside the hole stays as it is in the file, to the bit.

    Args:
        image: Photograph.
        mask: The hole: a mask of the photograph's size, brighter in the hole.
        out: Folder for the pictures, the codes, a strip of close-ups and figures.
        run: Number of fillings, bundle and seed.
    """
    from blemish.data.pairs import read_mask_for
    from blemish.editing.fill import refuse_hole
    from blemish.originals import read_original

    run.check()
    photograph = read_original(image)
    hole = read_mask_for(photograph.header, mask)
    refuse_hole(hole)
    _make("fill", image, photograph, hole, out, run, {"mask": str(mask)})


def repair(
    image: Path,
    mask: MaskFile = None,
    margin: Annotated[
        int | None, arg(help_behavior_hint="(default: 1/32 of the longer side)")
    ] = None,
    out: Path = Path("repaired"),
    run: FlatRepair = RepairRun(),
) -> None:
    """Replace a defect of a photograph by good material.

    Everything outside the mask and its margin stays as it is in the file, to the bit.

    Args:
        image: Photograph with a defect.
        mask: The defect: a mask of the photograph's size, brighter on the defect. Without it the
            bundle's finder looks for the defect; a bundle without one compares the photograph with
            its in-domain reconstruction.
        margin: Pixels around the mask that are replaced as well.
        out: Folder for the pictures, the mask that was replaced, the codes, a strip of close-ups
            and figures.
        run: Number of repairs, bundle and seed.
    """
    from blemish.data.pairs import read_mask_for
    from blemish.editing.fill import margin_of, refuse_hole, widened
    from blemish.originals import read_original

    run.check()
    photograph = read_original(image)
    height, width = photograph.levels.shape[:2]
    around = margin_of(height, width, margin)
    given = mask is not None
    marked = read_mask_for(photograph.header, mask) if given else _found(image, photograph, run)
    refuse_hole(marked)
    hole = widened(marked, around)
    refuse_hole(hole)
    facts = {"mask": str(mask) if given else None, "margin_px": around}
    _make("repair", image, photograph, hole, out, run, facts)


def _found(image: Path, photograph: "Original", run: FillRun) -> Any:
    """Mask of the defect, which the bundle finds."""
    from blemish.checkpoint import find_bundle
    from blemish.devices import choose_device
    from blemish.editing.find import defect_search
    from blemish.inversion.model import load_model
    from blemish.pictures import refuse_small

    refuse_small(image, photograph.picture)
    bundle, device = find_bundle(run.bundle), choose_device(run.device)
    search = defect_search(bundle, lambda: load_model(bundle, device), device)
    with Progress("comparing", 1) as progress:

        def watch(time: float, _terms: Any, _image: Any) -> None:
            progress.part(time)

        return search(photograph.picture, seed=run.seed, watch=watch)


def _make(
    verb: str,
    image: Path,
    photograph: "Original",
    hole: Any,
    out: Path,
    run: FillRun,
    facts: dict[str, Any],
) -> None:
    from blemish.checkpoint import find_bundle
    from blemish.devices import choose_device
    from blemish.editing.filled import save_fillings
    from blemish.editing.fillers import open_filler
    from blemish.files import ensure_writable

    bundle = find_bundle(run.bundle)
    filler = open_filler(bundle, run.method, choose_device(run.device))
    ensure_writable(out)
    fillings: list[Filling] = []
    smooth = verb == "fill"
    with Progress("filling", run.count) as progress:
        for k in range(run.count):
            fillings.append(filler.fill(photograph, hole, run.seed + k, smooth=smooth))
            progress.step(k)
    about = {"edit": verb, "image": str(image), **facts}
    row = save_fillings(out, image.stem, photograph, fillings, bundle, about)
    if run.json:
        print_json(row)
        return
    for one in row["fillings"]:
        scores = ", ".join(f"{name} {value:.2f}" for name, value in one["scores"].items())
        reasons = f" ({'; '.join(one['reasons'])})" if one["reasons"] else ""
        print(f"{one['picture']}  {scores}{reasons}")
    print(f"{out} has the pictures, codes and figures.", file=sys.stderr)
