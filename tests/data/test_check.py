import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blemish import decode, pictures
from blemish.data import Check, check
from blemish.errors import DataError
from blemish.pictures import write_picture
from blemish.reading import Reading, read_as


def draw(path: Path, seed: int, width: int = 16, height: int = 12) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def mark(path: Path, rows: int, width: int = 16, height: int = 12) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, np.arange(height)[:, None].repeat(width, axis=1) < rows)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "part"
    for index, place in enumerate(["train/good/0", "train/good/1", "test/good/0"]):
        draw(root / f"{place}.png", seed=index)
    for index in range(3):
        draw(root / f"test/dent/{index}.png", seed=10 + index)
        mark(root / f"ground_truth/dent/{index}_mask.png", rows=3 * (index + 1))
    return root


def reported(found: Check) -> dict[str, str]:
    return {"/".join(item.path.parts[-3:]): item.text for item in found.complaints}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def copy(source: str, target: str) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        (root / target).write_bytes((root / source).read_bytes())

    return apply


MASK = "ground_truth/dent/1_mask.png"
FAULTS: list[tuple[Callable[[Path], object], str, str]] = [
    (lambda root: (root / MASK).unlink(), "test/dent/1.png", "has no mask in ground_truth/dent"),
    (lambda root: (root / "test/dent/1.png").unlink(), MASK, "is the mask of no photograph"),
    (lambda root: mark(root / "ground_truth/rust/1.png", 3), "ground_truth/rust/1.png", "no photo"),
    (
        lambda root: mark(root / MASK, 3, height=11),
        MASK,
        "16 × 11 pixels for a photograph of 16 × 12",
    ),
    (lambda root: mark(root / MASK, 0), MASK, "marks no pixel"),
    (lambda root: mark(root / MASK, 12), MASK, "marks every pixel"),
    (lambda root: (root / MASK).write_text("hello"), MASK, "is not an image"),
    (lambda root: cut(root / MASK), MASK, "is not an image"),
    (lambda root: cut(root / "test/dent/1.png"), "test/dent/1.png", "can't be read"),
    (lambda root: (root / "train/good/0.png").write_bytes(b""), "train/good/0.png", "not an image"),
    (lambda root: draw(root / "train/good/0.png", 0, 17), "train/good/0.png", "204 pixels"),
    (copy("train/good/0.png", "train/good/9.png"), "train/good/9.png", "as train/good/0.png"),
    (copy("test/good/0.png", "train/good/9.png"), "train/good/9.png", "as test/good/0.png"),
    (lambda root: draw(root / "train/dent/1.png", 99), MASK, "is the mask of 2 photographs"),
]


def test_a_sound_folder_has_no_complaints(root: Path) -> None:
    found = check(root)
    assert not found.complaints
    rows = [(row.split, row.kind, row.count, row.sizes, row.mask_percent) for row in found.rows]
    assert rows == [
        ("test", "dent", 3, ((16, 12),), (25.0, 50.0, 75.0)),
        ("test", "good", 1, ((16, 12),), None),
        ("train", "good", 2, ((16, 12),), None),
    ]


@pytest.mark.parametrize("spoil, name, text", FAULTS)
def test_each_fault_is_reported_once_with_its_file(
    root: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable, name: str, text: str
) -> None:
    monkeypatch.setattr(decode, "PIXEL_LIMIT", 16 * 12)
    spoil(root)
    complaints = reported(check(root))
    assert list(complaints) == [name]
    assert text in complaints[name]
    assert str(root) not in complaints[name]


def test_the_same_pixels_in_another_format_are_a_duplicate(root: Path) -> None:
    picture = pictures.read_picture(root / "train/good/0.png")
    Image.fromarray(picture).save(root / "train/good/9.bmp")
    assert reported(check(root)) == {"train/good/9.bmp": "has the same pixels as train/good/0.png"}


def test_every_file_may_be_bad(root: Path) -> None:
    for path in root.rglob("*.png"):
        path.write_text("hello")
    found = check(root)
    assert len(found.complaints) == 9
    assert [row.sizes for row in found.rows] == [(), (), ()]


def test_masks_of_good_photographs_are_passed_over(root: Path) -> None:
    mark(root / "ground_truth/good/0_mask.png", rows=0)
    assert not check(root).complaints


