"""A user's folder, and a studio on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import add_masks, write_bundle, write_parts, write_scene

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
    add_masks(write_bundle(root / "bundle", windows=True, encoder=True))
    return root


@pytest.fixture
def page(place: Path, tmp_path: Path) -> Iterator[Page]:
    with Opening(place, tmp_path / "out") as found:
        yield found
