"""What the commands work on: tiny photographs, a tiny bundle with all its parts, a set of items.

All of it is made by the commands themselves, once, in the benchmark's own folder.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from benchmarks._reliability.children import run
from blemish.files import write_atomically
from blemish.pictures import write_picture

TYPES = {"crack": (30, 30, 30), "paint": (230, 20, 20)}
SHORT = ("--kimg", "0.1", "--batch", "4")
RECIPE = """bundle = "{bundle}"
seed = 3

[[group]]
defect = "crack"
count = 3
photographs = "parts/test/good"
masks = "parts/ground_truth/crack"
method = "window"

[[group]]
defect = "paint"
count = 2
parts = 2
masks = "parts/ground_truth/paint"
method = "window"
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where things are.

    Attributes:
        root: The folder that holds all of them.
    """

    root: Path

    @property
    def parts(self) -> Path:
        """Photographs in the layout of MVTec AD."""
        return self.root / "parts"

    @property
    def items(self) -> Path:
        """What `synthesize` made."""
        return self.root / "items"

    @property
    def foreign(self) -> Path:
        """A generator as a safetensors state dict of another program."""
        return self.root / "foreign.safetensors"

    @property
    def recipe(self) -> Path:
        """A recipe of five items."""
        return self.root / "recipe.toml"

    @property
    def photograph(self) -> Path:
        return self.parts / "test" / "good" / "0.png"

    def bundle(self, stage: str) -> Path:
        """The bundle as a stage of training left it: generator, encoder or windows."""
        return self.root / f"bundle-{stage}"


def steps(scene: Scene) -> Iterator[tuple[Path, Callable[[], None]]]:
    """What is made, in order, with how to make it."""
    yield scene.parts, lambda: _write_parts(scene.parts)
    before = None
    for stage in ("generator", "encoder", "windows"):
        yield scene.bundle(stage), partial(_train, scene, stage, before)
        before = stage
    yield scene.items, lambda: _must(scene.root, synthesis(scene, "items"))
    model = ["export-model", "bundle-windows", "--out", "foreign.safetensors"]
    yield scene.foreign, lambda: _must(scene.root, model)
    text = RECIPE.format(bundle="bundle-windows")
    yield scene.recipe, lambda: write_atomically(scene.recipe, text.encode())


def make(path: Path, action: Callable[[], None]) -> None:
    """Make one of them unless it is there; one that was made halfway is made anew."""
    done = path.with_name(f"{path.name}.done")
    if done.exists():
        return
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    action()
    done.touch()


def _train(scene: Scene, stage: str, before: str | None) -> None:
    out = scene.bundle(stage)
    if before is not None:
        shutil.copytree(scene.bundle(before), out)
    _must(scene.root, training(stage, scene, out.name))


def training(stage: str, scene: Scene, bundle: str) -> list[str]:
    """The command line that trains a stage."""
    data = str(scene.parts.resolve())
    if stage == "generator":
        return ["train", stage, data, "--out", bundle, "--preset", "tiny-16", *SHORT]
    return ["train", stage, data, "--bundle", bundle, *SHORT]


def synthesis(scene: Scene, out: str) -> list[str]:
    """The command line that makes three items."""
    mask = scene.parts.resolve() / "ground_truth" / "crack" / "1_mask.png"
    normal, bundle = scene.photograph.resolve(), scene.bundle("windows").resolve()
    asked = ["--normal", str(normal), "--mask", str(mask), "--defect", "crack", "--count", "3"]
    return ["synthesize", *asked, "--bundle", str(bundle), "--out", out]


def _must(folder: Path, arguments: list[str]) -> None:
    ended = run(arguments, folder)
    if ended.code:
        raise RuntimeError(f"{' '.join(arguments)}: exit code {ended.code}\n{ended.said}")


def _write_parts(root: Path, side: int = 32) -> None:
    for k in range(6):
        split = "train" if k < 4 else "test"
        _write(root / split / "good" / f"{k % 4}.png", _part(side, k))
    for kind, colour in TYPES.items():
        for k in range(6):
            picture, mask = _part(side, 10 + k), _spot(side, 0.35 + 0.05 * k)
            picture[mask] = colour
            _write(root / "test" / kind / f"{k}.png", picture)
            _write(root / "ground_truth" / kind / f"{k}_mask.png", mask)


def _part(side: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    inside = np.hypot(y - side / 2, x - side / 2) < 0.4 * side
    colour = np.where(inside[:, :, None], rng.integers(90, 150, 3), (225, 220, 200))
    texture = cv2.GaussianBlur(rng.normal(0, 20, (side, side, 1)), (0, 0), 2)[:, :, None]
    return (colour + inside[:, :, None] * texture).clip(0, 255).astype(np.uint8)


def _spot(side: int, at: float) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.hypot(y / side - at, x / side - 0.5) < 0.125


def _write(path: Path, levels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, levels)
