from pathlib import Path

import numpy as np
import pytest
import torch

from blemish.data import DefectFolder, Photograph, as_sample, load_pictures
from blemish.data.folder import refuse_unmarked
from blemish.errors import DataError
from blemish.pictures import write_picture


def draw(path: Path, side: int = 12, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8))


def mark(path: Path, side: int = 12) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((side, side), bool)
    mask[: side // 2] = True
    write_picture(path, mask)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for index, place in enumerate(["train/good/1", "train/good/0", "test/good/0", "test/dent/0"]):
        draw(tmp_path / f"{place}.png", seed=index)
    draw(tmp_path / "test/crack/7.png", side=24, seed=9)
    mark(tmp_path / "ground_truth/dent/0_mask.png")
    mark(tmp_path / "ground_truth/crack/7.png", side=24)
    return tmp_path


def names(photographs: tuple[Photograph, ...]) -> list[str]:
    return ["/".join(photograph.path.parts[-3:]) for photograph in photographs]


def test_photographs_come_sorted_with_their_masks(root: Path) -> None:
    folder = DefectFolder(root)
    expected = ["test/crack/7.png", "test/dent/0.png", "test/good/0.png"]
    assert names(folder.photographs) == [*expected, "train/good/0.png", "train/good/1.png"]
    assert folder.types == ("crack", "dent")
    assert [photograph.mask_path for photograph in folder.defects()] == [
        root / "ground_truth/crack/7.png",
        root / "ground_truth/dent/0_mask.png",
    ]


def test_good_and_defects_part_the_folder(root: Path) -> None:
    folder = DefectFolder(str(root))
    assert {*folder.good(), *folder.defects()} == {*folder.photographs}
    assert {*folder.good("train"), *folder.good("test")} == {*folder.good()}
    assert names(folder.defects("dent")) == ["test/dent/0.png"]
    assert folder.defects("nothing") == ()
    assert all(photograph.mask_path is None for photograph in folder.good())


@pytest.mark.parametrize("suffix", [".PNG", ".JPEG", ".jpg", ".Tif", ".tiff", ".bmp", ".webp"])
def test_any_suffix_will_do_in_either_case(root: Path, suffix: str) -> None:
    (root / "test/dent/0.png").rename(root / f"test/dent/0{suffix}")
    mask = root / "ground_truth/dent/0_mask.png"
    mask.rename(mask.with_suffix(suffix))
    (photograph,) = DefectFolder(root).defects("dent")
    assert photograph.mask_path == mask.with_suffix(suffix)


def test_defects_may_be_in_train_too(root: Path) -> None:
    draw(root / "train/dent/5.png")
    mark(root / "ground_truth/dent/5.png")
    assert [photograph.split for photograph in DefectFolder(root).defects("dent")] == [
        "test",
        "train",
    ]


@pytest.mark.parametrize("name", [".7.hidden.png", "._1.png", "Thumbs.db", "notes.txt"])
def test_other_files_are_passed_over(root: Path, name: str) -> None:
    before = DefectFolder(root).photographs
    (root / "train/good" / name).write_text("x")
    (root / "test" / ".cache").mkdir()
    draw(root / "test" / ".cache" / "1.png")
    (root / "train" / "good" / "folder.png").mkdir()
    assert DefectFolder(root).photographs == before


def test_a_missing_root_and_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        DefectFolder(tmp_path / "no")
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="is a file"):
        DefectFolder(tmp_path / "file")


@pytest.mark.parametrize("inner", ["train/good", "test", "ground_truth/dent", "elsewhere"])
def test_a_folder_without_photographs_shows_the_layout(tmp_path: Path, inner: str) -> None:
    (tmp_path / inner).mkdir(parents=True)
    with pytest.raises(DataError, match=r"train/good/\*, test/<type>/\* and ground_truth"):
        DefectFolder(tmp_path)


def test_one_folder_too_high_says_where_to_look(tmp_path: Path) -> None:
    draw(tmp_path / "part/train/good/0.png")
    with pytest.raises(DataError, match=r"Did you mean .*part\?"):
        DefectFolder(tmp_path)


