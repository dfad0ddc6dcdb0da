"""Edits of inverted photographs, and holes filled with good material.

    scripts/bench editing --data DATA --bundle BUNDLE

inverts the held-out good photographs of DATA in domain and by plain optimisation, in w+ and in
f/w+, and with the detail of the consultation branch, and compares their edits; fills holes of the
shapes of real defects on these photographs by the windows, by codes and by three methods without a
network, and compares with what was there; and finds and repairs held-out real defects.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean, median
from typing import get_args

import cv2
import numpy as np
import torch
import tyro
from jaxtyping import Bool, UInt8
from torch import Tensor

from benchmarks._exemplar import fill_by_exemplars
from benchmarks._hardware import heading
from benchmarks._repairs import PatchDetector
from blemish.checkpoint import Bundle, find_bundle
from blemish.data.closeup import close_up
from blemish.data.folder import DefectFolder, load_native
from blemish.data.importing.layout import Proposer
from blemish.data.importing.propose import BY_GOOD
from blemish.data.masks import box_around, components
from blemish.data.shadow import unshadowed_silhouette
from blemish.editing.directions import NETWORK, Direction, read_directions
from blemish.editing.fill import margin_of, widened
from blemish.editing.fillers import HoleFiller, open_filler
from blemish.editing.find import ComparisonSearch, DefectSearch, by_finder, defect_search
from blemish.editing.membrane import erased
from blemish.editing.seam import judge_filling
from blemish.errors import BundleError, DataError
from blemish.evaluation.figures import middle
from blemish.evaluation.inversion.editing import EditReference, editing
from blemish.evaluation.metrics import psnr
from blemish.features import FeatureNetwork, load_features, perceptual_distance
from blemish.files import write_atomically
from blemish.inversion.consult import NETWORK as CONSULTATION
from blemish.inversion.consult import draw_detailed, load_consultation
from blemish.inversion.indomain import InDomain
from blemish.inversion.invert import Inversion, invert
from blemish.inversion.methods import InversionMethod
from blemish.inversion.model import Model, load_model
from blemish.inversion.optimize import Optimize
from blemish.models.filling import NETWORK as FILLING
from blemish.models.finder import NETWORK as FINDER
from blemish.names import FillChoice, FillMethod
from blemish.originals import Original
from blemish.pictures import grid, to_tensor, write_picture
from blemish.types import Codes

Picture = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]
VARIANTS = 3  # fillings of a hole
RADIUS = 3  # pixels that OpenCV's methods look at
TILE = 192
PIECE_SHARE = 3e-4  # of the picture: smaller pieces of a defect are specks
MET_SHARE = 0.3  # of a piece that counts as found
FOUND_NOTE = (
    "All photographs of each type. Pieces: connected pieces of real masks of "
    f"{PIECE_SHARE:.2%} of the picture or more, of which {MET_SHARE:.0%} are covered."
)
BOX_NOTE = (
    "Median IoU with the real mask, inside the boxes of its pieces, on photographs beyond the "
    "first third of each type, which the finder has not seen."
)
FILL_NOTE = (
    "Seam: median step across the outline over the usual step beside it. Good: share without a "
    "reason against it. Diversity: mean difference inside the hole between two fillings, in levels "
    "of 255. Exemplars: squares copied from around the hole (after Criminisi et al., 2004)."
)
EDITED = 0.4  # share of another part's code in an edit
OTHERS = 4  # parts that each photograph is edited towards
INVERSIONS: dict[str, InversionMethod] = {
    "in-domain in w+": InDomain(),
    "in-domain in f/w+": InDomain(space="f/w+"),
    "plain optimisation in w+": Optimize(),
    "plain optimisation in f/w+": Optimize(space="f/w+"),
}


@dataclass(frozen=True)
class Hole:
    """A hole in a good photograph."""

    picture: Picture
    mask: Mask
    clean: bool = True  # no defect is around it


def holes(data: DefectFolder, each: int) -> Iterator[Hole]:
    """Shapes of real defects on held-out good photographs, in the middle of the part."""
    real = [one for kind in data.types for one in data.defects_to_learn(kind, first_third=False)]
    masks = [load_native(one)[1] for one in real]
    small = [mask for mask in masks if 0 < mask.mean() < 0.08]
    for k, photograph in enumerate(data.good("test")):
        picture = load_native(photograph)[0]
        part = unshadowed_silhouette(picture)
        for j in range(each):
            mask = small[(k * each + j) % len(small)]
            moved = _centred(mask, part)
            if moved.sum() > 30:
                yield Hole(picture, moved)


def _centred(mask: Mask, part: Mask) -> Mask:
    """A mask moved to the middle of a part, without what falls off it."""
    here, there = (np.argwhere(x).mean(axis=0) for x in (mask, part))
    down, right = (there - here).round()
    matrix = np.array([[1, 0, right], [0, 1, down]], np.float32)
    size = part.shape[1], part.shape[0]
    return (cv2.warpAffine(mask.astype(np.uint8), matrix, size) > 0) & part


def fillers(
    bundle: Bundle, usual: Sequence[FillChoice] = ("windows",)
) -> dict[str, Callable[[Hole, int], Picture]]:
    """Methods to fill a hole, from the hole and a seed."""
    methods: list[FillChoice] = [*usual, *(["codes"] if bundle.has(FILLING) else [])]
    networks = {method: open_filler(bundle, method) for method in methods}

    def drawn(filler: HoleFiller) -> Callable[[Hole, int], Picture]:
        return lambda hole, seed: (
            filler.fill(
                Original(levels=hole.picture), hole.mask, seed, smooth=hole.clean
            ).picture.picture
        )

    def by(flag: int) -> Callable[[Hole, int], Picture]:
        return lambda hole, _: cv2.inpaint(hole.picture, hole.mask.astype(np.uint8), RADIUS, flag)

    return {
        **{method: drawn(filler) for method, filler in networks.items()},
        "exemplars": lambda hole, _: fill_by_exemplars(hole.picture, hole.mask),
        "membrane alone": lambda hole, _: erased(hole.picture, hole.mask),
        "Telea": by(cv2.INPAINT_TELEA),
        "Navier-Stokes": by(cv2.INPAINT_NS),
    }


def judge() -> tuple[str, FeatureNetwork | None]:
    """A feature network that the windows were not trained with, if its weights are there."""
    try:
        return "SqueezeNet", load_features("squeezenet")
    except BundleError:
        return "no network", None


def fill_table(bundle: Bundle, found: Sequence[Hole], sheet: Path) -> Iterator[str]:
    """A line for each method to fill the holes."""
    name, network = judge()
    yield f"| method | holes | hole PSNR, dB | perceptual ({name}) | seam | good | diversity | s |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    shown: list[list[Picture]] = [[one.picture, _emptied(one)] for one in found]
    for method, fill in fillers(bundle).items():
        variants = VARIANTS if method in get_args(FillMethod) else 1
        began = time.monotonic()
        made = [[fill(one, seed) for seed in range(variants)] for one in found]
        seconds = (time.monotonic() - began) / len(found) / variants
        for row, pictures in zip(shown, made, strict=True):
            row += pictures[:2]
        yield f"| {method} | {len(found)} | {_fill_figures(found, made, network)} | {seconds:.2f} |"
    tiles = [
        close_up(picture, one.mask, TILE)[0]
        for one, row in zip(found[:6], shown, strict=False)
        for picture in row
    ]
    write_picture(sheet, grid(tiles, len(shown[0])))


def _fill_figures(
    found: Sequence[Hole], made: Sequence[Sequence[Picture]], network: FeatureNetwork | None
) -> str:
    pairs = [(one, picture) for one, some in zip(found, made, strict=True) for picture in some]
    scores = [judge_filling(picture, one.mask) for one, picture in pairs]
    psnrs = [_psnr(picture, one) for one, picture in pairs]
    far = [_perceptual(network, one, picture) for one, picture in pairs] if network else []
    spreads = [
        np.abs(a[one.mask].astype(float) - b[one.mask]).mean()
        for one, some in zip(found, made, strict=True)
        for a, b in combinations(some, 2)
    ]
    return " | ".join(
        [
            f"{fmean(psnrs):.2f}",
            f"{fmean(far):.3f}" if far else "–",
            f"{median(s.seam for s in scores):.2f}",
            f"{fmean(not s.reasons() for s in scores):.0%}",
            f"{fmean(spreads):.2f}" if spreads else "–",
        ]
    )


def _psnr(picture: Picture, hole: Hole) -> float:
    far = picture[hole.mask].astype(float) - hole.picture[hole.mask]
    return float(10 * np.log10(255**2 / max((far**2).mean(), 1e-9)))


@torch.no_grad()
def _perceptual(network: FeatureNetwork, hole: Hole, picture: Picture) -> float:
    a, b = (to_tensor(close_up(one, hole.mask, 128)[0])[None] for one in (hole.picture, picture))
    return perceptual_distance(network, a, b).item()


def _emptied(hole: Hole) -> Picture:
    return np.where(hole.mask[:, :, None], 32, hole.picture).astype(np.uint8)


def edit_table(
    bundle: Bundle, model: Model, pictures: Sequence[Picture], directions: Sequence[Direction]
) -> Iterator[str]:
    """A line for each inversion method and space, and for the consultation branch."""
    name, network = judge()
    yield (
        f"| inversion | n | PSNR, dB | perceptual ({name}) | in-domain percentile | midpoints: "
        "realism | midpoints: percentile | purity | monotone | change outside | s |"
    )
    yield "| --- |" + " ---: |" * 10
    reference = EditReference.of(model, None, directions=tuple(directions))
    consulted: list[str] = []
    for label, method in INVERSIONS.items():
        began = time.monotonic()
        found = invert(model, pictures, method)
        seconds = (time.monotonic() - began) / len(found)
        figures = editing(Codes.joined([one.codes for one in found]), reference)
        images = [one.image for one in found]
        yield _edit_row(label, found, images, network, figures, seconds)
        if method == InDomain() and bundle.has(CONSULTATION):
            detail = Detail(bundle, model, found)
            yield _consulted_row(label, detail, network, reference, seconds)
            consulted = list(detail.lines())
    yield from consulted


class Detail:
    """The detail of inverted photographs, which the consultation branch brings back."""

    def __init__(self, bundle: Bundle, model: Model, found: Sequence[Inversion]) -> None:
        self.branch, self.generator, self.found = load_consultation(bundle), model.generator, found

    def draw(self, number: int, codes: Codes) -> Tensor:
        """Pictures of edited codes with the detail of a photograph."""
        one = self.found[number]
        return draw_detailed(self.generator, self.branch, one.target, one.codes, codes)

    def lines(self) -> Iterator[str]:
        """What edits and back leave of the detail."""
        again = [_db(self.draw(k, one.codes), one.target) for k, one in enumerate(self.found)]
        back = [_db(self._returned(k, w), self.found[k].target) for k, w in self._others()]
        plain = fmean(one.psnr for one in self.found)
        gain = fmean(again) - plain
        left = (fmean(back) - plain) / gain
        yield ""
        yield (
            f"Consult: after an edit by {EDITED:.0%} towards another part and back "
            f"({len(self.found)} photographs, {OTHERS} parts each), {left:.0%} of the {gain:.2f} "
            "dB are left that the branch brings."
        )

    def _others(self) -> Iterator[tuple[int, Tensor]]:
        """Number of each photograph, and w of a part to edit it towards."""
        rng = torch.Generator().manual_seed(0)
        z = torch.randn(OTHERS, len(self.found), self.generator.config.z_dim, generator=rng)
        for row in z:
            yield from enumerate(self.generator.codes(row).w)

    def _returned(self, number: int, other: Tensor) -> Tensor:
        """Picture of a photograph's codes, after an edit and back."""
        codes = self.found[number].codes
        edited = Codes(w=codes.w.lerp(other[None], EDITED))
        there = self.draw(number, edited)
        return draw_detailed(self.generator, self.branch, there, edited, codes)