def test_complaints_are_sorted_by_file(root: Path) -> None:
    for index in (2, 0, 1):
        mark(root / f"ground_truth/dent/{index}_mask.png", rows=0)
    paths = [complaint.path for complaint in check(root).complaints]
    assert paths == sorted(paths)
    assert len(paths) == 3


def test_json_holds_everything(root: Path) -> None:
    (root / MASK).unlink()
    written = json.loads(json.dumps(check(root).to_json()))
    text = "has no mask in ground_truth/dent"
    assert written["complaints"] == [{"path": "test/dent/1.png", "text": text}]
    assert written["rows"][0] == {
        "split": "test",
        "kind": "dent",
        "count": 3,
        "sizes": [[16, 12]],
        "mask_percent": [25.0, 50.0, 75.0],
    }


def test_the_table_has_a_line_for_each_folder(root: Path) -> None:
    for index in range(4):
        draw(root / f"train/good/big{index}.png", seed=50 + index, width=20 + index)
    table = check(root).table()
    assert table.row_count == 3
    assert [*table.columns[0].cells] == ["test", "test", "train"]
    assert [*table.columns[3].cells][2] == "16 × 12, 20 × 12, 21 × 12, ..."
    assert [*table.columns[4].cells] == ["25.00 / 50.00 / 75.00", "", ""]


def test_checking_goes_through_the_tracker(root: Path) -> None:
    seen: list[object] = []
    check(root, track=lambda items: (seen.append(item) or item for item in items))
    assert len(seen) == 6


def said(found: Check) -> dict[str, str]:
    return {"/".join(item.path.parts[-3:]): item.text for item in found.notes}


LEFT_OUT: list[tuple[str, str]] = [
    ("train/lost.png", "it lies in train/ itself"),
    ("ground_truth/lost.png", "it lies in ground_truth/ itself"),
    ("train/good/front/9.png", "it lies in a folder inside train/good"),
    ("test/dent/a/b/9.png", "it lies in a folder inside test/dent"),
    ("ground_truth/dent/front/9.png", "is named like no photograph"),
    ("train/good/raw.heic", ".heic is not known"),
    ("test/dent/raw.DNG", ".DNG is not known"),
    ("train/good/IMG_0001", "has no suffix of a picture"),
]


@pytest.mark.parametrize("name, reason", LEFT_OUT)
def test_a_picture_that_is_not_read_is_named(root: Path, name: str, reason: str) -> None:
    draw(root / "elsewhere.png", 77)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / "elsewhere.png").rename(root / name)
    found = check(root)
    (complaint,) = found.complaints
    assert complaint.path == root / name
    assert complaint.text.startswith("is not read: ")
    assert reason in complaint.text
    assert sum(row.count for row in found.rows) == 6


@pytest.mark.parametrize("name", ["lost.png", "validation/good/0.png", "masks/dent/0.png"])
def test_a_picture_outside_the_layout_is_a_note(root: Path, name: str) -> None:
    draw(root / name, 77)
    found = check(root)
    assert not found.complaints
    reason = "is not read: it lies outside train/, test/ and ground_truth/"
    written = found.to_json()["notes"]
    assert written == [{"path": name, "text": reason}]


def test_many_pictures_outside_the_layout_are_named_by_their_folder(root: Path) -> None:
    for index in range(4):
        draw(root / f"validation/good/{index}.png", 70 + index)
    (note,) = check(root).notes
    assert note.path == root / "validation/good"
    assert note.text.startswith("holds 4 pictures; each is not read: it lies outside train/")


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".pgm", ".ppm", ".gif", ".JPG"])
def test_pictures_of_other_suffixes_are_read(root: Path, suffix: str) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (12, 16), np.uint8)
    formats = {".gif": "GIF", ".pgm": "PPM", ".ppm": "PPM"}
    path = root / f"train/good/new{suffix}"
    Image.fromarray(picture).save(path, formats.get(suffix, "JPEG"))
    found = check(root)
    assert not found.complaints
    assert [row.count for row in found.rows] == [3, 1, 3]


def test_hidden_files_and_texts_stay_silent(root: Path) -> None:
    for name in (".DS_Store", "train/good/.DS_Store", "train/good/._0.png", "notes.txt", "LICENSE"):
        (root / name).write_bytes(b"x")
    draw(root / ".thumbnails/0.png", 5)
    found = check(root)
    assert (found.notes, found.complaints) == ((), ())


