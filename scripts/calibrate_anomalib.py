"""Thresholds of a detector by several kinds of defects: `calibrate_anomalib.py DATA BUNDLE`.

scripts/calibrate-anomalib calls it in an environment of anomalib's. Prints a table in Markdown.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
import torchvision_operators  # noqa: F401  (first, so that torchvision can be imported)
from anomalib.data.utils.generators.perlin import PerlinAnomalyGenerator
from anomalib.models.image.patchcore.torch_model import PatchcoreModel
from lightning import seed_everything
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate

from blemish.data import DefectFolder
from blemish.efficientnet import load_lite0
from blemish.torch import AddDefect

SIDE = 256
LEARNT = 0.75  # share of train/good that the detector learns; thresholds are set with the rest
DEFECTS = 28  # of a kind, or one on each photograph of the rest if there are more
PATCHES = 2000  # that PatchCore compares with
SEEDS = range(5)
LAYERS = {"layer2": "stride8", "layer3": "stride16"}

Defects = Callable[[Sequence[Tensor]], list[Tensor]]


class Lite0(nn.Module):
    """EfficientNet-Lite0 as PatchCore asks for features; its weights come with a package."""

    def __init__(self) -> None:
        super().__init__()
        self.network = load_lite0()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Maps of images in [0, 1]."""
        found = self.network(2 * images - 1)
        return {ours: found[theirs] for ours, theirs in LAYERS.items()}


def pictures(files: Iterable[Path]) -> list[Tensor]:
    """Images `3 h w` in [0, 1], at their own size."""
    levels = [np.array(Image.open(file).convert("RGB")) for file in files]
    return [torch.from_numpy(one).permute(2, 0, 1).float() / 255 for one in levels]


def small(images: Iterable[Tensor]) -> list[Tensor]:
    """The same images as the detector sees them."""
    size = (SIDE, SIDE)
    return [interpolate(one[None], size, mode="bilinear", antialias=True)[0] for one in images]


def detector(images: Sequence[Tensor]) -> PatchcoreModel:
    """PatchCore that has learnt these good parts; its scores are not normalised."""
    model = PatchcoreModel([*LAYERS], backbone="resnet18", pre_trained=False)
    model.feature_extractor = Lite0()
    patches = sum(len(model.train()(image[None])) for image in images)
    model.subsample_embedding(min(1, PATCHES / patches))
    return model.eval()


@torch.no_grad()
def scores(model: PatchcoreModel, images: Iterable[Tensor]) -> np.ndarray:
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


def auroc(good: np.ndarray, bad: np.ndarray) -> float:
    """Probability that a defect scores higher than a good part."""
    higher = (bad[:, None] > good) + 0.5 * (bad[:, None] == good)
    return float(higher.mean())


def several(images: Sequence[Tensor]) -> list[Tensor]:
    """Each photograph as often as defects are laid on it."""
    return [image for image in images for _ in range(max(1, DEFECTS // len(images)))]


def perlin(images: Sequence[Tensor]) -> list[Tensor]:
    """Anomalies of anomalib's own generator, at the detector's size as in its training."""
    add = PerlinAnomalyGenerator(probability=1.0)
    return [add(image)[0] for image in small(several(images))]


def blemish(add: AddDefect) -> Defects:
    """Defects of Blemish, at the photograph's own size."""
    return lambda images: small(add(image)[0] for image in several(images))


def row(name: str, thresholds: Sequence[float], good: np.ndarray, bad: np.ndarray) -> str:
    """Medians over the seeds, with the lowest and the highest F1."""
    found = [f1(threshold, good, bad) for threshold in thresholds]
    spread = f" ({min(found):.2f}–{max(found):.2f})" if len(found) > 1 else ""
    return f"| {name} | {np.median(thresholds):.2f} | {np.median(found):.2f}{spread} |"


def main(data: Path, bundle: Path) -> None:
    """Calibrate with each kind of defects, and judge on photographs that nobody has seen."""
    seed_everything(0)
    folder = DefectFolder(data)
    thirds = [folder.thirds(kind) for kind in folder.types]
    good = [photo.path for photo in folder.good_to_learn(everything=False)]
    learnt = good[: int(LEARNT * len(good))]
    model, rest = detector(small(pictures(learnt))), pictures(good[len(learnt) :])
    real = {"real": data, "first_third": True, "mask_kind": "real"}
    ways: dict[str, Defects] = {
        "Perlin, as anomalib makes them": perlin,
        "Blemish, drawn by its windows": blemish(AddDefect(bundle, probability=1, **real)),
        "Blemish, real ones pasted": blemish(
            AddDefect(bundle, probability=1, method="paste", **real)
        ),
    }
    calm = scores(model, small(rest))
    tested = scores(model, small(pictures(photo.path for photo in folder.good("test"))))
    first, others = (
        scores(model, small(pictures(photo.path for third in thirds for photo in third[k])))
        for k in (0, 1)
    )
    print(
        f"{len(learnt)} good photographs learnt and {len(rest)} for the thresholds; judged on "
        f"{len(tested)} good ones and {len(others)} defects (AUROC {auroc(tested, others):.3f}).\n"
    )
    print("| defects that set the threshold | threshold | F1 on held-out photographs |")
    print("| --- | ---: | ---: |")
    for name, defects in ways.items():
        thresholds = []
        for seed in SEEDS:
            seed_everything(seed)
            thresholds.append(best(calm, scores(model, defects(rest))))
        print(row(f"{name} ({len(several(rest))})", thresholds, tested, others), flush=True)
    print(row(f"real, first third ({len(first)})", [best(calm, first)], tested, others))
    print(row("the held-out photographs themselves", [best(tested, others)], tested, others))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
