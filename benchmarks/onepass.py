"""One pass compared with the search: seconds per item, and overlap with the masks.

    python -m benchmarks.onepass DATA [--items N] [--quick]

Times are those of whole items, from the photograph's and the mask's files to all files of the item
on the disk: read, find codes, draw, carry back, judge, write. The search is 200 steps of in-domain
inversion, which is all that the default way of searching takes where the branch is handed the mask;
its seconds at 256² are those of a tenth of the steps, and a tenth of them ten times. Shapes other
than the shipped bundle's have random weights, which cost what trained ones do; what they draw means
nothing. Ratios are of one run, by turns.

Masks and bytes are those of the shipped bundle on real photographs: real masks of the type, each on
another good photograph.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import get_args

import cv2
import torch
import tyro

from benchmarks._hardware import heading
from blemish.checkpoint import Bundle, find_bundle
from blemish.data.folder import DefectFolder
from blemish.files import write_atomically
from blemish.generator.critic import build_critic
from blemish.generator.network import Generator
from blemish.generator.presets import find_preset
from blemish.generator.residual import ResidualConfig
from blemish.inversion.encoder import Encoder
from blemish.inversion.indomain import InDomain
from blemish.names import PlacementMethod
from blemish.pictures import read_mask, read_picture, write_picture
from blemish.synthesis.dataset import Dataset
from blemish.synthesis.mapping.mapper import MAPPER, fresh_mapper
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.order import read_order
from blemish.synthesis.synthesize import Synthesizer
from blemish.synthesis.ways.drawn import Drawn

STEPS = 200
SHARE = {64: 1, 128: 5, 256: 10}  # fraction of the steps that is timed
REPORT = Path(__file__).with_suffix(".md")


@dataclass(frozen=True)
class Scene:
    """Files of a photograph and of a mask on it."""

    normal: Path
    mask: Path


def main(data: Path, /, items: int = 12, defect: str = "colour", quick: bool = False) -> None:
    """Measure, print tables, and write them to benchmarks/onepass.md.

    Args:
        data: Folder with good photographs in test/good, and masks of the defect.
        items: Number of items per row.
        defect: Type of the defects.
        quick: Only the shipped bundle, two items and no file: to test the benchmark.
    """
    folder = DefectFolder(data)
    lines = [
        "| bundle | photographs | one pass, s | 200 steps, s | times faster |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    print(*lines, sep="\n", flush=True)
    count = 2 if quick else items
    with TemporaryDirectory() as place:
        shipped = find_bundle("hazelnut")
        bundles = [(shipped, 64), (shipped, 512)]
        if not quick:
            made = _untrained(Path(place) / "nut-256", "nut-256")
            bundles += [(made, 256), (made, 512)]
        for bundle, side in bundles:
            scenes = _scenes(folder, defect, count, Path(place) / str(side), side)
            lines.append(_time(bundle, scenes, side, defect))
            print(lines[-1], flush=True)
        lines += ["", *_quality(shipped, _scenes(folder, defect, count, Path(place), None), defect)]
    print(*lines[-5:], sep="\n", flush=True)
    if not quick:
        command = f"python -m benchmarks.onepass DATA --items {items}"
        about = "\n\n".join((__doc__ or "").split("\n\n")[2:]).strip()
        text = "\n".join([heading("One pass against the search", command), about, "", *lines, ""])
        write_atomically(REPORT, text.encode())


def _scenes(
    folder: DefectFolder, defect: str, count: int, place: Path, side: int | None
) -> list[Scene]:
    """Real masks on good photographs of others, brought to a size."""
    place.mkdir(parents=True, exist_ok=True)
    good = folder.good("test") or folder.good()
    masks = [p.mask_path for p in folder.defects(defect) if p.mask_path is not None]
    scenes = []
    for k in range(count):
        normal, mask = good[k % len(good)].path, masks[k % len(masks)]
        if side is not None:
            normal, mask = _sized(normal, mask, place, k, side)
        scenes.append(Scene(normal, mask))
    return scenes


def _sized(normal: Path, mask: Path, place: Path, k: int, side: int) -> tuple[Path, Path]:
    picture = cv2.resize(read_picture(normal), (side, side), interpolation=cv2.INTER_AREA)
    marked = cv2.resize(read_mask(mask).astype("float32"), (side, side)) > 0.5
    files = place / f"{k}.png", place / f"{k}_mask.png"
    write_picture(files[0], picture)
    write_picture(files[1], marked)
    return files


def _time(bundle: Bundle, scenes: list[Scene], side: int, defect: str) -> str:
    resolution = bundle.config["generator"]["resolution"]
    share = SHARE[resolution]
    steps = STEPS // share
    how = InDomain()
    search = replace(how.search, steps=steps, patience=0)
    fast = Synthesizer(bundle, SynthesisOptions(method="one-pass"))
    slow = Synthesizer(bundle, SynthesisOptions(method="optimize", invert="in-domain"))
    assert isinstance(slow.way, Drawn)
    slow.way.method = replace(how, search=search)
    kind = defect if defect in fast.types else fast.types[0]
    with TemporaryDirectory() as place:
        once = _seconds(lambda s: _item(fast, s, kind, Path(place) / "fast"), scenes)
        searched = _seconds(lambda s: _item(slow, s, kind, Path(place) / "slow"), scenes[:3])
    whole = once + (searched - once) * share
    name = f"{bundle.path.name}, {resolution}²"
    return f"| {name} | {side}² | {once:.2f} | {whole:.1f} | {whole / once:.0f} |"


def _item(worker: Synthesizer, scene: Scene, kind: str, out: Path) -> None:
    order = read_order(scene.normal, scene.mask, kind, worker.types)
    Dataset(out).add(worker.make(order, 0))


def _seconds(work: Callable[[Scene], None], scenes: list[Scene]) -> float:
    """Median over scenes, after one that warms up."""
    work(scenes[0])
    times = []
    for scene in scenes:
        start = perf_counter()
        work(scene)
        times.append(perf_counter() - start)
    return median(times)


def _quality(bundle: Bundle, scenes: list[Scene], defect: str) -> list[str]:
    lines = [
        "| way | IoU of what changed with the request, median | pixels changed beyond reach |",
        "| --- | ---: | ---: |",
    ]
    for method in get_args(PlacementMethod):
        worker, met, beyond = Synthesizer(bundle, SynthesisOptions(method=method)), [], 0
        for scene in scenes:
            order = read_order(scene.normal, scene.mask, defect, worker.types)
            scores = worker.make(order, 0).facts["scores"]
            met.append(scores["iou_requested"])
            beyond += scores["pixels_changed_beyond_reach"]
        lines.append(f"| {method} | {median(met):.3f} | {beyond} |")
    return lines


def _untrained(path: Path, preset: str) -> Bundle:
    """Networks for one pass, with random weights."""
    torch.manual_seed(0)
    chosen = find_preset(preset)
    config = replace(chosen.shape, defect=replace(chosen.branch, types=("colour", "crack")))
    path.mkdir()
    bundle, generator = Bundle(path), Generator(config)
    bundle.write("generator", generator.state_dict())
    bundle.write("critic", build_critic(ResidualConfig(), config).state_dict())
    matching = build_critic(ResidualConfig(), config, image_channels=4)
    bundle.write("match_critic", matching.state_dict())
    bundle.write("encoder", Encoder(config).state_dict())
    bundle.write(MAPPER, fresh_mapper(generator, seed=0).state_dict())
    bundle.write_config({"generator": asdict(config), "preset": preset})
    return bundle


if __name__ == "__main__":
    tyro.cli(main)
