"""Judge the snapshots of a stage-1 training: `python -m benchmarks.snapshots BUNDLE DATA [--keep]`.

Distances are taken in SqueezeNet's pooled features (see `blemish.features.pooled`), whose weights
`load_features` must find: set BLEMISH_WEIGHTS to their folder.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import tyro

from blemish.checkpoint import find_bundle
from blemish.data.folder import DefectFolder, load
from blemish.evaluation.snapshots import best, judge_snapshots
from blemish.evaluation.snapshots import keep as keep_snapshot
from blemish.features import load_features, pooled
from blemish.generator.restore import shape_of
from blemish.pictures import to_tensor


def main(
    bundle: Path, data: Path, /, everything: bool = False, n: int = 500, keep: bool = False
) -> None:
    """Print a row for each snapshot, and the one to keep.

    Args:
        bundle: Whose training/generator holds snapshots.
        data: The folder that it was trained on.
        everything: It was trained on test/good as well.
        n: Samples drawn from each snapshot.
        keep: Make that one the bundle's generator; the bundle may have no defect branch yet.
    """
    found = find_bundle(bundle)
    photographs = DefectFolder(data).good(None if everything else "train")
    pictures, _ = load(photographs, shape_of(found).resolution)
    features = partial(pooled, load_features("squeezenet"))
    folder = found.path / "training" / "generator"
    shape = replace(shape_of(found), defect=None)  # they were taken before there was a branch
    verdicts = judge_snapshots(folder, shape, to_tensor(pictures), features, n=n)
    print("| kimg | kernel distance | memorised |\n| ---: | ---: | ---: |")
    for verdict in verdicts:
        print(f"| {verdict.kimg} | {verdict.kernel_distance:.4f} | {verdict.memorised:.3f} |")
    chosen = best(verdicts).kimg
    if keep:
        keep_snapshot(found, chosen)
    print(f"\nKept {chosen} kimg." if keep else f"\nKeep {chosen} kimg.")


if __name__ == "__main__":
    tyro.cli(main)
