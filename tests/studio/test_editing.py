"""Edits, fillings and repairs over HTTP have the bytes that the command line gives them."""

import base64
import shlex
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from commands import exit_code
from PIL import Image
from same import files_in
from studio_page import Opening, Page
from tiny import part, spot

from blemish.data.pairs import read_mask_for
from blemish.originals import read_original
from blemish.studio.painted import painted

pytestmark = pytest.mark.usefixtures("short_searches")

FILE = {"content-type": "application/octet-stream"}


@pytest.fixture
def parts(place: Path, tmp_path: Path) -> Any:
    """The page of a studio with real defects."""
    with Opening(place, tmp_path / "out", data="data/parts") as page:
        yield page


def runs(mask: np.ndarray) -> dict[str, list[int]]:
    found = painted(mask)
    return {"box": [*found.box], "runs": [*found.runs]}


def decoded(text: str) -> np.ndarray:
    return np.array(Image.open(BytesIO(base64.b64decode(text))))


def run(command: str, page: Page, out: Path) -> dict[str, bytes]:
    words = f"{command} --bundle {page.bundle} --device cpu --out {out}"
    assert exit_code(words) == 0
    return files_in(out)


def file_of(page: Page, id: str) -> Path:
    return page.studio.photographs.find(id).path


def saved(page: Page, path: str, wish: dict[str, Any]) -> dict[str, bytes]:
    folder = page.post(path, wish)["folder"]
    return files_in(page.studio.places.out / folder)


def test_a_moved_part_has_the_bytes_of_the_command_line(page: Page, tmp_path: Path) -> None:
    id = page.photograph()
    wish = {"bundle": str(page.bundle), "verb": "move", "a": id}
    wish |= {"moves": [{"direction": "tone", "distance": 2}]}
    shown = page.post("/api/editing/part", wish)
    ours = saved(page, "/api/editing/part/save", wish)
    command = f"edit move {shlex.quote(str(file_of(page, id)))} --direction tone --distance 2"
    assert ours == run(command, page, tmp_path / "cli")
    assert (decoded(shown["pictures"][0]) == decoded_file(ours["00.png"])).all()


def decoded_file(data: bytes) -> np.ndarray:
    return np.array(Image.open(BytesIO(data)))


@pytest.mark.parametrize(
    ("verb", "options", "words"),
    [
        ("mix", {"rows": "middle"}, "--rows middle"),
        ("interpolate", {"steps": 3}, "--steps 3"),
        ("transplant", {"box": "0.2,0.2,0.5,0.5"}, "--box 0.2,0.2,0.5,0.5"),
    ],
)
def test_two_photographs_have_the_bytes_of_the_command_line(
    verb: str, options: dict[str, Any], words: str, parts: Page, tmp_path: Path
) -> None:
    a, b = parts.photograph("0.png"), parts.photograph("1.png")
    wish = {"bundle": str(parts.bundle), "verb": verb, "a": a, "b": b, **options}
    command = f"edit {verb} {file_of(parts, a)} {file_of(parts, b)} {words}"
    ours = saved(parts, "/api/editing/part/save", wish)
    assert ours == run(command, parts, tmp_path / "cli")


def test_a_drawn_part_needs_no_inversion(page: Page, tmp_path: Path) -> None:
    wish = {"bundle": str(page.bundle), "verb": "mix", "a": "seed:1", "b": "seed:2"}
    ours = saved(page, "/api/editing/part/save", wish | {"rows": "coarse"})
    assert ours == run("edit mix seed:1 seed:2 --rows coarse", page, tmp_path / "cli")
    assert not (page.studio.places.out / "inversions").exists()


