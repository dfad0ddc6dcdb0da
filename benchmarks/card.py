"""Measure a bundle and write its card: `python -m benchmarks.card BUNDLE DATA --out PACKED`.

It packs the bundle in half precision, measures the packed one, and writes README.md and samples.png
beside it. Facts that can't be measured (data, licence, training) are options. It needs SqueezeNet's
weights (see `blemish.features.load_features`): set BLEMISH_WEIGHTS.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
import tyro
from jaxtyping import UInt8
from torch import Tensor

from blemish.cards import with_model_matter
from blemish.checkpoint import Bundle, find_bundle, pack
from blemish.data.folder import DefectFolder, load_pictures
from blemish.data.masks import silhouette
from blemish.evaluation.metrics import kernel_distance, memorisation_rate
from blemish.evaluation.provenance import hardware, today
from blemish.evaluation.snapshots import draw_samples
from blemish.features import load_features, pooled
from blemish.files import write_atomically
from blemish.inversion.invert import judge
from blemish.inversion.methods import chosen_method, method_name
from blemish.inversion.model import load_model
from blemish.models.generator import Generator
from blemish.models.load import load_generator, shape_of
from blemish.pictures import grid, to_tensor, write_picture
from blemish.synthesis.curation.defect_stats import read_defect_stats
from blemish.synthesis.dataset import Dataset
from blemish.synthesis.demo import draw_part
from blemish.synthesis.masks.learned import load_masks
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.part import GoodPart
from blemish.synthesis.request import read_request
from blemish.synthesis.synthesize import Synthesizer, in_turn, synthesize
from blemish.windows.paint import NETWORK as WINDOWS
from blemish.windows.paint import groups, load_windows, paint

COLUMNS, CELL = 12, 128
COMPOSED_ROWS = (
    "Rows: good parts from codes; then, for each type, masks from codes and the defects under "
    "them. The bundle generated everything in the picture."
)
ABLATION = "../../../../docs/inversion.md#what-each-term-is-worth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Facts that only the trainer knows.

    Attributes:
        title: Title of the card.
        data: Training data, with its attribution.
        licence: Licence of the weights.
        story: Description of the training.
    """

    title: str
    data: str
    licence: str
    story: str


def main(bundle: Path, data: Path, /, out: Path, facts: Facts, n: int = 500) -> None:
    """Pack, measure, and write the card.

    Args:
        bundle: Bundle after training.
        data: Folder with photographs to measure on.
        out: Folder of the packed bundle.
        facts: Facts that only the trainer knows.
        n: Number of samples.
    """
    packed = pack(find_bundle(bundle), out)
    folder = DefectFolder(data)
    figures = measure(packed, folder, n) | synthesis_figures(packed, folder)
    write_picture(out / "samples.png", composed_grid(packed, load_generator(packed)))
    text = with_model_matter(card(packed, facts, figures), packed.config)
    write_atomically(out / "README.md", text.encode())
    print(text)


def measure(bundle: Bundle, folder: DefectFolder, n: int) -> dict[str, str]:
    """Samples against photographs, and how well photographs are inverted."""
    side = shape_of(bundle).resolution
    good, held_out = (_images(folder, split, side) for split in (None, "test"))
    features = partial(pooled, load_features("squeezenet"))
    drawn = features(draw_samples(load_generator(bundle), n))
    model = load_model(bundle)
    how = chosen_method(bundle.has("encoder"))
    rngs = [torch.Generator().manual_seed(0) for _ in held_out]
    inverted = judge(model, held_out, how.find(model, held_out, rngs=rngs), method_name(how))
    places = [found.domain_scores["percentile"] for found in inverted]
    by = f"{len(held_out)} photographs by {method_name(how)} in {how.space}, median"
    return {
        f"kernel distance, {n} samples to {len(good)} good photographs": (
            f"{kernel_distance(drawn, features(good)):.3f}"
        ),
        "share of samples that copy a photograph": (
            f"{memorisation_rate(drawn, features(good)):.3f}"
        ),
        f"PSNR of {by}": f"{median(found.psnr for found in inverted):.1f} dB",
        f"in-domain percentile of {by}": f"{median(places):.1f}",
    }


def synthesis_figures(bundle: Bundle, folder: DefectFolder) -> dict[str, str]:
    """Overlap of the changed pixels with the request, for real masks on other photographs."""
    worker, found = Synthesizer(bundle, SynthesisOptions(method="window")), {}
    part = GoodPart.read(folder.good("test")[0].path)
    for kind in worker.types:
        masks = [p.mask_path for p in folder.defects(kind) if p.mask_path is not None]
        requests = [read_request(part, mask, kind, worker.types) for mask in masks[:5]]
        with TemporaryDirectory() as place:
            made = [
                synthesize(worker, in_turn([request]), Dataset(Path(place)), count=1, seed=0)[0]
                for request in requests
            ]
        ious = [row["scores"]["iou_requested"] for row in made]
        name = f"IoU of what changed with the request, {kind}, {len(ious)} masks, median"
        found[name] = f"{median(ious):.2f}"
    return found