def _consulted_row(
    label: str,
    detail: Detail,
    network: FeatureNetwork | None,
    reference: EditReference,
    seconds: float,
) -> str:
    found = detail.found
    figures = editing(Codes.joined([one.codes for one in found]), reference, detail.draw)
    images = [detail.draw(k, one.codes) for k, one in enumerate(found)]
    return _edit_row(f"{label}, consult", found, images, network, figures, seconds)


def _db(a: Tensor, b: Tensor) -> float:
    return psnr(a, b).item()


def _edit_row(
    label: str,
    found: Sequence[Inversion],
    images: Sequence[Tensor],
    network: FeatureNetwork | None,
    figures: dict,
    seconds: float,
) -> str:
    domain_scores = [one.domain_scores.get("percentile", float("nan")) for one in found]
    shown = ("midpoint_realism", "midpoint_percentile", "direction_purity", "direction_monotone")
    cells = [_cell(figures.get(key)) for key in (*shown, "direction_outside")]
    pairs = [(image, one.target) for image, one in zip(images, found, strict=True)]
    mean = fmean(_db(a, b) for a, b in pairs)
    far = "–"
    if network is not None:
        far = f"{fmean(perceptual_distance(network, a, b).item() for a, b in pairs):.3f}"
    return (
        f"| {label} | {len(found)} | {mean:.2f} | {far} | {median(domain_scores):.1f} | "
        f"{' | '.join(cells)} | {seconds:.1f} |"
    )


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def direction_table(directions: Sequence[Direction]) -> Iterator[str]:
    """A line for each direction."""
    yield "| direction | changes most | separation accuracy | purity |"
    yield "| --- | --- | ---: | ---: |"
    for one in directions:
        yield f"| {one.name} | {one.attribute} | {one.accuracy:.0%} | {one.purity:.2f} |"


