import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blemish import pictures
from blemish.data import Check, check
from blemish.errors import DataError
from blemish.pictures import write_picture


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


def told(found: Check) -> dict[str, str]:
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
    (lambda root: mark(root / MASK, 3, height=11), MASK, "16 × 11, but its photograph 16 × 12"),
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
def test_each_fault_is_told_once_with_its_file(
    root: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable, name: str, text: str
) -> None:
    monkeypatch.setattr(pictures, "PIXEL_LIMIT", 16 * 12)
    spoil(root)
    complaints = told(check(root))
    assert list(complaints) == [name]
    assert text in complaints[name]
    assert str(root) not in complaints[name]


def test_the_same_pixels_in_another_format_are_a_duplicate(root: Path) -> None:
    picture = pictures.read_picture(root / "train/good/0.png")
    Image.fromarray(picture).save(root / "train/good/9.bmp")
    assert told(check(root)) == {"train/good/9.bmp": "has the same pixels as train/good/0.png"}


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


def test_a_missing_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        check(tmp_path / "no")


@pytest.mark.parametrize("name", ["hazelnut_toy", "mvtec_bottle_256"])
def test_real_folders_are_sound(shared: Path, name: str) -> None:
    assert not check(shared / "data" / name).complaints
