"""Thresholds of an anomaly detector by several kinds of defects: `calibrate_anomalib.py DATA MADE`.

scripts/calibrate-anomalib calls it in an environment of anomalib's. Prints a table in Markdown.
"""

import sys
import tempfile
from collections.abc import Iterable, Sequence
from math import ceil
from pathlib import Path

import numpy as np
import torch
from anomalib.data import Folder
from anomalib.data.utils.generators.perlin import PerlinAnomalyGenerator
from anomalib.engine import Engine
from anomalib.models import Padim
from lightning import seed_everything
from PIL import Image

SIDE = 256
LEARNT = 0.75  # share of train/good that the detector learns; thresholds are set with the rest


def pictures(files: Iterable[Path]) -> list[torch.Tensor]:
    """Images `3 s s` in [0, 1]."""
    found = []
    for file in files:
        with Image.open(file) as opened:
            levels = np.asarray(
                opened.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            )
        found.append(torch.from_numpy(levels.copy()).permute(2, 0, 1).float() / 255)
    return found


def detector(files: Sequence[Path]) -> Padim:
    """PaDiM that has learnt these photographs of good parts; its scores are not normalised."""
    model = Padim(post_processor=False, evaluator=False, visualizer=False)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "good").mkdir()
        for file in files:
            (Path(folder) / "good" / file.name).symlink_to(file)
        module = Folder(
            name="parts",
            root=folder,
            normal_dir="good",
            test_split_mode="none",
            val_split_mode="none",
            train_batch_size=4,
            num_workers=0,
        )
        Engine(default_root_dir=folder, logger=False).fit(model=model, datamodule=module)
    return model.eval()


@torch.no_grad()
def scores(model: Padim, images: Sequence[torch.Tensor]) -> np.ndarray:
    """Anomaly score of each image."""
    return np.array([float(model(image[None]).pred_score.reshape(-1)[0]) for image in images])


def f1(threshold: float, good: np.ndarray, bad: np.ndarray) -> float:
    """F1 of "at or above the threshold is a defect"."""
    hits, false = (bad >= threshold).sum(), (good >= threshold).sum()
    return float(2 * hits / (len(bad) + hits + false))


def best(good: np.ndarray, bad: np.ndarray) -> float:
    """Threshold with the highest F1, in the middle of the gap between two scores."""
    known = np.unique(np.concatenate([good, bad]))
    between = np.concatenate([known[:1], (known[1:] + known[:-1]) / 2])
    return float(between[np.argmax([f1(t, good, bad) for t in between])])


def main(data: Path, made: Path) -> None:
    """Calibrate in three ways, and judge each on held-out photographs."""
    seed_everything(0)
    good = sorted((data / "train" / "good").iterdir())
    learnt = good[: int(LEARNT * len(good))]
    model, rest = detector(learnt), pictures(good[len(learnt) :])
    kinds = [sorted((data / "test" / p.name).iterdir()) for p in (data / "ground_truth").iterdir()]
    third = [file for files in kinds for file in files[: ceil(len(files) / 3)]]
    held_out = [file for files in kinds for file in files[ceil(len(files) / 3) :]]
    perlin = PerlinAnomalyGenerator(probability=1.0)
    ways = {
        "Perlin": [perlin(image)[0] for image in rest for _ in range(4)],
        "Blemish": pictures(sorted((made / "test").glob("*/*.png"))),
        "real, first third": pictures(third),
    }
    calibrated = scores(model, rest)
    tested = scores(model, pictures(sorted((data / "test" / "good").iterdir())))
    defects = scores(model, pictures(held_out))
    print("| defects that set the threshold | threshold | F1 on held-out photographs |")
    print("| --- | ---: | ---: |")
    for name, images in ways.items():
        threshold = best(calibrated, scores(model, images))
        print(
            f"| {name} ({len(images)}) | {threshold:.3f} | {f1(threshold, tested, defects):.3f} |"
        )
    bound = best(tested, defects)
    print(
        f"| the held-out photographs themselves | {bound:.3f} | {f1(bound, tested, defects):.3f} |"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
