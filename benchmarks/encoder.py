"""Value of each term of the encoder's training: `python -m benchmarks.encoder BUNDLE DATA`.

It trains encoders that differ in one option, all for the same number of images, with the same seed,
on train/good and the first third of the defects of DATA. Each is judged on test/good:
reconstructions of its codes, and of in-domain inversion. Writes benchmarks/encoder.md; finished
rows are stored beside the copies of the bundle in --work, so that an interrupted run resumes.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import tyro

from benchmarks._hardware import heading
from blemish.checkpoint import Bundle, find_bundle
from blemish.data.augment import Symmetries
from blemish.data.folder import DefectFolder, load_pictures
from blemish.devices import make_fabric
from blemish.evaluation.metrics import sliced_wasserstein
from blemish.files import write_atomically
from blemish.inversion.domain import cycle_distance, read_again
from blemish.inversion.encode import Encode
from blemish.inversion.indomain import InDomain
from blemish.inversion.losses import squared_error
from blemish.inversion.methods import InversionMethod
from blemish.inversion.model import Model, load_model
from blemish.inversion.reconstruction import ReconstructionLoss
from blemish.models.mixing import fresh_rows
from blemish.pictures import to_tensor
from blemish.training.encoder.presets import RECIPES, EncoderTraining
from blemish.training.encoder.train import train_encoder
from blemish.training.presets import preset_of

REPORT = Path(__file__).with_suffix(".md")
OURS, ORDINARY = RECIPES["in-domain"], RECIPES["ordinary"]
VARIANTS: dict[str, EncoderTraining] = {
    "ours": OURS,
    "without drawn pairs": replace(OURS, pairs=0),
    "without photographs": replace(OURS, pairs=1),
    "without features": replace(OURS, feature_weight=0),
    "without the critic": replace(OURS, adversarial_weight=0),
    "without the penalty on spread": replace(OURS, spread_weight=0),
    "idinvert's terms (photographs, critic's features)": replace(
        OURS, pairs=0, defects=0, code_weight=0, spread_weight=0, r1_gamma=10
    ),
    "ordinary (known codes alone)": ORDINARY,
}
HEADER = (
    "| encoder | MSE, encoded | features, encoded | SWD, encoded | spread | cycle of own samples "
    "| MSE, in-domain |",
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
)
NAMES = ("mse", "features", "swd", "spread", "cycle", "mse_in_domain")


def main(bundle: str, data: Path, /, work: Path, kimg: float = 2, threads: int = 1) -> None:
    """Train, measure, and write the table.

    Args:
        bundle: Folder or name of a bundle with a generator that has not seen test/good.
        data: Photographs in the layout of MVTec AD.
        work: Folder for copies of the bundle and the rows so far.
        kimg: Thousands of images for each encoder.
        threads: Number of PyTorch's threads.
    """
    torch.set_num_threads(threads)
    found, folder, lines = find_bundle(bundle), DefectFolder(data), [*HEADER]
    for name, training in VARIANTS.items():
        row = _row(found, folder, replace(training, schedule=_schedule(kimg)), work / _slug(name))
        lines.append(f"| {name} | " + " | ".join(f"{row[key]:.4g}" for key in NAMES) + " |")
        print(lines[-1], flush=True)
    about = (
        f"Bundle `{found.path.name}` ({found.path.parent.name}), {kimg:g} kimg each, seed 0, "
        f"{len(folder.good('test'))} photographs of test/good; MSE on [-1, 1], medians of "
        "photographs; features are the critic's; SWD is the sliced Wasserstein distance at the "
        "finest scale; spread is of the rows of w+ and cycle that of 500 fresh samples, both in "
        "units of w's variance; in-domain inversion takes its default steps in w+."
    )
    command = f"python -m benchmarks.encoder BUNDLE DATA --work WORK --kimg {kimg:g}"
    head = heading("What each term of the encoder is worth", command)
    write_atomically(REPORT, "\n".join([head, about, "", *lines, ""]).encode())


def _row(
    found: Bundle, folder: DefectFolder, training: EncoderTraining, place: Path
) -> dict[str, Any]:
    done = place / "row.json"
    if done.exists():
        return json.loads(done.read_text())
    if not (place / "config.json").exists():
        shutil.copytree(found.path, place, ignore=shutil.ignore_patterns("training", "encoder.*"))
    preset = preset_of(found)
    symmetries = Symmetries(**found.config["training"]["generator"]["symmetries"])
    train_encoder(
        folder,
        Bundle(place),
        replace(training, symmetries=symmetries),
        make_fabric("cpu"),
        placements=preset.placements,
        resume=True,
        samples=500,
    )
    row = _measure(load_model(Bundle(place)), folder)
    write_atomically(done, json.dumps(row).encode())
    return row


@torch.no_grad()
def _measure(model: Model, folder: DefectFolder) -> dict[str, float]:
    assert model.encoder is not None and model.domain is not None
    pictures, _ = load_pictures(folder.good("test"), model.generator.config.resolution)
    target = to_tensor(pictures)
    drawn, w = _drawn(model, target, Encode())
    polished, _ = _drawn(model, target, InDomain())
    fresh = fresh_rows(model.generator, 500, torch.Generator().manual_seed(1))
    again = torch.cat(
        [read_again(model.generator, model.encoder, rows) for rows in fresh.split(50)]
    )
    return {
        "mse": squared_error(drawn, target).median().item(),
        "features": ReconstructionLoss.to(model.critic, target)
        .terms(drawn)["features"]
        .median()
        .item(),
        "swd": sliced_wasserstein(drawn, target)[target.shape[-1]],
        "spread": model.domain.spread(w).median().item(),
        "cycle": cycle_distance(fresh, again, model.domain.deviation).median().item(),
        "mse_in_domain": squared_error(polished, target).median().item(),
    }


def _drawn(
    model: Model, target: torch.Tensor, how: InversionMethod
) -> tuple[torch.Tensor, torch.Tensor]:
    rngs = [torch.Generator().manual_seed(0) for _ in target]
    codes = how.find(model, target, rngs=rngs).codes
    return model.generator(codes).image, codes.w


def _schedule(kimg: float) -> Any:
    return replace(OURS.schedule, kimg=kimg, snapshot_kimg=1)


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name)


if __name__ == "__main__":
    tyro.cli(main)
