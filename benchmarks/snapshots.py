"""Judge the snapshots of a training: `python -m benchmarks.snapshots BUNDLE DATA [--keep]`.

They are judged by the kernel distance of their samples to the photographs, and by the fraction of
samples that copy one. Distances use SqueezeNet's pooled features (see `blemish.features.pooled`),
whose weights `load_features` must find: set BLEMISH_WEIGHTS to their folder.
"""

from dataclasses import replace
from pathlib import Path

import tyro

from blemish.checkpoint import find_bundle
from blemish.data.folder import DefectFolder, load_pictures
from blemish.errors import BundleError
from blemish.evaluation.eyes import FeatureExtractor
from blemish.evaluation.snapshots import best, judge_generator_snapshots
from blemish.evaluation.snapshots import keep as keep_snapshot
from blemish.features import load_features
from blemish.models.load import shape_of
from blemish.pictures import to_tensor


def main(
    bundle: Path,
    data: Path,
    /,
    everything: bool = False,
    n: int = 500,
    keep: bool = False,
) -> None:
    """Print a row for each snapshot, and the one to keep.

    Args:
        bundle: Bundle whose training/generator contains snapshots.
        data: Folder of its training data.
        everything: The bundle was trained on the test photographs as well.
        n: Number of samples per snapshot.
        keep: Make the selected snapshot the bundle's generator; nothing may have been trained on it
            yet.
    """
    found, folder = find_bundle(bundle), DefectFolder(data)
    snapshots = found.path / "training" / "generator"
    if not any(snapshots.glob("generator-*.safetensors")):
        raise BundleError(
            got=f"{found.path}, with no snapshots in training/generator",
            expected="a bundle after a training",
            todo="Give that bundle.",
        )
    pictures, _ = load_pictures(
        folder.good(None if everything else "train"), shape_of(found).resolution
    )
    pooled = FeatureExtractor.of_network(load_features("squeezenet")).pooled
    shape = replace(shape_of(found), defect=None)
    verdicts = judge_generator_snapshots(snapshots, shape, to_tensor(pictures), pooled, n=n)
    print("| kimg | kernel distance | memorised |\n| ---: | ---: | ---: |")
    for verdict in verdicts:
        print(f"| {verdict.kimg} | {verdict.kernel_distance:.4f} | {verdict.memorised:.3f} |")
    chosen = best(verdicts).kimg
    if keep:
        keep_snapshot(found, chosen)
    print(f"\n{'Kept' if keep else 'Keep'} {chosen} kimg.")


if __name__ == "__main__":
    tyro.cli(main)