def test_a_pipe_and_a_broken_link_are_named(root: Path) -> None:
    os.mkfifo(root / "train/good/pipe.png")
    (root / "train/good/gone.png").symlink_to(root / "nowhere.png")
    assert reported(check(root)) == {
        "train/good/gone.png": "is not read: it is a link to nothing",
        "train/good/pipe.png": "is not read: it is no file",
    }


def test_a_camera_of_12_bits_is_named_with_its_highest_level(root: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 4081, (12, 16)).astype(np.uint16)
    levels[0, 0] = 4080
    Image.fromarray(levels).save(root / "train/good/0.png")
    text = reported(check(root))["train/good/0.png"]
    assert text.startswith("has 16 bits with levels up to 4080 only")
    assert "--levels 4095" in text
    with read_as(Reading(levels=4095)):
        assert not check(root).complaints


def test_a_camera_that_may_have_14_bits_is_a_note(root: Path) -> None:
    levels = np.full((12, 16), 9000, np.uint16)
    Image.fromarray(levels).save(root / "train/good/0.png")
    found = check(root)
    assert not found.complaints
    assert "levels up to 9000" in said(found)["train/good/0.png"]


def test_what_differs_below_8_bits_is_no_duplicate(root: Path) -> None:
    levels = np.full((12, 16), 40_000, np.uint16)
    for index in range(2):
        Image.fromarray(levels + np.uint16(index)).save(root / f"train/good/{index}.png")
    one, other = (pictures.read_picture(root / f"train/good/{k}.png") for k in range(2))
    assert np.array_equal(one, other)
    assert not check(root).complaints


def test_an_oblong_photograph_is_a_note(root: Path) -> None:
    draw(root / "train/good/0.png", seed=0, width=19)
    assert "train/good/0.png" in said(check(root))
    draw(root / "train/good/0.png", seed=0, width=18)
    assert not check(root).notes


def test_a_mask_that_vanishes_at_the_models_resolution_is_a_note(root: Path) -> None:
    draw(root / "test/dent/1.png", seed=11, width=160, height=120)
    mask = np.zeros((120, 160), bool)
    mask[60:62, 70:72] = True
    write_picture(root / MASK, mask)
    assert said(check(root, resolution=8)) == {MASK: "has 1 pixels at 8 × 8, too few to learn from"}
    assert not check(root, resolution=160).notes


def test_a_mask_of_most_of_the_photograph_is_a_note(root: Path) -> None:
    mark(root / MASK, 11)
    assert said(check(root)) == {
        MASK: "marks 92% of the photograph; is it the other way round?",
    }


def test_classes_split_a_photograph_by_the_types_in_its_mask(root: Path) -> None:
    levels = np.zeros((12, 16), np.uint8)
    levels[:4], levels[8:] = 1, 2
    Image.fromarray(levels).save(root / MASK)
    assert "several levels: 0, 1, 2; say with --classes" in reported(check(root))[MASK]
    with read_as(Reading(classes="1=dent,2=rust")):
        found = check(root)
    assert not found.complaints
    assert [(row.kind, row.count) for row in found.rows if row.split == "test"] == [
        ("dent", 3),
        ("rust", 1),
        ("good", 1),
    ]


def test_a_turned_mask_of_a_square_photograph_is_a_complaint(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    square = np.random.default_rng(8).integers(0, 256, (12, 12, 3), np.uint8)
    Image.fromarray(square).save(root / "test/dent/1.png", exif=exif)
    mark(root / MASK, rows=3, width=12)
    assert "fits both as it is and turned" in reported(check(root))[MASK]


def test_a_plain_folder_of_photographs_is_looked_at_too(tmp_path: Path) -> None:
    Image.fromarray(np.full((12, 16), 4080, np.uint16)).save(tmp_path / "a.png")
    draw(tmp_path / "b.png", 1)
    found = check(tmp_path)
    assert [complaint.path for complaint in found.complaints] == [tmp_path, tmp_path / "a.png"]
    assert "has no photographs in train/ or test/" in found.complaints[0].text
    assert "levels up to 4080" in found.complaints[1].text
    json.dumps(found.to_json())


def test_a_folder_without_any_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="without photographs"):
        check(tmp_path)


def test_a_missing_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        check(tmp_path / "no")


@pytest.mark.parametrize("name", ["hazelnut_toy", "mvtec_bottle_256"])
def test_real_folders_are_sound(shared: Path, name: str) -> None:
    assert not check(shared / "data" / name).complaints
