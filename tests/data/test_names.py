import unicodedata
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from blemish.data import DefectFolder, check
from blemish.data.names import Masks, kind_of, pattern_of
from blemish.pictures import write_picture

# The mask's file, for a photograph 002.png, and how it is said to be named.
NAMES = {
    "002_mask.png": "<name>_mask.png",
    "002.png": "<name>.png",
    "002_gt.png": "<name>_gt.png",
    "002.bm.png": "<name>.bm.png",
    "002_MASK.png": "<name>_MASK.png",
    "002-mask.png": "<name>-mask.png",
    "mask_002.png": "mask_<name>.png",
    "002.png_mask.png": "<name>.png_mask.png",
    "002_label.bmp": "<name>_label.bmp",
}


def draw(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, *str(path).encode()])
    write_picture(path, rng.integers(0, 256, (12, 12, 3), np.uint8))


def mark(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((12, 12), bool)
    mask[3:8, 2:9] = True
    write_picture(path, mask)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    draw(tmp_path / "train/good/0.png")
    draw(tmp_path / "test/crack/002.png")
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_mask_names_that_people_have_are_paired_and_said(root: Path, name: str) -> None:
    mark(root / "ground_truth/crack" / name)
    (photograph,) = DefectFolder(root).defects()
    assert photograph.mask_path == root / "ground_truth/crack" / name
    found = check(root)
    assert not found.complaints
    sentence = f"masks in ground_truth/crack are found by name: 1 by {NAMES[name]}"
    assert found.taken == (sentence,)
    assert found.to_json()["taken"] == [sentence]


def test_a_folder_of_masks_for_each_photograph_is_paired(root: Path) -> None:
    mark(root / "ground_truth/crack/002/000.png")
    mark(root / "ground_truth/crack/002/001.png")
    (photograph,) = DefectFolder(root).defects()
    assert photograph.mask_path == root / "ground_truth/crack/002"
    assert photograph.read_mask().sum() == 35
    found = check(root)
    assert not found.complaints
    assert found.taken == (
        "masks in ground_truth/crack are found by name: 1 by <name>/ (a folder)",
    )


@pytest.mark.parametrize("name", ["ok", "OK", "Good", "GOOD"])
def test_good_parts_have_other_names_too(root: Path, name: str) -> None:
    draw(root / f"train/{name}/7.png")
    folder = DefectFolder(root)
    assert (len(folder.good()), folder.types) == (2, ("crack",))
    assert f"train/{name} is taken for good parts" in check(root).taken


def test_what_is_usual_needs_no_words(root: Path) -> None:
    assert not [sentence for sentence in check(root).taken if "good" in sentence]
    assert kind_of(Path("test/goods")) == "goods"


Form = Literal["NFC", "NFD"]


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("folder, name", [("균열", "정면"), ("Brüche", "Stück é")])
def test_names_in_another_normal_form_are_one_name(
    root: Path, forms: tuple[Form, Form], folder: str, name: str
) -> None:
    one, other = (unicodedata.normalize(form, f"{folder}/{name}") for form in forms)
    draw(root / f"test/{one}.png")
    mark(root / f"ground_truth/{other}_mask.png")
    composed = unicodedata.normalize("NFC", folder)
    (photograph,) = DefectFolder(root).defects(composed)
    assert photograph.read_mask().any()
    assert photograph.kind in DefectFolder(root).types
    mark(root / "ground_truth/crack/002_mask.png")
    assert not check(root).complaints


def test_one_type_in_two_normal_forms_is_one_type(root: Path) -> None:
    draw(root / "train" / unicodedata.normalize("NFD", "균열") / "1.png")
    draw(root / "test" / unicodedata.normalize("NFC", "균열") / "1.png")
    folder = DefectFolder(root)
    assert folder.types == ("crack", "균열")
    assert all(len(folder.defects(unicodedata.normalize(f, "균열"))) == 2 for f in ("NFC", "NFD"))


def test_the_same_letters_win_over_other_ones() -> None:
    masks = Masks([Path("A_mask.png"), Path("a_mask.png"), Path("b_gt.png"), Path("b_mask.png")])
    assert masks.find(Path("a.png")) == Path("a_mask.png")
    assert masks.find(Path("A.png")) == Path("A_mask.png")
    assert masks.find(Path("b.png")) == Path("b_mask.png")
    assert masks.find(Path("c.png")) is None
    assert pattern_of(Path("B.jpg"), Path("b_GT.png")) == "<name>_GT.png"


def test_a_bad_file_in_a_folder_of_masks_is_named_by_itself(root: Path) -> None:
    mark(root / "ground_truth/crack/002/000.png")
    (root / "ground_truth/crack/002/001.png").write_text("hello")
    (complaint,) = check(root).complaints
    assert complaint.path == root / "ground_truth/crack/002/001.png"
    assert complaint.text.startswith("is not an image")
