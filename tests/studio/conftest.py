"""A user's folder, and a studio on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny import TYPES, add_masks, write_bundle, write_parts, write_scene

from blemish.checkpoint import Bundle
from blemish.editing.directions import Direction, write_directions
from blemish.editing.lookfile import write_looks
from blemish.editing.looks import LOOKS, LookDirection
from blemish.models.load import shape_of
from blemish.windows.paint import load_windows

pytest.importorskip("starlette", reason="the extra blemish[studio] is not installed")
from studio_page import Opening, Page


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a user: a photograph, its mask, real defects, and a bundle."""
    root = tmp_path_factory.mktemp("user")
    write_scene(root / "data" / "good")
    (root / "data" / "good" / "nut_mask.png").rename(root / "mask.png")
    write_parts(root / "data" / "parts")
    (root / "data" / "link").symlink_to("/etc")
    bundle = write_bundle(root / "bundle", windows=True, encoder=True)
    add_masks(bundle)
    add_directions(bundle)
    return root


def add_directions(bundle: Bundle) -> None:
    """Random directions of parts and of looks."""
    shape, rng = shape_of(bundle), torch.Generator().manual_seed(0)
    rows = [torch.randn(shape.layers, shape.w_dim, generator=rng) for _ in range(3)]
    named = zip(("tone", "size", "sefa-1"), ("tone", "size", "tone"), rows, strict=True)
    found = [
        Direction(name=name, rows=row, attribute=attribute, accuracy=1, purity=1)
        for name, attribute, row in named
    ]
    write_directions(bundle, found)
    wide = load_windows(bundle).generator.config.z_dim
    looks = [LookDirection(name, torch.randn(wide, generator=rng), 1) for name in LOOKS]
    write_looks(bundle, dict.fromkeys(TYPES, looks))


@pytest.fixture
def page(place: Path, tmp_path: Path) -> Iterator[Page]:
    with Opening(place, tmp_path / "out") as found:
        yield found
