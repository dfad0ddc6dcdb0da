import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from blemish import decode
from blemish.data.pairs import read_mask
from blemish.errors import DataError
from blemish.pictures import (
    fit_mask,
    fit_square,
    grid,
    mask_to_tensor,
    read_picture,
    to_mask,
    to_picture,
    to_tensor,
    write_picture,
)

LOSSLESS = [".png", ".bmp", ".tif", ".TIFF", ".webp", ".gif", ".ppm"]
SUFFIXES = [*LOSSLESS, ".jpg", ".JPEG", ".jfif"]


def noise(*shape: int, high: int = 256, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, high, shape).astype(dtype)


def header_only_png(path: Path, width: int, height: int) -> Path:
    """A grey PNG of 60 bytes that promises far more."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 7, 3), (5, 7)])
def test_what_is_written_is_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    picture = noise(*shape)
    write_picture(tmp_path / "a.png", picture)
    expected = picture if picture.ndim == 3 else np.stack([picture] * 3, axis=-1)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), expected)


def test_a_mask_that_is_written_is_read(tmp_path: Path) -> None:
    mask = noise(5, 7, high=2).astype(bool)
    write_picture(tmp_path / "a.png", mask)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), mask)
    assert set(np.unique(read_picture(tmp_path / "a.png"))) == {0, 255}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_is_read(tmp_path: Path, suffix: str) -> None:
    picture = np.full((9, 6, 3), (10, 120, 250), np.uint8)
    path = tmp_path / f"a{suffix}"
    Image.fromarray(picture).save(path, lossless=True)
    off = np.abs(read_picture(path).astype(int) - picture).max()
    assert off <= (0 if suffix in LOSSLESS else 3)


def test_the_suffix_does_not_matter(tmp_path: Path) -> None:
    Image.fromarray(noise(4, 4, 3)).save(tmp_path / "a.txt", format="PNG")
    assert read_picture(tmp_path / "a.txt").shape == (4, 4, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_is_read_as_three_channels(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(np.full((4, 6, 3), 255, np.uint8)).convert(mode)
    image.save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif"), 255)


def test_alpha_is_dropped(tmp_path: Path) -> None:
    picture = noise(4, 6, 4)
    Image.fromarray(picture).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), picture[..., :3])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_are_scaled_to_8(tmp_path: Path, suffix: str) -> None:
    levels = np.array([[0, 128, 129, 257, 32767, 65535]], np.uint16)
    Image.fromarray(levels).save(tmp_path / f"a{suffix}")
    expected = np.array([0, 0, 1, 1, 127, 255])
    np.testing.assert_array_equal(read_picture(tmp_path / f"a{suffix}")[0, :, 0], expected)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_32_bits_are_refused(tmp_path: Path, dtype: type) -> None:
    Image.fromarray(noise(4, 4, dtype=dtype)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif with 32 bits"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_the_orientation_of_exif_is_applied(tmp_path: Path, turn: int, suffix: str) -> None:
    upright = noise(4, 6, 3)
    stored = [
        upright,
        upright[:, ::-1],
        upright[::-1, ::-1],
        upright[::-1],
        upright.transpose(1, 0, 2),
        upright[:, ::-1].transpose(1, 0, 2),
        upright[::-1, ::-1].transpose(1, 0, 2),
        upright[::-1].transpose(1, 0, 2),
    ][turn - 1]
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / f"a{suffix}", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / f"a{suffix}"), upright)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(noise(64, 64, 3)).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=path.name):
        read_picture(path)


def test_a_truncated_file_is_refused_whatever_others_reported_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    test_a_truncated_file_is_refused(tmp_path, ".png", 0.6)
    assert ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("read", [read_picture, read_mask])
@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF"])
def test_what_is_no_picture_is_refused(tmp_path: Path, read: Callable, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png, which .* Expected a PNG, JPEG.* Export it again"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("read", [read_picture, read_mask])
def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path, read: Callable) -> None:
    with pytest.raises(DataError, match=r"no\.png, which does not exist"):
        read(tmp_path / "no.png")
    with pytest.raises(DataError, match="which is a folder"):
        read(tmp_path)


@pytest.mark.parametrize("side", [8_001, 10_000, 14_000, 60_000])
def test_a_bomb_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    path = header_only_png(tmp_path / "a.png", side, side)
    assert path.stat().st_size < 100
    with pytest.raises(DataError, match=r"a\.png with .* pixels. Expected at most 64,000,000"):
        read_picture(path)


def test_the_limit_itself_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(noise(4, 6, 3)).save(tmp_path / "a.png")
    monkeypatch.setattr(decode, "PIXEL_LIMIT", 24)
    assert read_picture(tmp_path / "a.png").shape == (4, 6, 3)
    monkeypatch.setattr(decode, "PIXEL_LIMIT", 23)
    with pytest.raises(DataError, match="24 pixels"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_masks_of_every_mode_are_read(tmp_path: Path, mode: str) -> None:
    mask = noise(5, 7, high=2).astype(bool)
    Image.fromarray(mask).convert("L").convert(mode).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), mask)


@pytest.mark.parametrize(
    "levels, expected",
    [
        (np.array([[0, 127, 128, 255]], np.uint8), [0, 0, 1, 1]),
        (np.array([[0, 1, 0]], np.uint8), [0, 1, 0]),
        (np.array([[0, 0]], np.uint8), [0, 0]),
        (np.array([[0, 32767, 32768, 65535]], np.uint16), [0, 0, 1, 1]),
        (np.array([[0, 1]], np.uint16), [0, 1]),
        (np.array([[(0, 0, 0), (0, 0, 200), (0, 0, 100)]], np.uint8), [0, 1, 0]),
    ],
)
def test_a_mask_with_soft_edges_is_parted_at_half(
    tmp_path: Path, levels: np.ndarray, expected: list[int]
) -> None:
    Image.fromarray(levels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png")[0], np.array(expected, bool))


@pytest.mark.parametrize("shape", [(4, 6, 3), (2, 4, 6, 3)])
def test_pictures_survive_the_way_to_tensors_and_back(shape: tuple[int, ...]) -> None:
    picture = noise(*shape)
    image = to_tensor(picture)
    assert image.shape == (*shape[:-3], 3, 4, 6)
    assert image.abs().max() <= 1
    np.testing.assert_array_equal(to_picture(image), picture)


def test_black_is_minus_one_and_white_is_one() -> None:
    image = to_tensor(np.array([[(0, 0, 0), (255, 255, 255)]], np.uint8))
    torch.testing.assert_close(image[:, 0], torch.tensor([[-1.0, 1.0]]).expand(3, 2))


@pytest.mark.parametrize(
    "value, level", [(-9, 0), (-1, 0), (0, 128), (0.99, 254), (1, 255), (9, 255)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_lies_outside_is_clamped(value: float, level: int, dtype: torch.dtype) -> None:
    assert (to_picture(torch.full((3, 2, 2), value, dtype=dtype)) == level).all()


def test_half_precision_and_gradients_are_welcome() -> None:
    image = torch.zeros(3, 2, 2, dtype=torch.bfloat16, requires_grad=True)
    assert to_picture(image).dtype == np.uint8


@pytest.mark.parametrize("shape", [(4, 6), (2, 4, 6)])
@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_masks_survive_the_way_to_tensors_and_back(shape: tuple[int, ...], dtype: type) -> None:
    mask = noise(*shape, high=2, dtype=dtype)
    np.testing.assert_array_equal(to_mask(mask_to_tensor(mask)), mask.astype(bool))


@pytest.mark.parametrize("shape", [(8, 8, 3), (64, 64, 3), (13, 40, 3), (5, 5, 3), (3, 90, 3)])
@pytest.mark.parametrize("level", [0, 77, 255])
def test_fitting_keeps_a_flat_picture_flat(shape: tuple[int, ...], level: int) -> None:
    fitted = fit_square(np.full(shape, level, np.uint8), 16)
    assert fitted.shape == (16, 16, 3)
    assert (fitted == level).all()


def test_fitting_to_the_same_size_changes_nothing() -> None:
    picture, mask = noise(16, 16, 3), noise(16, 16, high=2).astype(bool)
    np.testing.assert_array_equal(fit_square(picture, 16), picture)
    np.testing.assert_array_equal(fit_mask(mask, 16), mask)


def test_shrinking_averages_areas() -> None:
    picture = noise(32, 64, 3)
    blocks = picture.reshape(8, 4, 8, 8, 3).mean(axis=(1, 3))
    assert np.abs(fit_square(picture, 8) - blocks).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("side", [8, 16, 17, 64, 225])
@pytest.mark.parametrize("full", [False, True])
def test_flat_masks_stay_flat(side: int, full: bool) -> None:
    assert (fit_mask(np.full((side, side), full), 16) == full).all()


@pytest.mark.parametrize("side", [33, 64, 100, 225])
@pytest.mark.parametrize("seed", range(3))
def test_no_pixel_of_a_mask_is_lost_by_more_than_one(side: int, seed: int) -> None:
    sparse = np.random.default_rng(seed).choice(2, (side, side), p=(0.996, 0.004)).astype(bool)
    fitted = np.pad(fit_mask(sparse, 16), 1)
    near = np.stack([fitted[y : y + 16, x : x + 16] for y in range(3) for x in range(3)]).max(
        axis=0
    )
    rows, columns = (index * 16 // side for index in np.nonzero(sparse))
    assert near[rows, columns].all()


@pytest.mark.parametrize("row", range(8))
def test_a_scratch_stays_whole(row: int) -> None:
    mask = np.zeros((128, 128), bool)
    mask[40 + row] = True
    assert fit_mask(mask, 16).any(axis=0).all()


def test_a_bulky_mask_keeps_its_area() -> None:
    y, x = np.mgrid[:300, :300]
    disc = (y - 140) ** 2 + (x - 155) ** 2 < 90**2
    assert abs(fit_mask(disc, 64).mean() - disc.mean()) < 0.005


@pytest.mark.parametrize(
    "count, columns, shape", [(1, 1, (4, 6)), (3, 2, (10, 14)), (2, 4, (4, 30))]
)
def test_a_grid_holds_every_picture(count: int, columns: int, shape: tuple[int, int]) -> None:
    tiles = [noise(4, 6, 3) // (index + 1) for index in range(count)]
    sheet = grid(tiles, columns)
    assert sheet.shape == (*shape, 3)
    for index, tile in enumerate(tiles):
        top, left = index // columns * 6, index % columns * 8
        np.testing.assert_array_equal(sheet[top : top + 4, left : left + 6], tile)


def test_real_photographs_and_masks_are_read(shared: Path) -> None:
    folder = shared / "data" / "mvtec_bottle_256"
    assert read_picture(folder / "test/broken_large/000.png").shape == (256, 256, 3)
    assert 0 < read_mask(folder / "ground_truth/broken_large/000_mask.png").mean() < 0.5
