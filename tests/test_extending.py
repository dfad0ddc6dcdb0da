"""What docs/extending.md promises: a dummy of each kind, added through exactly the files it names.

The package is copied, the dummies' files are put beside the others, and one line of each registry
is edited. Then all of them are used as a user would, in a process of its own.
"""

import json
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "blemish"

FILES = {
    "inversion/dummy.py": """
from dataclasses import dataclass

from blemish.inversion.descent import descend
from blemish.inversion.reconstruction import ReconstructionLoss
from blemish.inversion.search import Search
from blemish.inversion.space import start_point


@dataclass(frozen=True, slots=True, kw_only=True)
class Dummy:
    space: str = "w+"

    def find(self, model, target, *, rngs, where=None, defect=False, watch=None):
        point = start_point(model.generator, self.space, "mean", None, rngs, defect=defect)
        weights = {"pixels": 1.0, "features": 1}
        likeness = ReconstructionLoss.to(model.critic, target, where)
        return descend(model.generator, point, likeness, weights, Search(steps=0), watch=watch)
""",
    "synthesis/placement/dummy.py": """
from blemish.synthesis.composite import Carried
from blemish.synthesis.placement.task import PlacedDefect


class Dummy:
    types = ("paint",)

    def __init__(self, bundle, options, device):
        pass

    def record(self):
        return {}

    def prepare(self, kind):
        pass

    def invert(self, request, *, on_progress=None):
        return None

    def place(self, request, seed, strength, twin, *, on_progress=None):
        picture = request.picture.copy()
        picture[request.requested] = 7
        changed = (picture != request.picture).any(axis=2)
        carried = Carried(picture=picture, changed=changed)
        return PlacedDefect(carried=carried, drawn=request.requested)
""",
    "synthesis/references/dummy.py": """
class Dark:
    def error(self, image, mask):
        return ((image + 1).square() * mask).mean(dim=(1, 2, 3))


class DummySource:
    def __init__(self, real):
        pass

    def prepare(self, kind):
        pass

    def choose(self, kind, photograph, mask, seed):
        return Dark()
""",
    "synthesis/masks/dummy.py": """
from blemish.synthesis.masks.shapes import shape_of_discs

import numpy as np


def dummy(rng):
    turn = rng.uniform(0, 2 * np.pi)
    ends = 40 * np.array([[np.cos(turn), np.sin(turn)], [-np.cos(turn), -np.sin(turn)], [0, 0]])
    return shape_of_discs(ends, np.array([12.0, 12.0, 40.0]))
""",
    "synthesis/export/dummy.py": """
def dummy(items, *, pairs):
    yield "names.txt", "\\n".join(item.name for item in items.items).encode()
""",
    "models/dummy.py": """
from dataclasses import dataclass

from torch import nn

from blemish.models.critic import Critic, CriticConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DummyConfig(CriticConfig):
    kind: str = "dummy"

    def build(self, shape, image_channels):
        return Dummy(self, image_channels)


class Dummy(Critic):
    def __init__(self, config, channels):
        super().__init__(config)
        self.weigh = nn.Linear(channels, 1)

    def forward(self, stack, label=None):
        return self.weigh(stack.mean(dim=(2, 3))).squeeze(1)

    def features(self, stack):
        return [stack]
""",
    "evaluation/synthesis/dummy.py": """
def dummy(compared):
    return float(len(compared.features))
""",
}
# Of each file: a line before which another one is put. Imports come with the line that they serve.
LINES = {
    "inversion/methods.py": [
        ('    "project": Projection,', '    "dummy": Dummy,'),
        (
            "from blemish.inversion.encode import Encode",
            "from blemish.inversion.dummy import Dummy",
        ),
    ],
    "synthesis/placement/methods.py": [
        ('    "window": WindowPlacement,', '    "dummy": Dummy,'),
        (
            "from blemish.synthesis.placement.task import PlacementMethod",
            "from blemish.synthesis.placement.dummy import Dummy",
        ),
    ],
    "synthesis/references/base.py": [
        ('    "distil": DistilSource,', '    "dummy": DummySource,'),
        (
            "from blemish.synthesis.references.stitch import StitchSource",
            "from blemish.synthesis.references.dummy import DummySource",
        ),
    ],
    "synthesis/masks/draw.py": [
        ('    "spots": spots,', '    "dummy": dummy,'),
        (
            "from blemish.synthesis.options import MaskOptions",
            "from blemish.synthesis.masks.dummy import dummy",
        ),
    ],
    "synthesis/export/export.py": [
        (
            '    "hf-imagefolder": (imagefolder,',
            '    "dummy": (dummy, "a list of names"),',
        ),
        (
            "from blemish.synthesis.export.imagefolder import LIST, imagefolder",
            "from blemish.synthesis.export.dummy import dummy",
        ),
    ],
    "models/critic_kinds.py": [
        ('    "projected": ProjectedConfig,', '    "dummy": DummyConfig,'),
        (
            "from blemish.models.projected import ProjectedConfig",
            "from blemish.models.dummy import DummyConfig",
        ),
    ],
    "evaluation/synthesis/realism.py": [
        (
            '    Metric("sharpness", "", "sharpness", relative_sharpness),',
            '    Metric("dummy", "mm", "a dummy", dummy),',
        ),
        (
            "from blemish.evaluation.synthesis.closeups import CloseUps",
            "from blemish.evaluation.synthesis.dummy import dummy",
        ),
    ],
    "names.py": [
        ('    "paste": MethodTraits(', '    "dummy": MethodTraits(needs_bundle=False),'),
    ],
}
NAMES = (
    "InversionName",
    "PlacementName",
    "ReferenceName",
    "MaskKind",
    "ExportFormat",
    "CriticKind",
)
SCRIPT = """
import json, sys
from pathlib import Path
from tiny import TYPES, write_bundle, write_parts, write_scene
import torch
from blemish.checkpoint import Bundle
from blemish.cli import main
from blemish.evaluation.synthesis.page import CLOSE_UPS
from blemish.evaluation.synthesis.realism import Compared
from blemish.manifest import read_rows

here = Path(sys.argv[1])
data = write_parts(here / "data")
normal, mask = write_scene(here)
write_bundle(here / "bundle", encoder=True)
on = ["--device", "cpu"]

def run(*words):
    code = main([*map(str, words)])
    assert code == 0, words

def made(name, *words):
    run("synthesize", "--normal", normal, "--defect", "paint", "--out", here / name, *words, *on)
    return [*read_rows(here / name / "manifest.jsonl")][-1]["options"]

run("invert", "--image", normal, "--bundle", here / "bundle", "--method", "dummy",
    "--out", here / "inversion", *on)
found = {
    "way": made("way", "--mask", mask, "--method", "dummy")["way"],
    "reference": made("reference", "--mask", mask, "--bundle", here / "bundle", "--invert",
                      "encode", "--defect-steps", "1", "--reference", "dummy")["reference"],
}
made("masks", "--mask-kind", "dummy", "--area", "0.05", "--method", "paste", "--real", data)
found["masks"] = len([*(here / "masks" / "drawn").glob("*.png")])
run("export", here / "way", "--format", "dummy", "--out", here / "exported")
found["names"] = (here / "exported" / "names.txt").read_text()
run("train", "generator", data, "--out", here / "trained", "--preset", "tiny-16", "--critic",
    "dummy", "--kimg", "0.008", "--batch", "4", *on)
found["critic"] = Bundle(here / "trained").config["critic"]["kind"]
rows = torch.rand(6, 4, dtype=torch.double)
seen = Compared(features=rows, insides=rows, sharpness=[], real_features=rows + 1,
                real_insides=rows + 1, real_positions=rows + 1, real_sharpness=[])
found["metric"] = [seen.measured().figures["dummy"], CLOSE_UPS["dummy"]]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with a dummy of each kind."""
    package = tmp_path_factory.mktemp("extended") / "blemish"
    copytree(PACKAGE, package, ignore=lambda _, names: {"bundles", "__pycache__"} & {*names})
    for name, text in FILES.items():
        assert not (package / name).exists()
        (package / name).write_text(text)
    for name, lines in LINES.items():
        for anchor, line in lines:
            _put(package / name, anchor, line)
    text = (package / "names.py").read_text()
    for name in NAMES:
        opening = f"\n{name} = Literal["
        assert text.count(opening) == 1, name
        text = text.replace(opening, f'{opening}"dummy", ')
    (package / "names.py").write_text(text)
    return package.parent


def _put(file: Path, anchor: str, line: str) -> None:
    lines = file.read_text().splitlines()
    found = [index for index, known in enumerate(lines) if known.startswith(anchor)]
    assert len(found) == 1, (file, anchor)
    lines.insert(found[0], line)
    file.write_text("\n".join(lines) + "\n")


def test_a_dummy_of_each_kind_is_a_file_and_a_line(extended: Path, tmp_path: Path) -> None:
    """Nothing but the named files is touched, and each dummy works from the command line."""
    paths = {"PYTHONPATH": f"{extended}:{ROOT / 'tests'}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=paths,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["way"], found["reference"], found["critic"]) == ("dummy",) * 3
    assert found["masks"] == 1
    assert found["names"].startswith("nut_")
    assert found["metric"] == [6.0, "a dummy, mm"]


def test_the_page_names_every_file_that_is_touched() -> None:
    page = (ROOT / "docs" / "extending.md").read_text()
    for name in LINES:
        assert f"`{name}`" in page
    for name in NAMES:
        assert f"`{name}`" in page
