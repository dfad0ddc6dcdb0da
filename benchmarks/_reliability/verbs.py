"""The commands that write, each with what it needs and what it leaves."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks._reliability.scene import Scene, synthesis, training
from blemish.data.unfinished import MARK
from blemish.header import read_header

# These contain times, or are the system's lock; all other files must come out with the same bytes.
TIMED = frozenset({"stats.jsonl", "curves.png", "running.lock", "report.html", "report.json"})
Prepare = Callable[[Path], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """A command that writes.

    Attributes:
        name: Its name in the report.
        arguments: The command line.
        again: The command line that carries it on.
        prepare: Puts into the working directory what the command changes.
        kills: How often it is killed.
        shares: Shares of what it writes for which its full disks have room, from 0 to 1.
        slow: Whether it starts processes of its own, each with all libraries.
    """

    name: str
    arguments: list[str]
    again: list[str]
    prepare: Prepare
    kills: int
    shares: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8)
    slow: bool = False


def verbs(scene: Scene) -> list[Verb]:
    """All of them."""
    bundle, items = str(scene.bundle("windows").resolve()), str(scene.items.resolve())
    recipe = str(scene.recipe.resolve())
    photograph = str(scene.photograph.resolve())
    real = ["evaluate", "utility", "--real", str(scene.parts.resolve()), "--synthetic", items]
    short = ["--seeds", "1", "--steps", "2", "--size", "32", "--batch", "4"]
    exports = [
        _plain(f"export {kind}", ["export", items, "--out", "out", "--format", kind], kills=18)
        for kind in ("mvtec", "coco", "yolo", "hf-imagefolder")
    ]
    return [
        _stage("generator", scene, None, kills=21),
        _stage("encoder", scene, "generator", kills=12),
        _stage("masks", scene, "encoder", kills=9),
        _stage("windows", scene, "masks", kills=3, shares=(0.3, 0.7)),
        _plain("invert", ["invert", "--image", photograph, "--bundle", bundle, "--steps", "3"]),
        _plain("synthesize", synthesis(scene, "out")),
        _plain(
            "batch --workers 2",
            ["batch", recipe, "--out", "out", "--workers", "2"],
            kills=12,
            slow=True,
        ),
        _gather(scene, kills=15),
        *exports,
        _plain("evaluate utility", [*real, *short, "--arms", "real,copy-paste,synthetic"]),
        _plain("data import", ["data", "import", str(scene.annotated.resolve())], kills=15),
        _plain("import", ["import", str(scene.foreign.resolve()), "--out", "out"]),
        _plain("export-model", ["export-model", bundle, "--out", "out/state.safetensors"]),
    ]


def contents(folder: Path) -> dict[str, str]:
    """A digest of each file below a folder but those that contain times."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name not in TIMED
    }


def leftovers(folder: Path) -> list[str]:
    """Files that a killed writer left, without the mark by which an export is carried on."""
    hidden = [path.name for path in folder.rglob(".*") if path.is_file()]
    return [name for name in hidden if not name.startswith(MARK.format(""))]


def torn(folder: Path) -> list[str]:
    """Files under their own names that are not whole."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            try:
                _read(path)
            except (OSError, ValueError, SyntaxError) as error:
                found.append(f"{path.name} ({error})")
    return found


def _read(path: Path) -> None:
    if path.suffix == ".safetensors":
        read_header(path)
    elif path.suffix == ".png":
        with Image.open(path) as image:
            image.load()
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".html" and not path.read_text().endswith("</html>\n"):
        raise ValueError("no end")


def _plain(name: str, arguments: list[str], *, kills: int = 24, slow: bool = False) -> Verb:
    if "--out" not in arguments:
        arguments = [*arguments, "--out", "out"]
    return Verb(
        name=name,
        arguments=arguments,
        again=arguments,
        prepare=lambda folder: None,
        kills=kills,
        slow=slow,
    )


def _gather(scene: Scene, *, kills: int) -> Verb:
    return Verb(
        name="gather",
        arguments=["gather", "out"],
        again=["gather", "out"],
        prepare=lambda folder: _copied(scene.shards, folder / "out"),
        kills=kills,
    )


def _copied(source: Path, target: Path) -> None:
    shutil.copytree(source, target)


def _stage(stage: str, scene: Scene, before: str | None, **about: Any) -> Verb:
    arguments = training(stage, scene, "out")

    def prepare(folder: Path) -> None:
        if before is not None:
            _copied(scene.bundle(before), folder / "out")

    return Verb(
        name=f"train {stage}",
        arguments=arguments,
        again=[*arguments, "--resume"],
        prepare=prepare,
        **about,
    )
