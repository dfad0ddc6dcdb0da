from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blemish.data.pairs import files_of, read_mask_for
from blemish.decode import PictureHeader
from blemish.errors import DataError
from blemish.levels import as_stored

OBLONG, SQUARE = (12, 18), (16, 16)


def mask_of(size: tuple[int, int]) -> np.ndarray:
    """One that no turn and no flip leaves as it is."""
    mask = np.zeros(size, bool)
    mask[1:3, 2:9] = mask[1:8, 2:4] = True
    return mask


def write(path: Path, mask: np.ndarray, tag: int = 1) -> Path:
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(mask.astype(np.uint8) * 255).save(path, exif=exif)
    return path


def photograph(size: tuple[int, int], tag: int) -> PictureHeader:
    return PictureHeader(width=size[1], height=size[0], orientation=tag)


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("size", [OBLONG, SQUARE])
def test_a_mask_with_the_photographs_tag_lies_as_it_does(
    tmp_path: Path, size: tuple[int, int], tag: int
) -> None:
    mask = mask_of(size)
    path = write(tmp_path / "m.png", as_stored(mask, tag), tag)
    assert np.array_equal(read_mask_for(photograph(size, tag), path), mask)


@pytest.mark.parametrize("tag", [5, 6, 7, 8])
@pytest.mark.parametrize("stored", [False, True])
def test_the_size_says_how_a_mask_without_tag_lies(tmp_path: Path, tag: int, stored: bool) -> None:
    mask = mask_of(OBLONG)
    path = write(tmp_path / "m.png", as_stored(mask, tag) if stored else mask)
    assert np.array_equal(read_mask_for(photograph(OBLONG, tag), path), mask)


@pytest.mark.parametrize(
    "size, tag", [(SQUARE, tag) for tag in range(2, 9)] + [(OBLONG, tag) for tag in (2, 3, 4)]
)
def test_a_mask_that_could_lie_in_two_ways_is_refused(
    tmp_path: Path, size: tuple[int, int], tag: int
) -> None:
    path = write(tmp_path / "m.png", mask_of(size))
    with pytest.raises(DataError, match=rf"m\.png.* orientation {tag}, which fits both"):
        read_mask_for(photograph(size, tag), path)


@pytest.mark.parametrize("tag", range(1, 9))
def test_a_mask_that_lies_alike_both_ways_is_taken(tmp_path: Path, tag: int) -> None:
    mask = np.zeros(SQUARE, bool)
    mask[6:10, 6:10] = True
    path = write(tmp_path / "m.png", mask)
    assert np.array_equal(read_mask_for(photograph(SQUARE, tag), path), mask)


@pytest.mark.parametrize("tag", [1, 3, 6])
def test_a_mask_of_another_size_is_refused_with_both(tmp_path: Path, tag: int) -> None:
    path = write(tmp_path / "m.png", mask_of((12, 17)))
    with pytest.raises(DataError, match=r"m\.png, a mask of 17 × 12 .*photograph of 18 × 12"):
        read_mask_for(photograph(OBLONG, tag), path)


def test_the_pictures_of_a_folder_mark_a_defect_together(tmp_path: Path) -> None:
    (tmp_path / "000").mkdir()
    first, second = np.zeros(OBLONG, bool), np.zeros(OBLONG, bool)
    first[2, 3], second[7, 9] = True, True
    write(tmp_path / "000/000.png", first)
    write(tmp_path / "000/001.png", second)
    (tmp_path / "000/.hidden.png").write_bytes(b"no picture")
    assert np.array_equal(read_mask_for(photograph(OBLONG, 1), tmp_path / "000"), first | second)
    assert [path.name for path in files_of(tmp_path / "000")] == ["000.png", "001.png"]


def test_a_folder_without_pictures_is_no_mask(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="which is a folder"):
        read_mask_for(photograph(OBLONG, 1), tmp_path)