def composed_grid(bundle: Bundle, generator: Generator) -> UInt8[np.ndarray, "h w 3"]:
    """Drawn parts, and for each type masks from codes and the defects under them."""
    windows, masks = load_windows(bundle), load_masks(bundle)
    parts = [draw_part(generator, seed, windows) for seed in range(COLUMNS)]
    rows = [parts]
    for kind in windows.types:
        rngs = [torch.Generator().manual_seed(seed) for seed in range(COLUMNS)]
        marks = [masks.draw(silhouette(p), kind, rng) for p, rng in zip(parts, rngs, strict=True)]
        drawn = [
            paint(windows.generator, part, mask, windows.codes(kind, rng, len(groups(mask))), rng)
            for part, mask, rng in zip(parts, marks, rngs, strict=True)
        ]
        rows += [[np.repeat(m[:, :, None], 3, axis=2).astype(np.uint8) * 255 for m in marks], drawn]
    small = [cv2.resize(p, (CELL, CELL), interpolation=cv2.INTER_AREA) for row in rows for p in row]
    return grid(small, COLUMNS)


def card(bundle: Bundle, facts: Facts, figures: dict[str, str]) -> str:
    """The card's text."""
    shape = shape_of(bundle)
    size = sum(file.stat().st_size for file in bundle.path.glob("*.safetensors")) / 1e6
    rows = "\n".join(f"| {name} | {value} |" for name, value in figures.items())
    return f"""# {facts.title}

| | |
| --- | --- |
| resolution | {shape.resolution}² |
| defect types | {", ".join(defect_types(bundle)) or "none"} |
| data | {facts.data} |
| licence of the weights | {facts.licence} |
| generator | {_length(bundle.config, "nimg", "kept_nimg")} |
| encoder | {encoder_terms(bundle)} |
| windows | {network_length(bundle.config, "windows")} |
| masks | {network_length(bundle.config, "masks")} |
| consultation | {network_length(bundle.config, "consultation")} |
| finder | {network_length(bundle.config, "finder")} |
| filling | {network_length(bundle.config, "filling")} |
| curation | {curation_terms(bundle)} |
| size | {size:.1f} MB, half precision |

{facts.story}

What each term of the encoder's loss is worth: [docs/inversion.md]({ABLATION}).

![What the bundle draws](samples.png)

*{COMPOSED_ROWS}*

## Figures

| measure | value |
| --- | ---: |
{rows}

Measured on {today()} by `python -m benchmarks.card` on the packed weights ({hardware()});
distances in SqueezeNet 1.0's pooled features (`blemish.features.pooled`).
"""


def encoder_terms(bundle: Bundle) -> str:
    """Length of the encoder's training, and its terms."""
    how = bundle.config["training"]["encoder"]
    terms = [
        f"{name.removesuffix('_weight')} {value:g}"
        for name, value in how.items()
        if name.endswith("_weight") and value
    ]
    return (
        f"{bundle.config['encoder_nimg'] / 1000:.1f} kimg, {how['pairs']:.0%} of them drawn pairs; "
        f"features of: {how['features']}; weights: {', '.join(terms)}"
    )


def network_length(config: dict[str, Any], network: str) -> str:
    """Length of the training of a network, and its kept snapshot."""
    counted = f"{network}_nimg"
    return _length(config, counted, f"kept_{counted}") if counted in config else "none"


def defect_types(bundle: Bundle) -> tuple[str, ...]:
    """Types that the windows draw."""
    return load_windows(bundle).types if bundle.has(WINDOWS) else ()


def _length(config: dict[str, Any], trained: str, kept: str) -> str:
    shown = f"{config[trained] / 1000:.1f} kimg"
    if kept not in config:
        return shown
    return f"{shown}, of which the snapshot at {config[kept] / 1000:.1f} is kept"


def curation_terms(bundle: Bundle) -> str:
    """Basis of the bounds of curation."""
    facts = [
        f"{kind}: {len(y.features)} defects"
        + (f", bounds from {y.held_out} held out" if y.held_out else ", each against the others")
        for kind, y in read_defect_stats(bundle).items()
    ]
    return "; ".join(facts) or "none"


def _images(folder: DefectFolder, split: str | None, side: int) -> Tensor:
    assert split in (None, "train", "test")
    pictures, _ = load_pictures(folder.good(split), side)
    return to_tensor(np.asarray(pictures))


if __name__ == "__main__":
    tyro.cli(main)
