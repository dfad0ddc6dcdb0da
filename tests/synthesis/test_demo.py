from pathlib import Path

import numpy as np
import pytest
from tiny import TYPES, part, request_of

from blemish.data.masks import silhouette
from blemish.data.pairs import read_mask
from blemish.errors import OutputError
from blemish.models.generator import Generator
from blemish.pictures import read_picture
from blemish.synthesis.demo import draw_demo_mask, draw_part, draw_scene


@pytest.mark.parametrize("seed", range(3))
def test_a_scene_is_an_order(generator: Generator, tmp_path: Path, seed: int) -> None:
    normal, mask = draw_scene(generator, tmp_path / "deep" / "parts", seed)
    request = request_of(normal, mask, "crack", TYPES)
    assert request.picture.shape == (256, 256, 3)
    assert sorted(tmp_path.rglob("*.png")) == [normal, mask]


def test_the_same_seed_gives_the_same_scene(generator: Generator, tmp_path: Path) -> None:
    scenes = {
        (name, seed): [path.read_bytes() for path in draw_scene(generator, tmp_path / name, seed)]
        for name in "ab"
        for seed in (0, 1)
    }
    assert scenes["a", 0] == scenes["b", 0]
    assert scenes["a", 0][0] != scenes["a", 1][0]
    assert scenes["a", 0][1] != scenes["a", 1][1]


def test_parts_are_their_seed_s_alone(generator: Generator) -> None:
    assert np.array_equal(draw_part(generator, 3), draw_part(generator, 3))
    assert not np.array_equal(draw_part(generator, 3), draw_part(generator, 4))


@pytest.mark.parametrize("seed", range(10))
def test_masks_lie_on_the_part_in_one_piece(seed: int) -> None:
    picture = part(128, 128)
    mask = draw_demo_mask(picture, seed)
    assert mask.dtype == bool
    assert mask.shape == (128, 128)
    assert 0 < mask.sum() < 0.2 * mask.size
    assert not (mask & ~silhouette(picture)).any()


@pytest.mark.parametrize("corner", [(0.1, 0.1), (0.9, 0.15)])
def test_a_part_in_the_corner_gets_a_mask_too(corner: tuple[float, float]) -> None:
    y, x = np.mgrid[:128, :128] / 128
    picture = np.full((128, 128, 3), 240, np.uint8)
    picture[np.hypot(y - corner[0], x - corner[1]) < 0.08] = (60, 30, 20)
    mask = draw_demo_mask(picture, 0)
    assert mask.any()
    assert not (mask & ~silhouette(picture)).any()


def test_scenes_are_written_as_drawn(generator: Generator, tmp_path: Path) -> None:
    normal, mask = draw_scene(generator, tmp_path, 2)
    assert np.array_equal(read_picture(normal), draw_part(generator, 2))
    assert np.array_equal(read_mask(mask), draw_demo_mask(draw_part(generator, 2), 2))


def test_a_file_in_the_way(generator: Generator, tmp_path: Path) -> None:
    (tmp_path / "parts").write_text("hello")
    with pytest.raises(OutputError):
        draw_scene(generator, tmp_path / "parts", 0)
