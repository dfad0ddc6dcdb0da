"""Reads a folder in MVTec AD's layout as anomalib does, in two ways, and trains on each.

Then DRAEM is trained with defects of Blemish in place of those that anomalib makes of Perlin noise.
scripts/check-anomalib calls it in an environment of anomalib's: `check_anomalib.py FOLDER`.
anomalib pairs pictures with masks by their order alone, hence the comparison of each mask with
its file.
"""

import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision_operators  # noqa: F401  (first, so that torchvision can be imported)
from anomalib.data import AnomalibDataModule, Folder, ImageItem, MVTecAD
from anomalib.data.datasets.base import AnomalibDataset
from anomalib.engine import Engine
from anomalib.models import AnomalibModule, Draem, Fastflow
from lightning import seed_everything
from PIL import Image

from blemish.torch import AddDefect

SMALL: dict[str, Any] = {"train_batch_size": 2, "eval_batch_size": 2, "num_workers": 0, "seed": 0}


def as_mvtec_ad(root: Path) -> MVTecAD:
    """The folder as a category of MVTec AD."""
    return MVTecAD(root=root.parent, category=root.name, val_split_mode="same_as_test", **SMALL)


def as_folder(root: Path) -> Folder:
    """The same, with every part of it named."""
    kinds = sorted(path.name for path in (root / "ground_truth").iterdir())
    return Folder(
        name=root.name,
        root=root,
        normal_dir="train/good",
        normal_test_dir="test/good" if (root / "test/good").is_dir() else None,
        abnormal_dir=[f"test/{kind}" for kind in kinds],
        mask_dir=[f"ground_truth/{kind}" for kind in kinds],
        val_split_mode="same_as_test",
        **SMALL,
    )


def compare_pictures(module: AnomalibDataModule, root: Path) -> None:
    """Every picture is found once and on its side."""
    train, test = (list(data.samples.image_path) for data in (module.train_data, module.test_data))
    good = sorted(map(str, root.glob("train/good/*.png")))
    tested = sorted(map(str, root.glob("test/*/*.png")))
    assert sorted(train + test) == sorted(good + tested), "pictures are missing, or found twice"
    # Where no photograph was held out, anomalib takes some of train/good to test on.
    drawn = [] if (root / "test/good").is_dir() else sorted(set(good) & set(test))
    assert sorted(test) == sorted(tested + drawn), "pictures are on the wrong side"


def compare_masks(data: AnomalibDataset, root: Path) -> None:
    """Each item is a defect with its own mask, each photograph is good with an empty one."""
    for index in range(len(data)):
        item = data[index]
        assert isinstance(item, ImageItem) and item.image_path, f"no picture: {item}"
        picture = Path(item.image_path)
        mask = root / "ground_truth" / picture.parent.name / f"{picture.stem}_mask.png"
        found = np.asarray(item.gt_mask).astype(bool)
        wanted = np.asarray(Image.open(mask)) > 127 if mask.exists() else np.zeros_like(found)
        assert np.array_equal(found, wanted), f"another mask for {picture}"
        assert bool(item.gt_label) == wanted.any(), f"another label for {picture}"


def engine(work: str, **limits: Any) -> Engine:
    """An engine for one epoch on the CPU, which draws and logs nothing."""
    quiet: dict[str, Any] = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Engine(
        default_root_dir=work, accelerator="cpu", devices=1, max_epochs=1, **quiet, **limits
    )


def train(model: AnomalibModule, module: AnomalibDataModule, work: str) -> Mapping[str, float]:
    """One epoch, then anomalib's own test, whose figures are returned."""
    seed_everything(0, verbose=False)
    trainer = engine(work)
    trainer.fit(model=model, datamodule=module)
    epochs = trainer.trainer.current_epoch
    assert epochs == 1, f"{epochs} epochs, not one"
    (figures,) = trainer.test(model=model, datamodule=module, verbose=False)
    assert figures and all(map(isfinite, figures.values())), f"no figures to compare: {figures}"
    return figures


def check(module: AnomalibDataModule, root: Path) -> str:
    """Read, compare and train with one of anomalib's data modules; what to tell of it."""
    start = time.perf_counter()
    module.setup()
    compare_pictures(module, root)
    compare_masks(module.test_data, root)
    with tempfile.TemporaryDirectory() as work:
        # Without trained weights, so that nothing is downloaded: it is to run, not to detect.
        model = Fastflow(pre_trained=False, flow_steps=2, visualizer=False)
        figures = train(model, module, work)
    told = ", ".join(f"{name} {value:.2f}" for name, value in figures.items())
    return (
        f"{type(module).__name__}: {len(module.train_data)} pictures to train on and "
        f"{len(module.test_data)} to test on, read, compared, trained on for one epoch and "
        f"tested in {time.perf_counter() - start:.0f} s ({told})"
    )


class Watched(torch.nn.Module):
    """Defects of Blemish, and how many pixels they have marked."""

    def __init__(self) -> None:
        super().__init__()
        self.add = AddDefect("hazelnut", probability=1)
        self.marked: list[float] = []

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Images with a defect on each, and masks."""
        changed, masks = self.add(images)
        assert changed.shape == images.shape and masks.shape == images[:, :1].shape
        assert not ((changed != images).any(1, keepdim=True) & (masks == 0)).any()
        self.marked += masks.mean((1, 2, 3)).tolist()
        return changed, masks


def drop_in(root: Path) -> str:
    """DRAEM, two steps of which learn from defects of Blemish."""
    seed_everything(0, verbose=False)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as work:
        model = Draem(dtd_dir=work, visualizer=False)  # a folder, so that no textures are fetched
        model.augmenter = Watched()
        before = [weight.clone() for weight in model.model.parameters()]
        engine(work, limit_train_batches=2, limit_val_batches=0).fit(
            model=model, datamodule=as_mvtec_ad(root)
        )
    after = zip(before, model.model.parameters(), strict=True)
    assert all(weight.isfinite().all() for weight in model.model.parameters()), "weights overflow"
    assert any(not torch.equal(old, new) for old, new in after), "nothing is learnt"
    marked = model.augmenter.marked
    assert len(marked) == 4 and min(marked) > 0, f"images without a defect: {marked}"
    return (
        f"Draem: {len(marked)} images with defects of Blemish on {min(marked):.1%} to "
        f"{max(marked):.1%} of their pixels, in {time.perf_counter() - start:.0f} s"
    )


def main(root: Path) -> None:
    """All three; an assertion that fails says what anomalib sees otherwise than we do."""
    print(*(f"{name} {version(name)}" for name in ("anomalib", "torch", "torchvision")), sep=", ")
    for read in (as_mvtec_ad, as_folder):
        print(check(read(root), root), flush=True)
    print(drop_in(root), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
