"""Over HTTP an item has the bytes that the command line gives it, and the page sees these."""

import base64
import shlex
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import exit_code
from PIL import Image
from same import files_in
from studio_page import Opening, Page
from tiny import part, spot

from blemish.pictures import read_picture
from blemish.studio.painted import PaintedMask, painted


def test_a_kept_item_has_the_bytes_of_the_command_line(page: Page, tmp_path: Path) -> None:
    id, mask = page.photograph(), spot()
    draft = page.draft(mask, seed=5, strength=0.8)
    kept = page.post(f"/api/photographs/{id}/keep", draft)
    (item,) = page.get("/api/items?set=kept")
    words = [*item["command"][1:], "--device", "cpu", "--out", str(tmp_path / "cli")]
    assert exit_code(shlex.join(words)) == 0
    ours, theirs = files_in(page.studio.places.out / "kept"), files_in(tmp_path / "cli")
    pictures = [*kept["files"].values()]
    assert {"image", "mask", "twin", "requested", "codes"} <= {*kept["files"]}
    assert all(ours[name] == theirs[name] for name in pictures)


def test_a_photograph_that_lies_on_its_side_has_the_bytes_of_the_command_line(
    page: Page, tmp_path: Path
) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(part(64, 80)).save(tmp_path / "side.png", exif=turned)
    data = (tmp_path / "side.png").read_bytes()
    headers = {"content-type": "application/octet-stream"}
    found = page.client.post("/api/photographs?name=side.png", content=data, headers=headers)
    id = found.json()["id"]
    about = page.get(f"/api/photographs/{id}")
    assert (about["width"], about["height"], about["orientation"]) == (64, 80, 6)
    kept = page.post(f"/api/photographs/{id}/keep", page.draft(spot(80, 64)))
    (item,) = page.get("/api/items?set=kept")
    words = [*item["command"][1:], "--device", "cpu", "--out", str(tmp_path / "cli")]
    assert exit_code(shlex.join(words)) == 0
    ours, theirs = files_in(page.studio.places.out / "kept"), files_in(tmp_path / "cli")
    assert all(ours[name] == theirs[name] for name in kept["files"].values())


def test_several_defects_have_the_bytes_of_the_command_line(page: Page, tmp_path: Path) -> None:
    id = page.photograph()
    masks = spot(at=(0.4, 0.4)), spot(at=(0.6, 0.6))
    draft = page.draft(*masks, types=("paint", "crack"), seed=2)
    kept = page.post(f"/api/photographs/{id}/keep", draft)
    (item,) = page.get("/api/items?set=kept")
    assert item["type"] == "combined"
    words = [*item["command"][1:], "--device", "cpu", "--out", str(tmp_path / "cli")]
    assert exit_code(shlex.join(words)) == 0
    ours, theirs = files_in(page.studio.places.out / "kept"), files_in(tmp_path / "cli")
    assert "classes" in kept["files"]
    assert all(ours[name] == theirs[name] for name in kept["files"].values())


def test_a_pasted_item_has_the_bytes_of_the_command_line(place: Path, tmp_path: Path) -> None:
    with Opening(place, tmp_path / "out", data="data/parts") as page:
        id = page.photograph("0.png")
        draft = page.draft(spot(32, 32), types=("crack",), method="paste", seed=1)
        kept = page.post(f"/api/photographs/{id}/keep", draft)
        (item,) = page.get("/api/items?set=kept")
        words = [*item["command"][1:], "--device", "cpu", "--out", str(tmp_path / "cli")]
        assert exit_code(shlex.join(words)) == 0
        ours, theirs = files_in(tmp_path / "out" / "kept"), files_in(tmp_path / "cli")
        assert all(ours[name] == theirs[name] for name in kept["files"].values())


def test_the_crop_that_is_shown_is_that_of_the_kept_item(page: Page) -> None:
    id, draft = page.photograph(), page.draft(spot(), seed=3)
    shown = page.post(f"/api/photographs/{id}/place", draft)
    kept = page.post(f"/api/photographs/{id}/keep", draft)
    x, y, w, h = shown["box"]
    crop = np.array(Image.open(BytesIO(base64.b64decode(shown["crop"]))))
    item = read_picture(page.studio.places.out / "kept" / kept["files"]["image"])
    twin = read_picture(page.studio.places.out / "kept" / kept["files"]["twin"])
    assert (crop == item[y : y + h, x : x + w]).all()
    differs = (item != twin).any(axis=2)
    assert shown["area"] == differs.sum() and shown["outlines"]
    assert differs.sum() == differs[y : y + h, x : x + w].sum()