def finding_table(data: DefectFolder, bundle: Bundle, model: Model) -> Iterator[str]:
    """A line for each search and type, and for good photographs: what is found without a mask."""
    yield (
        "| by | photographs | n | nothing found | median IoU | pieces found | "
        "groups that are none |"
    )
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    compared: dict[str, DefectSearch] = {"comparison": ComparisonSearch(model)}
    if bundle.has(FINDER):
        compared = {"finder": defect_search(bundle, lambda: model)} | compared
    for by, search in compared.items():
        for kind in (*data.types, "test/good"):
            chosen = data.defects(kind) if kind in data.types else data.good("test")
            known = [load_native(one) for one in chosen]
            both = [(_found(search, picture), mask) for picture, mask in known]
            yield f"| {by} | {kind} | {_finding_figures(both)} |"


def _finding_figures(both: Sequence[tuple[Mask, Mask]]) -> str:
    """Cells for pairs of a found and a real mask."""
    nothing = sum(not a.any() for a, _ in both)
    overlaps = [_overlap(a, b) for a, b in both if b.any()]
    pieces = [_met(piece, a) for a, b in both for piece in _pieces(b)]
    wrong = sum(not (group & b).any() for a, b in both for group in _pieces(a))
    return (
        f"{len(both)} | {nothing} | {_cell(middle(overlaps))} | "
        f"{sum(pieces)} of {len(pieces)} | {wrong}"
    )


