import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from blemish.data.pairs import read_mask
from blemish.decode import Decoded, decode
from blemish.levels import as_stored, changed_levels, colours_of, picture_of, upright
from blemish.pictures import read_picture

SHAPES = [(5, 7), (5, 7, 2), (5, 7, 3), (5, 7, 4)]
DTYPES = [np.uint8, np.uint16]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY = SRGB[:16] + b"GRAY" + SRGB[20:]


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def write_deep(path: Path, levels: np.ndarray) -> None:
    order = [2, 1, 0, 3][: levels.shape[2]]
    assert cv2.imwrite(str(path), levels[:, :, order])


def write_tiff(path: Path, stored: np.ndarray, orientation: int) -> None:
    """RGB of 16 bits, uncompressed, as a camera might store it lying on its side."""
    h, w, _ = stored.shape
    pixels = stored.astype("<u2").tobytes()
    entries = [
        (256, 3, 1, w),
        (257, 3, 1, h),
        (258, 3, 3, 8 + len(pixels)),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 8),
        (274, 3, 1, orientation),
        (277, 3, 1, 3),
        (278, 3, 1, h),
        (279, 4, 1, len(pixels)),
    ]
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", *e) for e in entries
    )
    head = b"II*\0" + struct.pack("<I", 8 + len(pixels) + 6)
    path.write_bytes(head + pixels + struct.pack("<3H", 16, 16, 16) + directory + bytes(4))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shape", SHAPES)
def test_turning_back_undoes_turning(orientation: int, shape: tuple[int, ...]) -> None:
    levels = noise(*shape)
    assert np.array_equal(as_stored(upright(levels, orientation), orientation), levels)
    assert np.array_equal(upright(as_stored(levels, orientation), orientation), levels)
    assert upright(levels, orientation).shape[:2] == ((5, 7) if orientation < 5 else (7, 5))


@pytest.mark.parametrize("shape", SHAPES)
def test_16_bits_and_8_show_the_same(shape: tuple[int, ...]) -> None:
    shallow = noise(*shape)
    deep = shallow.astype(np.uint16) * np.uint16(257)
    assert np.array_equal(picture_of(deep), picture_of(shallow))