@pytest.mark.parametrize("resolution", [4, 12, 16])
def test_everything_is_loaded_at_one_resolution(root: Path, resolution: int) -> None:
    folder = DefectFolder(root)
    pictures, masks = load_pictures(folder.photographs, resolution)
    assert pictures.shape == (5, resolution, resolution, 3)
    assert masks.shape == (5, resolution, resolution)
    np.testing.assert_allclose(masks.mean(axis=(1, 2)), [0.5, 0.5, 0, 0, 0])


def test_nothing_is_loaded_from_nothing() -> None:
    pictures, masks = load_pictures([], 8)
    assert len(as_sample(pictures, masks)) == 0


def test_loading_goes_through_the_tracker(root: Path) -> None:
    seen: list[Photograph] = []
    photographs = DefectFolder(root).photographs
    load_pictures(photographs, 4, track=lambda items: (seen.append(item) or item for item in items))
    assert tuple(seen) == photographs


def test_a_sample_is_in_range(root: Path) -> None:
    sample = as_sample(*load_pictures(DefectFolder(root).photographs, 12))
    assert sample.image.shape == (5, 3, 12, 12)
    assert sample.image.abs().max() <= 1
    assert set(sample.mask.unique().tolist()) == {0.0, 1.0}
    assert sample.image.dtype == sample.mask.dtype == torch.float32


def test_a_defect_without_mask_is_named(root: Path) -> None:
    (root / "ground_truth/dent/0_mask.png").unlink()
    with pytest.raises(DataError, match=r"dent/0\.png without a mask.*dent/0_mask\.png"):
        load_pictures(DefectFolder(root).photographs, 8)


def test_a_mask_of_another_size_is_named_with_both_sizes(root: Path) -> None:
    mark(root / "ground_truth/dent/0_mask.png", side=8)
    with pytest.raises(DataError, match=r"0_mask\.png, a mask of 8 × 8.*photograph of 12 × 12"):
        load_pictures(DefectFolder(root).photographs, 8)


@pytest.mark.parametrize("marked", [False, True])
def test_an_empty_or_full_mask_is_refused_by_name(root: Path, marked: bool) -> None:
    write_picture(root / "ground_truth/dent/0_mask.png", np.full((12, 12), marked))
    which, photographs = "every" if marked else "no", DefectFolder(root).photographs
    with pytest.raises(DataError, match=rf"dent/0_mask\.png, a mask with {which} pixel marked"):
        refuse_unmarked(photographs, load_pictures(photographs, 8)[1])


def test_oblong_photographs_are_said_aloud(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    load_pictures(DefectFolder(root).photographs, 8)
    assert not caplog.messages
    write_picture(root / "train/good/0.png", np.zeros((10, 16, 3), np.uint8))
    load_pictures(DefectFolder(root).photographs, 8)
    (said,) = caplog.messages
    assert said.startswith("Note: 1 of 5 photographs have sides that differ")
    assert str(root / "train/good/0.png") in said


def test_vanishing_masks_are_said_aloud(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    mask = np.zeros((24, 24), bool)
    mask[3:5, 3:5] = True
    write_picture(root / "ground_truth/crack/7.png", mask)
    load_pictures(DefectFolder(root).photographs, 8)
    (said,) = caplog.messages
    assert said.startswith("Note: 1 masks have fewer than 3 pixels at the model's 8 × 8")
    assert str(root / "ground_truth/crack/7.png") in said


@pytest.mark.parametrize("name", ["hazelnut_toy", "mvtec_bottle_256"])
def test_real_folders_are_read(shared: Path, name: str) -> None:
    folder = DefectFolder(shared / "data" / name)
    counts = {kind: len(folder.defects(kind)) for kind in folder.types}
    assert (
        counts
        == {
            "hazelnut_toy": {"colour": 17, "crack": 5},
            "mvtec_bottle_256": {"broken_large": 20, "broken_small": 22, "contamination": 21},
        }[name]
    )
    sample = as_sample(*load_pictures(folder.defects(folder.types[0])[:3], 32))
    assert (sample.mask.mean(dim=(1, 2, 3)) > 0).all()
