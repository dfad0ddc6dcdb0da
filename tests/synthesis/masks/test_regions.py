"""Regions and anchors: masks keep to them, on every photograph of the part."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from commands import exit_code
from tiny import part, spot, write_bundle

import blemish
from blemish.api.bundle import OpenBundle
from blemish.data.pairs import read_mask
from blemish.errors import DataError, OptionError
from blemish.originals import Original
from blemish.pictures import write_picture
from blemish.synthesis.batch.recipe import read_recipe
from blemish.synthesis.masks.pose import PosedPart, carrying
from blemish.synthesis.options import MaskOptions, SynthesisOptions
from blemish.synthesis.part import GoodPart
from blemish.synthesis.request import drawn_on

H, W = 160, 160


def _part(picture: np.ndarray) -> GoodPart:
    return GoodPart(Path("wing.png"), Original(levels=picture))


def wing(turn: float = 0, middle: tuple[float, float] = (80, 80), scale: float = 1) -> np.ndarray:
    """A part with a round outline, and a dark wing on one side."""
    picture = np.full((H, W, 3), 230, np.uint8)
    cv2.circle(picture, (80, 80), 50, (120, 120, 120), -1)
    cv2.ellipse(picture, (80, 80), (45, 45), 0, -30, 30, (60, 60, 60), -1)
    matrix = cv2.getRotationMatrix2D((80, 80), -turn, scale)
    matrix[:, 2] += np.subtract(middle, 80)
    return cv2.warpAffine(picture, matrix, (W, H), borderValue=(230, 230, 230))


def east() -> np.ndarray:
    """Map of the wing."""
    marked = np.zeros((H, W), np.uint8)
    cv2.ellipse(marked, (80, 80), (45, 45), 0, -30, 30, 1, -1)
    return marked > 0


def drawn(picture: np.ndarray, seed: int, **options: Any) -> np.ndarray:
    return drawn_on(_part(picture), SynthesisOptions(**options), "crack", seed)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_picture(tmp_path / "part.png", wing())
    write_picture(tmp_path / "map.png", east())
    return tmp_path


@pytest.mark.parametrize("kind", ["blob", "spots", "scratch"])
@pytest.mark.parametrize("region", ["edge", "centre", (0.5, 0.25, 0.3, 0.5), "map.png"])
def test_a_drawn_mask_lies_in_its_region(kind: Any, region: Any, place: Path) -> None:
    given = place / region if region == "map.png" else region
    options = {"mask_kind": kind, "region": given, "area": 0.01}
    masks = [drawn(wing(), seed, **options) for seed in range(4)]
    whole = _part(wing()).mask
    depth = cv2.distanceTransform(np.pad(whole, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    box = np.zeros_like(whole)
    box[40:120, 80:128] = True
    inside = {
        "edge": whole & (depth < 0.3 * depth.max()),
        "centre": depth > 0.45 * depth.max(),
        "map.png": east(),
    }.get(region if isinstance(region, str) else "", box)
    assert all(mask.any() and not (mask & ~inside).any() for mask in masks)
    assert (masks[0] != masks[1]).any()


@pytest.mark.parametrize(
    ("turn", "middle", "scale"), [(0, (80, 80), 1), (70, (85, 76), 0.9), (-150, (72, 80), 1.1)]
)
def test_a_map_turns_with_the_part(
    turn: float, middle: tuple[float, float], scale: float, place: Path
) -> None:
    seen = wing(turn, middle, scale)
    known = {"mask_kind": "blob", "area": 0.02, "region_of": place / "part.png"}
    for seed in range(3):
        mask = drawn(seen, seed, region=place / "map.png", **known)
        assert (seen[mask].mean(axis=1) < 90).mean() > 0.9  # on the dark wing
        mask = drawn(seen, seed, anchor=((105 / W, 80 / H),), **known)
        y, x = np.argwhere(mask).mean(axis=0)
        assert seen[int(y), int(x)].mean() < 90


def test_carrying_is_the_move_between_two_photographs() -> None:
    first, second = wing(), wing(40, (84, 77), 1.05)
    posed = [PosedPart(picture, _part(picture).mask) for picture in (first, second)]
    matrix = carrying(*posed)
    true = cv2.getRotationMatrix2D((80, 80), -40, 1.05)
    true[:, 2] += (4, -3)
    corners = np.array([[50, 80], [110, 80], [80, 120]], float).T
    found, wanted = (m[:, :2] @ corners + m[:, 2:] for m in (matrix, true))
    assert np.abs(found - wanted).max() < 3
    same = carrying(posed[0], posed[0])
    assert np.abs(same - np.eye(2, 3)).max() < 1e-6


def test_anchors_are_the_middles_of_masks() -> None:
    anchors = ((0.4, 0.5), (0.6, 0.6))
    found = set()
    for seed in range(8):
        mask = drawn(wing(), seed, mask_kind="blob", area=0.01, anchor=anchors)
        y, x = np.argwhere(mask).mean(axis=0)
        gaps = [np.hypot(x - a * W, y - b * H) for a, b in anchors]
        assert min(gaps) < 4
        found.add(int(np.argmin(gaps)))
    assert found == {0, 1}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenBundle:
    path = tmp_path_factory.mktemp("regions") / "bundle"
    return blemish.load(write_bundle(path, windows=True).path, device="cpu")


def test_python_commands_and_recipes_keep_to_a_region(opened: OpenBundle, tmp_path: Path) -> None:
    half = np.zeros((64, 64), bool)
    half[:, 32:] = True
    write_picture(tmp_path / "nut.png", part())
    write_picture(tmp_path / "mask.png", spot())
    write_picture(tmp_path / "half.png", half)
    region = tmp_path / "half.png"
    item = opened.synthesize(tmp_path / "nut.png", spot(), "paint", seed=1, region=region)
    assert (item.requested == (spot() & half)).all()
    words = f"--normal {tmp_path / 'nut.png'} --mask {tmp_path / 'mask.png'} --defect paint"
    where = f"--bundle {opened.files.path} --device cpu --out {tmp_path / 'out'}"
    assert exit_code(f"synthesize {words} --seed 1 --region {region} {where}") == 0
    assert (read_mask(next((tmp_path / "out" / "requested").glob("*.png"))) == item.requested).all()
    group = 'defect = "paint"\ncount = 1\nphotographs = "nut.png"\nmasks = "mask.png"\n'
    text = f'bundle = "{opened.files.path}"\n[[group]]\n{group}region = "half.png"\n'
    (tmp_path / "recipe.toml").write_text(text)
    (made,) = blemish.batch(tmp_path / "recipe.toml", device="cpu")
    assert isinstance(made, blemish.Item) and (made.requested == item.requested).all()
    assert made.made.facts["options"]["region"] == "half.png"
    (tmp_path / "recipe.toml").write_text(text.replace("half.png", "gone.png"))
    with pytest.raises(DataError, match=r"gone\.png"):
        read_recipe(tmp_path / "recipe.toml")


def test_what_a_region_can_not_be_is_refused(opened: OpenBundle, place: Path) -> None:
    with pytest.raises(OptionError, match="region_of"):
        MaskOptions(region="edge", region_of=Path("part.png"))
    with pytest.raises(OptionError, match="a box"):
        MaskOptions(region=(0.5, 0.5, 0.6, 0.2))
    with pytest.raises(OptionError, match="anchor"):
        MaskOptions(anchor=((0.5, 1.5),))
    with pytest.raises(OptionError, match="anchor"):
        MaskOptions(mask_kind="learned", anchor=((0.5, 0.5),))
    with pytest.raises(OptionError, match="anchor"):
        opened.synthesize(part(), spot(), "paint", anchor=((0.5, 0.5),))
    with pytest.raises(DataError, match="160 × 160"):
        opened.synthesize(part(), spot(), "paint", region=place / "map.png")
    with pytest.raises(DataError, match="no pixel of the part"):
        opened.synthesize(part(), spot(), "paint", region=(0, 0, 0.1, 0.1))
    with pytest.raises(DataError, match="of its area in the region"):
        opened.synthesize(part(), spot(), "paint", region="edge", off_part="refuse")