def _found(search: DefectSearch, picture: Picture) -> Mask:
    try:
        return search(picture)
    except DataError:
        return np.zeros(picture.shape[:2], bool)


def box_table(data: DefectFolder, bundle: Bundle) -> Iterator[str]:
    """A line for each type: masks proposed inside the boxes of the pieces of held-out defects."""
    good = BY_GOOD.prepare([photograph.path for photograph in data.good("train")])
    proposers: dict[str, Proposer] = {
        "good photographs": good,
        "the finder": by_finder(bundle).prepare([]),
        "box filled": lambda _, inside: inside,
    }
    yield f"| type | boxes | {' | '.join(proposers)} |"
    yield f"| --- | {'---: | ' * len(proposers)}---: |"
    for kind in data.types:
        known = [load_native(one) for one in data.thirds(kind)[1]]
        boxes = [(picture, mask, _box(piece)) for picture, mask in known for piece in _pieces(mask)]
        overlaps = [
            [_overlap(propose(picture, box), mask & box) for picture, mask, box in boxes]
            for propose in proposers.values()
        ]
        cells = [_cell(middle(one)) for one in overlaps]
        yield f"| {kind} | {len(boxes)} | {' | '.join(cells)} |"


def _box(piece: Mask) -> Mask:
    inside = np.zeros_like(piece)
    inside[box_around(piece, 0)] = True
    return inside


