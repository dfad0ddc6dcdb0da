"""Judge the snapshots of a training: `python -m benchmarks.snapshots BUNDLE DATA [--keep]`.

Snapshots of stage 1 are judged by the kernel distance of their samples to the photographs, and by
the fraction of samples that copy one. Snapshots of stage 2 (`--stage defects`) are judged by the
kernel distances of close-ups of their defects to real ones, surroundings and inside, by type: the
mean over types counts, so that a rare type has the same weight. Distances use SqueezeNet's pooled
features (see `blemish.features.pooled`), whose weights `load_features` must find: set
BLEMISH_WEIGHTS to their folder.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import tyro

from benchmarks._training.measures import judge_branch
from blemish.checkpoint import Bundle, find_bundle, load_tensors
from blemish.data.augment import Symmetries
from blemish.data.folder import DefectFolder, load
from blemish.errors import BundleError, DataError
from blemish.evaluation.eyes import Eyes
from blemish.evaluation.snapshots import Stage, best, judge_snapshots
from blemish.evaluation.snapshots import keep as keep_snapshot
from blemish.features import load_features
from blemish.generator.network import Generator
from blemish.generator.restore import shape_of
from blemish.generator.stitch import Defects, read_defects
from blemish.pictures import to_tensor

OWN = {"own_area": "area of own masks", "own_alike": "IoU of two own"}


def main(
    bundle: Path,
    data: Path,
    /,
    stage: Stage = "generator",
    everything: bool = False,
    n: int = 500,
    keep: bool = False,
) -> None:
    """Print a row for each snapshot, and the one to keep.

    Args:
        bundle: Bundle whose training/<stage> contains snapshots.
        data: Folder of its training data.
        stage: Stage of the snapshots: generator is stage 1, defects is stage 2.
        everything: The bundle was trained on the test photographs as well.
        n: Number of samples per snapshot of stage 1.
        keep: Make the selected snapshot the bundle's generator; nothing may have been trained on it
            yet.
    """
    found, folder = find_bundle(bundle), DefectFolder(data)
    if not _snapshots(found, stage):
        raise BundleError(
            got=f"{found.path}, with no snapshots in training/{stage}",
            expected="a bundle after a training",
            todo="Give that bundle, or another --stage.",
        )
    if stage == "generator":
        chosen = _judge_parts(found, folder, everything, n)
    else:
        chosen = _judge_defects(found, folder, everything)
    if keep:
        keep_snapshot(found, chosen, stage)
    print(f"\nKept {chosen} kimg." if keep else f"\nKeep {chosen} kimg.")


def _judge_parts(bundle: Bundle, data: DefectFolder, everything: bool, n: int) -> int:
    photographs = data.good(None if everything else "train")
    pictures, _ = load(photographs, shape_of(bundle).resolution)
    pooled = Eyes.of_network(load_features("squeezenet")).pooled
    shape = replace(shape_of(bundle), defect=None)  # they were saved before there was a branch
    folder = bundle.path / "training" / "generator"
    verdicts = judge_snapshots(folder, shape, to_tensor(pictures), pooled, n=n)
    print("| kimg | kernel distance | memorised |\n| ---: | ---: | ---: |")
    for verdict in verdicts:
        print(f"| {verdict.kimg} | {verdict.kernel_distance:.4f} | {verdict.memorised:.3f} |")
    return best(verdicts).kimg


def _judge_defects(bundle: Bundle, data: DefectFolder, everything: bool) -> int:
    """Figures under the masks of the training defects, moved."""
    shape, how = shape_of(bundle), bundle.config["training"]["defects"]
    types = shape.defect.types if shape.defect else ()
    real = read_defects(data, types, shape.resolution, third=not everything)
    known = {} if real is None else _by_type(real, types)
    if not known:
        raise DataError(
            got=f"{data.root}, without two defects of any type among {', '.join(types)}",
            expected="the folder that the branch was trained on",
            todo="Give that folder.",
        )
    placements, eyes = Symmetries(**how["placements"]), Eyes.of_network(load_features("squeezenet"))
    head = [f"{kind}, {view}" for kind in known for view in ("around", "inside")]
    head = ["kimg", *head, *OWN.values()]
    print(f"| {' | '.join(head)} |\n|{' ---: |' * len(head)}")
    means: dict[int, float] = {}
    for kimg, generator in _generators(bundle):
        rows = [judge_branch(generator, some, placements, eyes) for some in known.values()]
        distances = [row[view] or 0 for row in rows for view in ("around", "inside")]
        means[kimg] = fmean(distances)
        own = [fmean(row[name] or 0 for row in rows) for name in OWN]
        print(f"| {kimg} | {' | '.join(f'{x:.3f}' for x in (*distances, *own))} |", flush=True)
    return min(means, key=lambda kimg: means[kimg])


def _by_type(real: Defects, types: Sequence[str]) -> dict[str, Defects]:
    """Features by type; a type with a single one has no distances."""
    chosen = {kind: real.kind == index for index, kind in enumerate(types)}
    return {
        kind: Defects(image=real.image[some], mask=real.mask[some], kind=real.kind[some])
        for kind, some in chosen.items()
        if some.sum() > 1
    }


def _generators(bundle: Bundle) -> Iterator[tuple[int, Generator]]:
    for file in _snapshots(bundle, "defects"):
        generator = Generator(shape_of(bundle))
        generator.load_state_dict(load_tensors(file)[0])
        yield int(file.stem.split("-")[1]), generator.eval()


def _snapshots(bundle: Bundle, stage: Stage) -> list[Path]:
    return sorted((bundle.path / "training" / stage).glob("generator-*.safetensors"))


if __name__ == "__main__":
    tyro.cli(main)
