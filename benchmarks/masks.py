"""How real the masks of a mask generator are, and how closely a code meets a real mask.

    scripts/bench masks --data DATA --bundle BUNDLE

compares masks by random codes on the good parts of DATA with its real ones, beside the real masks
that the training laid on parts, and searches the codes of real masks that the training has not
seen. With --everything, for a bundle that has seen all of them, it searches those.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Annotated

import cv2
import numpy as np
import torch
import tyro
from jaxtyping import Bool, Float
from tyro.conf import arg

from benchmarks._hardware import heading
from blemish.checkpoint import Bundle, find_bundle
from blemish.data.folder import DefectFolder, load_native
from blemish.data.shadow import unshadowed_silhouette
from blemish.documents import parse_json
from blemish.evaluation.synthesis.maskrealism import coverage, shape_distances, two_sample_auc
from blemish.evaluation.synthesis.maskshape import mask_vector
from blemish.files import write_atomically
from blemish.names import CodeSpace
from blemish.pictures import grid, write_picture
from blemish.synthesis.masks.learned import LEAST_PIXELS, MaskModel, PartMap, load_masks
from blemish.synthesis.masks.search import MaskSearch, meet
from blemish.training.masks.batches import MaskBatches
from blemish.training.masks.sources import is_whole, read_mask_sources

Region = Bool[np.ndarray, "h w"]
SPACES: tuple[CodeSpace, ...] = ("z", "w", "w+")
PER_REAL = 6  # synthetic masks for each real one
LAID = 160  # pixels a side at which laid masks are measured
SHOWN = 12  # masks of each type on the sheet
SEARCHED = 8  # real masks of each type whose codes are searched


@dataclass(frozen=True)
class Mask:
    """A mask on a part, both on a photograph.

    Attributes:
        mask: The mask.
        part: The part, for the mask's vector.
        framed: The part as the generator is shown it.
    """

    mask: Region
    part: Region
    framed: Region

    @property
    def vector(self) -> Float[np.ndarray, " f"]:
        """Its shape; see `maskshape`."""
        return mask_vector(self.mask, self.part)

    @property
    def off_part(self) -> float:
        """Share of it that lies off the part."""
        return float((self.mask & ~self.part).sum() / max(1, self.mask.sum()))


def real_masks(data: DefectFolder, kind: str) -> list[Mask]:
    """Real masks of a type, by name."""
    found = []
    for photograph in data.defects_to_learn(kind, first_third=False):
        picture, mask = load_native(photograph)
        part = unshadowed_silhouette(picture)
        both = part | mask  # a defect may hide the part under it
        found.append(Mask(mask, both, both if is_whole(part, mask) else part))
    return found


def drawn_masks(model: MaskModel, parts: Sequence[Region], kind: str, n: int) -> Iterator[Mask]:
    """Masks by random codes, one for each seed, empty or not."""
    index = model.index(kind)
    for seed in range(n):
        part, rng = parts[seed % len(parts)], torch.Generator().manual_seed(seed)
        shown = PartMap.of(part, model.generator.config.side)
        codes = model.generator.codes(
            torch.randn(1, model.generator.config.z_dim, generator=rng), index
        )
        logits = model.generator.draw(shown.depth, codes, index)
        yield Mask(shown.on_photograph(logits), part, part)


def laid_masks(batches: MaskBatches, kind: int, n: int) -> Iterator[Mask]:
    """Real masks as the training lays them on parts."""
    batch = batches.draw(np.random.default_rng(1), n, kind=kind)
    for part, mask in zip(batch.part[:, 0].numpy(), batch.mask[:, 0].numpy(), strict=True):
        on = _enlarged(part) > 0
        yield Mask(_enlarged(mask) > 0.5, on, on)


def figures(name: str, what: str, made: Sequence[Mask], real: Sequence[Mask]) -> str:
    """A line of the table of realism."""
    whole = [m for m in made if LEAST_PIXELS <= m.mask.sum() < m.mask.size]
    a, b = (np.stack([m.vector for m in masks]) for masks in (whole, real))
    far = shape_distances(a, b)
    worst = max(far, key=lambda feature: far[feature])
    auc = two_sample_auc(a, b) or 0
    return (
        f"| {name} | {what} | {len(made)} | {auc:.0%} | {fmean(far.values()):.2f} | "
        f"{far[worst]:.2f} ({worst}) | {coverage(a, b):.0%} | {len(made) - len(whole)} | "
        f"{fmean(m.off_part for m in whole):.1%} |"
    )


def met(model: MaskModel, kind: str, target: Mask, space: CodeSpace) -> float:
    """Overlap of a real mask with the closest one of a search, on the photograph's pixels."""
    shown, index = PartMap.of(target.framed, model.generator.config.side), model.index(kind)
    wanted = shown.seen(target.mask)
    rng = torch.Generator().manual_seed(0)
    found = meet(model.generator, shown.depth, wanted, index, MaskSearch(space=space), rng)
    made = shown.on_photograph(found.logits)
    return float((made & target.mask).sum() / (made | target.mask).sum())


