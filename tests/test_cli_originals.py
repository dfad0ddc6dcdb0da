"""Photographs of every kind through the commands: what a user gets back is what they gave."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from commands import exit_code
from PIL import Image
from tiny import part, spot, write_bundle

from blemish.data import check
from blemish.data.pairs import read_mask
from blemish.originals import Original
from blemish.pictures import read_picture, write_picture
from blemish.synthesis.composite import within_reach

ORIENTATION = 0x0112
QUARTERS = {1: 0, 3: 2, 6: 1}  # to the left, from how it is looked at to how it is stored
AT = (0.42, 0.56)

LINE = "synthesize --normal {name} --mask mask.png --defect paint --bundle bundle --device cpu"
LINE += " --method window --out out --json"
RECIPE = """
bundle = "bundle"

[[group]]
defect = "paint"
count = {count}
photographs = "photographs"
draw = {{ kind = "blob", area = [0.02, 0.05] }}
"""


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape)


def deep(levels: np.ndarray) -> np.ndarray:
    """16 bits, the lower eight of them at random."""
    return (levels.astype(int) * 256 + noise(*levels.shape)).astype(np.uint16)


def grey(h: int, w: int) -> np.ndarray:
    return part(h, w).mean(axis=2).round().astype(np.uint8)


def write_rgb(path: Path, h: int, w: int, orientation: int = 1) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = np.ascontiguousarray(np.rot90(part(h, w), QUARTERS[orientation]))
    Image.fromarray(stored).save(path, exif=exif)


def write_grey(path: Path, h: int, w: int) -> None:
    Image.fromarray(grey(h, w)).save(path)


def write_deep_grey(path: Path, h: int, w: int) -> None:
    Image.fromarray(deep(grey(h, w))).save(path)


def write_deep_rgb(path: Path, h: int, w: int) -> None:
    assert cv2.imwrite(str(path), deep(part(h, w))[:, :, ::-1])


def write_rgba(path: Path, h: int, w: int) -> None:
    alpha = noise(h, w, 1).astype(np.uint8)
    Image.fromarray(np.concatenate([part(h, w), alpha], axis=2)).save(path)


def turned(orientation: int) -> Callable[[Path, int, int], None]:
    return lambda path, h, w: write_rgb(path, h, w, orientation)


KINDS: dict[str, tuple[Callable[[Path, int, int], None], str, type, int]] = {
    "rgb.png": (write_rgb, "RGB", np.uint8, 1),
    "rgb.jpg": (write_rgb, "RGB", np.uint8, 1),
    "grey.png": (write_grey, "L", np.uint8, 1),
    "grey.jpg": (write_grey, "L", np.uint8, 1),
    "deep_grey.png": (write_deep_grey, "I;16", np.uint16, 1),
    "deep_grey.tif": (write_deep_grey, "I;16", np.uint16, 1),
    "deep_rgb.png": (write_deep_rgb, "RGB", np.uint16, 1),
    "rgba.png": (write_rgba, "RGBA", np.uint8, 1),
    "side.jpg": (turned(6), "RGB", np.uint8, 6),
    "head.jpg": (turned(3), "RGB", np.uint8, 3),
}
SIZE = (96, 130)
PHOTOGRAPHS = [
    *(("rgb.png", size) for size in ((64, 64), (512, 512), (900, 1200))),
    *((name, SIZE) for name in KINDS),
    ("deep_rgb.png", (300, 400)),
    ("side.jpg", (400, 300)),
]


@pytest.fixture(scope="module")
def props(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("props")
    write_bundle(root / "bundle", windows=True)
    return root


@pytest.fixture
def place(props: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bundle").symlink_to(props / "bundle")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("os.fsync", lambda _: None)  # test_files.py sees to that
    return tmp_path


def draw_mask(path: Path, mask: np.ndarray, orientation: int = 1) -> None:
    """One that lies as its photograph does, with the same tag."""
    like = Original(levels=np.zeros(mask.shape, np.uint8), orientation=orientation)
    like.write_mask(path, mask)


def raw(path: Path) -> tuple[np.ndarray, str, int]:
    """Levels as they are stored, mode, and orientation; of 16-bit colour Pillow shows eight."""
    with Image.open(path) as image:
        mode, orientation = image.mode, image.getexif().get(ORIENTATION, 1)
        levels = np.asarray(image)
    unchanged = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if unchanged is not None and unchanged.dtype == np.uint16 and unchanged.ndim == 3:
        levels = unchanged[:, :, ::-1]
    return levels, mode, orientation


def differs(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one != other).reshape(*one.shape[:2], -1).any(axis=2)


def assert_returned(folder: Path, row: dict[str, Any], given: Path, requested: np.ndarray) -> None:
    """The item lies as what was given, and is it but for the label, which lies in the reach."""
    _, mode, dtype, orientation = KINDS[given.name]
    before, *facts = raw(given)
    after, *found = raw(folder / row["files"]["image"])
    label, *about = raw(folder / row["files"]["mask"])
    assert found == facts == [mode, orientation]
    assert about == ["L", orientation]
    assert after.dtype == before.dtype == dtype
    assert after.shape == before.shape
    assert set(np.unique(label)) == {0, 255}
    assert np.array_equal(label == 255, differs(after, before))
    reach = np.rot90(within_reach(requested), QUARTERS[orientation])
    assert np.array_equal(after[~reach], before[~reach])
    assert np.array_equal(raw(folder / row["files"]["twin"])[0], before)
    if mode == "RGBA":
        assert np.array_equal(after[:, :, 3], before[:, :, 3])


def synthesized(
    place: Path, name: str, capsys: pytest.CaptureFixture[str], *, options: str = ""
) -> dict[str, Any]:
    assert exit_code(f"{LINE.format(name=name)} {options}".strip()) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["outcome"] == "kept"
    assert not check(place / "out").complaints
    return row


@pytest.mark.parametrize("name, size", PHOTOGRAPHS)
def test_a_photograph_comes_back_as_it_was(
    name: str, size: tuple[int, int], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    KINDS[name][0](place / name, *size)
    requested = spot(*size, at=AT)
    draw_mask(place / "mask.png", requested, KINDS[name][3])
    row = synthesized(place, name, capsys)
    assert_returned(place / "out", row, place / name, requested)
    assert np.array_equal(read_mask(place / "out" / row["files"]["requested"]), requested)


@pytest.mark.parametrize("name", KINDS)
def test_whoever_looks_at_it_sees_the_same_part(
    name: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    KINDS[name][0](place / name, *SIZE)
    draw_mask(place / "mask.png", spot(*SIZE, at=AT), KINDS[name][3])
    files = synthesized(place, name, capsys, options="--strength 0.6")["files"]
    given, shown = read_picture(place / name), read_picture(place / "out" / files["image"])
    label = read_mask(place / "out" / files["mask"])
    assert shown.shape == (*SIZE, 3)
    assert np.array_equal(differs(given, shown), label)
    met = label & spot(*SIZE, at=AT)
    assert met.sum() > 0.5 * label.sum(), "the label is where the mask was drawn"


def test_a_mask_drawn_over_the_stored_pixels(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    requested = spot(*SIZE, at=AT)
    write_rgb(place / "side.jpg", *SIZE, 6)
    write_picture(place / "mask.png", np.rot90(requested, QUARTERS[6]).copy())
    row = synthesized(place, "side.jpg", capsys)
    assert_returned(place / "out", row, place / "side.jpg", requested)
    write_picture(place / "mask.png", requested)
    upright = synthesized(place, "side.jpg", capsys)
    assert (upright["name"], upright["files"]) == (row["name"], row["files"])


@pytest.mark.parametrize("name", ["side.jpg", "head.jpg", "rgb.png"])
def test_a_mask_of_another_size_is_refused(
    name: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    KINDS[name][0](place / name, *SIZE)
    size = (97, 130) if name == "side.jpg" else (130, 96)
    write_picture(place / "mask.png", spot(*size))
    assert exit_code(LINE.format(name=name)) == 2
    assert f"a mask of {size[1]} × {size[0]} pixels" in capsys.readouterr().err
    assert not (place / "out").exists()


@pytest.mark.usefixtures("no_processes")
def test_a_batch_on_photographs_of_every_kind(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "photographs").mkdir()
    for name, (write, *_) in KINDS.items():
        write(place / "photographs" / name, *SIZE)
    (place / "recipe.toml").write_text(RECIPE.format(count=len(KINDS)))
    assert exit_code("batch recipe.toml --device cpu --workers 1 --out out") == 0
    capsys.readouterr()
    rows = [
        json.loads(line) for line in (place / "out" / "manifest.jsonl").read_text().splitlines()
    ]
    assert {Path(row["normal"]).name for row in rows} == {*KINDS}
    for row in rows:
        requested = read_mask(place / "out" / row["files"]["requested"])
        assert_returned(place / "out", row, place / row["normal"], requested)
    assert not check(place / "out").complaints