def test_another_seed_is_another_defect_and_the_same_one_the_same(page: Page) -> None:
    id = page.photograph()
    crops = [
        page.post(f"/api/photographs/{id}/place", page.draft(spot(), seed=seed))["crop"]
        for seed in (1, 2, 1)
    ]
    assert crops[0] == crops[2] != crops[1]


def test_what_is_painted_is_there_after_a_restart(place: Path, tmp_path: Path) -> None:
    with Opening(place, tmp_path / "out") as page:
        id, draft = page.photograph(), page.draft(spot(), seed=4, strength=0.5)
        page.post(f"/api/photographs/{id}/draft", draft)
    with Opening(place, tmp_path / "out") as page:
        found = page.get(f"/api/photographs/{id}")["draft"]
        assert found["defects"] == draft["defects"] and found["seed"] == 4
        saved = page.client.get(f"/api/photographs/{id}/mask.png").content
        mask = np.array(Image.open(BytesIO(saved)))
        assert ((mask > 0) == spot()).all()


@pytest.mark.parametrize("kind", ["scratch", "blob", "spots", "learned"])
def test_masks_of_every_kind_are_drawn_on_the_part(kind: str, page: Page) -> None:
    id = page.photograph()
    wish = {"bundle": str(page.bundle), "kind": kind, "type": "paint", "seed": 1}
    wish |= {} if kind == "learned" else {"area": 0.05}
    found = page.post(f"/api/photographs/{id}/mask", wish)
    mask = PaintedMask(box=tuple(found["box"]), runs=tuple(found["runs"])).mask(64, 64)
    assert 0 < mask.sum() < mask.size


def test_a_mask_file_is_read_as_the_command_line_reads_it(page: Page, place: Path) -> None:
    id, data = page.photograph(), (place / "mask.png").read_bytes()
    headers = {"content-type": "application/octet-stream"}
    answer = page.client.post(f"/api/photographs/{id}/mask-file", content=data, headers=headers)
    found = answer.json()
    assert (
        PaintedMask(box=tuple(found["box"]), runs=tuple(found["runs"])).mask(64, 64) == spot()
    ).all()


@pytest.mark.parametrize("mask", [spot(), spot() & False, ~(spot() & False), part()[..., 0] > 120])
def test_runs_give_their_mask_back(mask: np.ndarray) -> None:
    assert (painted(mask).mask(*mask.shape) == mask).all()


def test_mistakes_say_what_to_do(page: Page) -> None:
    id = page.photograph()
    nothing = page.post(f"/api/photographs/{id}/place", page.draft(), 422)
    assert "Paint one" in nothing["todo"]
    corner = spot(at=(0.02, 0.02))
    off = page.post(f"/api/photographs/{id}/place", page.draft(corner), 422)
    assert "onto the part" in off["todo"]
    rust = page.post(f"/api/photographs/{id}/place", page.draft(spot(), types=("rust",)), 422)
    assert "rust" in rust["got"]


def test_a_photograph_of_16_bits_with_alpha_stays_one(page: Page) -> None:
    levels = np.dstack([part(), part()[..., :1]]).astype(np.uint16) * 257
    _, data = cv2.imencode(".png", levels[..., [2, 1, 0, 3]])
    headers = {"content-type": "application/octet-stream"}
    answer = page.client.post(
        "/api/photographs?name=deep.png", content=data.tobytes(), headers=headers
    )
    id = answer.json()["id"]
    assert page.get(f"/api/photographs/{id}") | {"draft": None} == {
        "width": 64,
        "height": 64,
        "bits": 16,
        "channels": 4,
        "orientation": 1,
        "draft": None,
    }
    kept = page.post(f"/api/photographs/{id}/keep", page.draft(spot()))
    item = cv2.imread(
        str(page.studio.places.out / "kept" / kept["files"]["image"]), cv2.IMREAD_UNCHANGED
    )
    assert item is not None and item.dtype == np.uint16 and item.shape == (64, 64, 4)
    assert (page.studio.photographs.uploads / "deep.png").read_bytes() == data.tobytes()