def test_a_photograph_is_inverted_once(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Opening(place, tmp_path / "out") as page:
        id = page.photograph()
        first = page.post(f"/api/photographs/{id}/invert", {"bundle": str(page.bundle)})
    monkeypatch.setattr("blemish.studio.inversions.invert", None)  # it must not be called again
    with Opening(place, tmp_path / "out") as page:
        again = page.post(f"/api/photographs/{id}/invert", {"bundle": str(page.bundle)})
        assert again == first
        assert page.get("/api/editing/progress") == {"share": 1.0}


def test_several_moves_add_up(page: Page) -> None:
    wish = {"bundle": str(page.bundle), "verb": "move", "a": "seed:1"}
    moves = [{"direction": name, "distance": 1} for name in ("tone", "size")]
    both, one = (
        page.post("/api/editing/part", wish | {"moves": some})["pictures"]
        for some in (moves, moves[:1])
    )
    assert both != one


def test_a_foreign_photograph_gets_the_message_of_the_command_line(
    page: Page, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    _, data = cv2.imencode(".png", noise)
    found = page.client.post(
        "/api/photographs?name=noise.png", content=data.tobytes(), headers=FILE
    )
    id = found.json()["id"]
    wish = {"bundle": str(page.bundle), "verb": "move", "a": id}
    shown = page.post("/api/editing/part", wish | {"moves": [{"direction": "tone", "distance": 1}]})
    command = f"invert --image {file_of(page, id)}"
    row = run(command, page, tmp_path / "cli")["inversion.json"].decode()
    (reason,) = shown["reasons"]
    assert reason in row and "something else" in reason
    fill = {"bundle": str(page.bundle), "verb": "fill", "mask": runs(spot())}
    assert page.post(f"/api/photographs/{id}/fill", fill)["out_of_domain"]


@pytest.mark.parametrize("verb", ["fill", "repair"])
def test_fillings_have_the_bytes_of_the_command_line(verb: str, page: Page, tmp_path: Path) -> None:
    id = page.photograph()
    wish = {"bundle": str(page.bundle), "verb": verb, "mask": runs(spot()), "seed": 4}
    shown = page.post(f"/api/photographs/{id}/fill", wish)
    ours = saved(page, f"/api/photographs/{id}/fill/save", wish | {"count": 2})
    (mask,) = (page.studio.places.out / "edits" / "masks").iterdir()
    command = f"{verb} --image {file_of(page, id)} --mask {mask} --count 2 --seed 4"
    assert ours == run(command, page, tmp_path / "cli")
    x, y, w, h = shown["box"]
    assert (decoded(shown["crop"]) == decoded_file(ours["nut_00.png"])[y : y + h, x : x + w]).all()


def test_outside_the_hole_a_photograph_of_16_bits_with_alpha_stays(page: Page) -> None:
    levels = np.dstack([part(), part(seed=3)[..., :1]]).astype(np.uint16) * 257 + 3
    levels = levels.clip(0, 65535).astype(np.uint16)
    _, data = cv2.imencode(".png", levels[..., [2, 1, 0, 3]])
    found = page.client.post("/api/photographs?name=deep.png", content=data.tobytes(), headers=FILE)
    id = found.json()["id"]
    wish = {"bundle": str(page.bundle), "verb": "repair", "mask": runs(spot()), "margin": 2}
    ours = saved(page, f"/api/photographs/{id}/fill/save", wish)
    kept = page.post(f"/api/photographs/{id}/fill/keep", wish)
    file = page.studio.photographs.find(kept["id"]).path
    assert file.read_bytes() == ours["deep_00.png"]
    hole = read_mask_for(file, page.studio.places.out / "edits" / "deep-repair" / "hole.png")
    after = read_original(file).levels
    assert after.dtype == np.uint16 and (after[~hole] == levels[~hole]).all()
    assert (after[..., 3] == levels[..., 3]).all() and (after[hole] != levels[hole]).any()
    assert kept["name"] in {one["name"] for one in page.get("/api/photographs")}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"size": 1.4}, "--size 1.4"),
        ({"moves": [{"direction": "tone", "distance": -1}]}, "--direction tone --distance -1"),
    ],
)
def test_a_look_has_the_bytes_of_the_command_line(
    change: dict[str, Any], words: str, parts: Page, tmp_path: Path
) -> None:
    id, mask = parts.photograph("0.png"), tmp_path / "mask.png"
    Image.fromarray(spot(32, 32)).save(mask)
    wish = {
        "bundle": str(parts.bundle),
        "type": "crack",
        "mask": runs(spot(32, 32)),
        "like": 1,
        **change,
    }
    shown = parts.post(f"/api/photographs/{id}/look", wish)
    ours = saved(parts, f"/api/photographs/{id}/look/save", wish)
    root = parts.studio.places.data
    like, marked = root / "test" / "crack" / "1.png", root / "ground_truth" / "crack" / "1.png"
    command = f"edit defect --image {file_of(parts, id)} --mask {mask} --defect crack"
    command += f" --like {like} --like-mask {marked} {words}"
    assert ours == run(command, parts, tmp_path / "cli")
    assert shown["area"] > 0 and shown["outlines"]


def test_the_editor_says_what_a_bundle_can_do(parts: Page, page: Page) -> None:
    found = parts.get(f"/api/editing?bundle={parts.bundle}")
    assert {"tone", "size", "sefa-1"} <= {one["name"] for one in found["directions"]}
    assert "tone" in found["looks"]["crack"]["directions"] and found["windows"]
    path = f"/api/editing/look.jpg?bundle={parts.bundle}&type=crack&number=0"
    assert parts.client.get(path).headers["content-type"] == "image/jpeg"
    assert page.get(f"/api/editing?bundle={page.bundle}")["looks"] == {}  # no real defects there


def test_mistakes_say_what_to_do(parts: Page) -> None:
    id, bundle = parts.photograph("0.png"), str(parts.bundle)
    nothing = {"bundle": bundle, "verb": "fill", "mask": runs(spot(32, 32) & False)}
    assert "Mark" in parts.post(f"/api/photographs/{id}/fill", nothing, 422)["todo"]
    wish = {"bundle": bundle, "verb": "move", "a": "seed:1"}
    unknown = wish | {"moves": [{"direction": "rust", "distance": 1}]}
    assert "rust" in parts.post("/api/editing/part", unknown, 422)["got"]
    look = {"bundle": bundle, "type": "crack", "mask": runs(spot(32, 32)), "like": 99}
    assert "99" in parts.post(f"/api/photographs/{id}/look", look, 422)["got"]