@pytest.mark.parametrize("white", [511, 1023, 4095, 16383, 65535])
@pytest.mark.parametrize("shape", SHAPES)
def test_white_is_white_whatever_the_bits(shape: tuple[int, ...], white: int) -> None:
    levels = (noise(*shape, dtype=np.uint16).astype(int) * white // 65535).astype(np.uint16)
    levels.flat[:3] = (0, white // 2, white)
    shown = np.rint(colours_of(levels) * (255 / white))
    assert np.abs(picture_of(levels, white).astype(int) - shown).max() <= 1
    assert picture_of(np.array([[0, white]], np.uint16), white)[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("white", [255, 1023, 4095, 5000, 65535])
def test_changed_levels_show_the_change_and_nothing_else(white: int) -> None:
    rng = np.random.default_rng(0)
    old = rng.integers(0, white + 1, (4000, 3)).astype(np.uint8 if white == 255 else np.uint16)
    shown = picture_of(old[None], white)[0].astype(int)
    wanted = np.where(rng.random(shown.shape) < 0.3, shown, rng.integers(0, 256, shown.shape))
    fresh = changed_levels(old, wanted - shown, white)
    assert np.array_equal(picture_of(fresh[None], white)[0], wanted)
    assert np.array_equal(fresh == old, wanted == shown)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_alpha_is_no_colour(shape: tuple[int, ...], dtype: type) -> None:
    levels = noise(*shape, dtype=dtype)
    clear = levels.copy()
    if shape[2:] in ((2,), (4,)):
        clear[..., -1] = 0
    assert np.array_equal(picture_of(clear), picture_of(levels))
    assert (Decoded(levels=levels).alpha is None) == (shape[2:] in ((), (3,)))
    assert colours_of(levels).shape == (5, 7, 3 if shape[2:] in ((3,), (4,)) else 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_picture_may_be_written_into(shape: tuple[int, ...], dtype: type) -> None:
    picture = picture_of(noise(*shape, dtype=dtype))
    assert picture.shape == (5, 7, 3)
    assert picture.flags.writeable
    assert picture.flags.c_contiguous


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_16_bits_are_read_in_full(tmp_path: Path, suffix: str, channels: int) -> None:
    levels = noise(5, 7, channels, dtype=np.uint16)
    write_deep(tmp_path / f"a{suffix}", levels)
    assert np.array_equal(decode(tmp_path / f"a{suffix}").levels, levels)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colours_of_16_bits_are_rounded_as_grey_is(tmp_path: Path, suffix: str) -> None:
    row = np.array([[0, 128, 129, 257, 32767, 65535]], np.uint16)
    write_deep(tmp_path / f"a{suffix}", np.stack([row, row * 0, row], axis=2))
    found = read_picture(tmp_path / f"a{suffix}")
    assert found[0, :, 0].tolist() == found[0, :, 2].tolist() == [0, 0, 1, 1, 127, 255]
    assert not found[:, :, 1].any()


def test_a_mask_of_16_bits_in_colour_is_parted_at_half(tmp_path: Path) -> None:
    levels = np.zeros((1, 4, 3), np.uint16)
    levels[0, :, 1] = (0, 32767, 32768, 65535)
    write_deep(tmp_path / "a.png", levels)
    assert read_mask(tmp_path / "a.png")[0].tolist() == [False, False, True, True]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_of_16_bits_is_turned_once(tmp_path: Path, orientation: int) -> None:
    levels = noise(5, 7, 3, dtype=np.uint16)
    write_tiff(tmp_path / "a.tif", as_stored(levels, orientation), orientation)
    found = decode(tmp_path / "a.tif")
    assert np.array_equal(found.levels, levels)
    assert found.orientation == orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_is_turned_once(tmp_path: Path, orientation: int, dtype: type, suffix: str) -> None:
    levels, exif = noise(5, 7, dtype=dtype), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(as_stored(levels, orientation)).save(tmp_path / f"a{suffix}", exif=exif)
    found = decode(tmp_path / f"a{suffix}")
    assert np.array_equal(found.levels, levels)
    assert found.orientation == orientation


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".png", ".tif"])
@pytest.mark.parametrize("orientation", [0, 1, 6, 9, 77])
def test_an_orientation_that_is_none_turns_nothing(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(noise(5, 7, 3)).save(tmp_path / f"a{suffix}", exif=exif)
    found = decode(tmp_path / f"a{suffix}")
    assert found.orientation == (6 if orientation == 6 else 1)
    assert found.levels.shape == ((7, 5, 3) if orientation == 6 else (5, 7, 3))


@pytest.mark.parametrize(
    "mode, shape",
    [
        ("1", (5, 7)),
        ("L", (5, 7)),
        ("LA", (5, 7, 2)),
        ("P", (5, 7, 3)),
        ("RGB", (5, 7, 3)),
        ("RGBA", (5, 7, 4)),
        ("CMYK", (5, 7, 3)),
        ("YCbCr", (5, 7, 3)),
    ],
)
def test_what_each_mode_is_read_as(tmp_path: Path, mode: str, shape: tuple[int, ...]) -> None:
    Image.fromarray(noise(5, 7, 3)).convert(mode).save(tmp_path / "a.tif")
    found = decode(tmp_path / "a.tif").levels
    assert found.shape == shape
    assert found.dtype == np.uint8


@pytest.mark.parametrize(
    "mode, profile, kept",
    [
        ("RGB", SRGB, True),
        ("RGBA", SRGB, True),
        ("P", SRGB, True),
        ("L", GREY, True),
        ("L", SRGB, False),
        ("RGB", GREY, False),
        ("CMYK", SRGB[:16] + b"CMYK" + SRGB[20:], False),
        ("RGB", b"short", False),
        ("RGB", None, False),
    ],
)
def test_a_profile_stays_with_its_colours(
    tmp_path: Path, mode: str, profile: bytes | None, kept: bool
) -> None:
    Image.fromarray(noise(5, 7, 3)).convert(mode).save(tmp_path / "a.tif", icc_profile=profile)
    assert decode(tmp_path / "a.tif").profile == (profile if kept else b"")