def _overlap(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / (a | b).sum())


def _pieces(mask: Mask) -> list[Mask]:
    """Connected pieces of a mask, without specks."""
    least = round(PIECE_SHARE * mask.size)
    return [piece for piece in components(mask, least=least) if piece.sum() >= least]


def _met(piece: Mask, marked: Mask) -> bool:
    return bool((piece & marked).sum() > MET_SHARE * piece.sum())


def repair_table(bundle: Bundle, data: DefectFolder, limit: int) -> Iterator[str]:
    """A line for each method to repair held-out defects under their real masks."""
    chosen = [one for kind in data.types for one in data.thirds(kind)[1]]
    known = [load_native(one) for one in chosen[:: max(1, len(chosen) // limit)][:limit]]
    good, held = ([load_native(one)[0] for one in data.good(part)] for part in ("train", "test"))
    detector = PatchDetector.of(good, held)
    before = [detector.inside(picture, mask) for picture, mask in known]
    yield "| method | defects | score inside, before | after | halved | s |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for method, fill in fillers(bundle, ("auto", "windows", "part")).items():
        began, after = time.monotonic(), []
        for picture, mask in known:
            hole = widened(mask, margin_of(*mask.shape))
            after.append(detector.inside(fill(Hole(picture, hole, clean=False), 0), mask))
        seconds = (time.monotonic() - began) / len(known)
        halved = fmean(b <= a / 2 for a, b in zip(before, after, strict=True))
        scores = f"{median(before):.2f} | {median(after):.2f} | {halved:.0%}"
        yield f"| {method} | {len(known)} | {scores} | {seconds:.2f} |"
    yield ""
    yield (
        "Score: mean distance of features inside the real mask to those of train/good (after "
        "PatchCore), above the median on the parts of test/good. Halved: share of defects of whose "
        "score half or less is left. Auto: part for holes that cover the part, windows for others."
    )


def main(
    data: Path,
    bundle: str = "hazelnut",
    holes_each: int = 3,
    photographs: int = 6,
    defects: int = 6,
    out: Path = Path("benchmarks/editing.md"),
    sheet: Path = Path("editing.png"),
) -> None:
    """Write the report.

    Args:
        data: Folder with photographs of good parts and real defects.
        bundle: Folder of a bundle with windows and an encoder, or the name of a shipped one.
        holes_each: Holes for each good photograph; 0 leaves fillings out.
        photographs: Good photographs that are inverted; 0 leaves inversions out.
        defects: Real defects that are looked for; 0 leaves them out.
        out: File of the report.
        sheet: File of a sheet of holes and their fillings.
    """
    torch.set_num_threads(1)
    folder, found = DefectFolder(data), find_bundle(bundle)
    model = load_model(found)
    config = model.generator.config
    known: list[Direction] = []
    if found.has(NETWORK):
        known = list(read_directions(found, config.layers, config.w_dim).values())
    options = (
        f"--bundle {bundle} --holes-each {holes_each} --photographs {photographs} "
        f"--defects {defects}"
    )
    lines = [
        heading("Edits and fillings", f"scripts/bench editing --data DATA {options}"),
        f"Photographs: test/good of {data.name}; holes have the shapes of its real defects. The "
        "bundle's card says which of them its networks have seen.",
    ]
    if holes_each:
        lines += ["", "## Filling", "", *fill_table(found, list(holes(folder, holes_each)), sheet)]
        lines += ["", FILL_NOTE]
    lines += ["", "## Directions", "", *direction_table(known)]
    if photographs:
        pictures = [load_native(one)[0] for one in folder.good("test")[:photographs]]
        lines += ["", "## Edits", "", *edit_table(found, model, pictures, known)]
    if defects:
        lines += ["", "## Repair", "", *repair_table(found, folder, defects)]
        lines += ["", "## Defects found", "", *finding_table(folder, found, model)]
        lines += ["", FOUND_NOTE]
        if found.has(FINDER):
            lines += ["", "## Masks inside boxes", "", *box_table(folder, found), "", BOX_NOTE]
    write_atomically(out, ("\n".join(lines) + "\n").encode())
    print(f"{out} and {sheet} have them.")


if __name__ == "__main__":
    tyro.cli(main)