def report(data: DefectFolder, bundle: Bundle, everything: bool, sheet: Path) -> Iterator[str]:
    """Lines of both tables; draws the sheet."""
    model = load_masks(bundle)
    types, tiles = model.types, []
    sources = read_mask_sources(data, types, first_third=not everything, everything=everything)
    batches = MaskBatches(sources, model.generator.config.side)
    photographs = data.good_to_learn(everything=True)
    parts = [unshadowed_silhouette(load_native(photograph)[0]) for photograph in photographs]
    yield (
        "| type | masks | number | probe | mean distance | largest distance | coverage | "
        "empty or full | off the part |"
    )
    yield "| --- | --- | ---: | ---: | ---: | --- | ---: | ---: | ---: |"
    everyone: dict[str, list[Mask]] = {"real": [], "by random codes": [], "laid": []}
    searched: list[str] = []
    for k, kind in enumerate(types):
        real = real_masks(data, kind)
        n = PER_REAL * len(real)
        made, laid = list(drawn_masks(model, parts, kind, n)), list(laid_masks(batches, k, n))
        yield figures(kind, "by random codes", made, real)
        yield figures(kind, "real, laid by the training", laid, real)
        for name, masks in zip(everyone, (real, made, laid), strict=True):
            everyone[name] += masks
        tiles += [_tile(m) for m in _padded(real[:SHOWN])] + [_tile(m) for m in made[:SHOWN]]
        seen = 0 if everything else len(data.defects_to_learn(kind, first_third=True))
        unseen = real[seen:]
        rows = [[met(model, kind, mask, space) for mask in unseen[:SEARCHED]] for space in SPACES]
        medians = " | ".join(f"{median(row):.2f} ({min(row):.2f})" for row in rows)
        searched.append(f"| {kind} | {len(rows[0])} | {medians} |")
    yield figures("all", "by random codes", everyone["by random codes"], everyone["real"])
    yield figures("all", "real, laid by the training", everyone["laid"], everyone["real"])
    write_picture(sheet, grid(tiles, SHOWN))
    yield from ("", "| type | masks | in z | in w | in w+ |", "| --- | ---: | ---: | ---: | ---: |")
    yield from searched


def main(
    data: Path,
    bundle: str = "hazelnut",
    everything: Annotated[bool, arg(help_behavior_hint="")] = False,
    out: Path = Path("benchmarks/masks.md"),
    sheet: Path = Path("masks.png"),
) -> None:
    """Write the report.

    Args:
        data: Folder with photographs of good parts and real defects.
        bundle: Folder of a bundle with a mask generator, or the name of an embedded one.
        everything: The bundle learned from all real defects.
        out: File of the report.
        sheet: File of a sheet of masks: for each type real ones, and below them as many by random
            codes.
    """
    torch.set_num_threads(1)
    found, flag = find_bundle(bundle), " --everything" if everything else ""
    lines = [
        heading("Masks from codes", f"scripts/bench masks --data DATA --bundle {bundle}{flag}"),
        f"Real masks in DATA: {data.name}. Probe: area under the curve of a linear classifier of "
        "mask vectors, 50 % at chance. Distances: Wasserstein, in interquartile ranges of "
        "the real ones, over the features of the vector.",
        "",
        *report(DefectFolder(data), found, everything, sheet),
        "",
        "Second table: median (least) overlap of "
        f"{'real masks' if everything else 'real masks that the training has not seen'} with the "
        "closest mask of a search, on the photograph's own pixels.",
        *_time(found),
        "",
    ]
    write_atomically(out, "\n".join(lines).encode())
    print(f"{out} and {sheet} have them.")


def _time(bundle: Bundle) -> Iterator[str]:
    """How long the training took, if its folder is still there."""
    file = bundle.path / "training" / "masks" / "stats.jsonl"
    if file.is_file():
        rows = [parse_json(line) for line in file.read_text().splitlines()]
        speed = median(row["images_per_s"] for row in rows if row["images_per_s"])
        kimg = rows[-1]["kimg"]
        yield ""
        yield f"Trained for {kimg:.0f} kimg, about {kimg * 1000 / speed / 60:.0f} minutes."


def _enlarged(values: np.ndarray) -> np.ndarray:
    return cv2.resize(values, (LAID, LAID), interpolation=cv2.INTER_CUBIC)


def _padded(masks: Sequence[Mask]) -> list[Mask]:
    nothing = np.zeros((LAID, LAID), bool)
    return [*masks, *[Mask(nothing, nothing, nothing)] * (SHOWN - len(masks))]


def _tile(mask: Mask, side: int = 128) -> np.ndarray:
    part, marked = (
        cv2.resize(x.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
        for x in (mask.part, mask.mask)
    )
    ground = 80 * part * (1 - marked)
    return np.stack([ground + 255 * marked, ground, ground], axis=-1).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    tyro.cli(main)
