import errno
import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from blemish import decode as decoding
from blemish.data.pairs import read_mask
from blemish.decode import PictureHeader, decode, header
from blemish.errors import DataError
from blemish.originals import Original, read_original
from blemish.pictures import read_picture
from blemish.reading import Reading, read_as
from blemish.regular import IrregularFileError, open_regular, read_regular


def dim(highest: int) -> np.ndarray:
    """16 bits of which only the lower part is used."""
    levels = np.random.default_rng(0).integers(0, highest + 1, (9, 7)).astype(np.uint16)
    levels[0, 0] = highest
    return levels


def in_12_bits(path: Path, levels: np.ndarray) -> None:
    """An uncompressed grey TIFF with two levels in three bytes."""
    h, w = levels.shape
    pairs = np.pad(levels, ((0, 0), (0, w % 2))).reshape(h, -1, 2).astype(np.uint32)
    packed = (pairs[:, :, 0] << 12) | pairs[:, :, 1]
    rows = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=2).astype(np.uint8)
    pixels = rows.reshape(h, -1)[:, : (w * 12 + 7) // 8].tobytes()
    entries = [(256, w), (257, h), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, h)]
    entries.append((279, len(pixels)))
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    head = b"II*\0" + struct.pack("<I", 8 + len(pixels))
    path.write_bytes(head + pixels + directory + bytes(4))


@pytest.mark.parametrize("highest", [1, 900, 1023, 4080, 4095])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("read", [read_picture, read_original])
def test_10_and_12_bits_in_16_are_not_taken_for_black(
    tmp_path: Path, highest: int, suffix: str, read: object
) -> None:
    Image.fromarray(dim(highest)).save(tmp_path / f"a{suffix}")
    with pytest.raises(DataError, match=rf"levels up to {highest} .*--levels (1023|4095)\b"):
        read(tmp_path / f"a{suffix}")  # type: ignore[operator]


@pytest.mark.parametrize("white", [1023, 4095, 16383, 65535])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_levels_are_scaled_on_request(tmp_path: Path, white: int, suffix: str) -> None:
    levels = dim(1000)
    Image.fromarray(levels).save(tmp_path / f"a{suffix}")
    with read_as(Reading(levels=white)):
        found = read_picture(tmp_path / f"a{suffix}")
    assert np.abs(found[:, :, 0] - levels * (255 / white)).max() <= 0.51


def test_levels_above_the_highest_are_refused(tmp_path: Path) -> None:
    Image.fromarray(dim(5000)).save(tmp_path / "a.png")
    with read_as(Reading(levels=4095)), pytest.raises(DataError, match=r"up to 5000.*above 4095"):
        read_picture(tmp_path / "a.png")


def test_levels_do_not_touch_8_bits(tmp_path: Path) -> None:
    levels = dim(255).astype(np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.png")
    with read_as(Reading(levels=4095)):
        assert np.array_equal(read_picture(tmp_path / "a.png")[:, :, 0], levels)


def test_a_tiff_of_12_bits_is_scaled_by_itself(tmp_path: Path) -> None:
    levels = dim(3000)
    in_12_bits(tmp_path / "a.tif", levels)
    found = decode(tmp_path / "a.tif")
    assert np.array_equal(found.levels, levels)
    assert found.white == 4095
    shown = read_picture(tmp_path / "a.tif")[:, :, 0]
    assert np.abs(shown - levels * (255 / 4095)).max() <= 0.51


@pytest.mark.parametrize("said, white", [(4095, 4095), (4000, 4095), (1023, 1023), (255, None)])
def test_the_largest_sample_of_a_tiff_says_what_white_is(
    tmp_path: Path, said: int, white: int | None
) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x0119], tags.tagtype[0x0119] = said, 3
    Image.fromarray(dim(1000)).save(tmp_path / "a.tif", tiffinfo=tags)
    found = decode(tmp_path / "a.tif")
    assert (None if found.dark else found.white) == white


@pytest.mark.parametrize("white", [1023, 4095, 16383])
@pytest.mark.parametrize("shape", [(), (2,), (3,), (4,)])
def test_what_is_written_of_a_camera_of_few_bits_is_read_as_it_was(
    tmp_path: Path, white: int, shape: tuple[int, ...]
) -> None:
    levels = np.random.default_rng(0).integers(0, 1000, (9, 7, *shape)).astype(np.uint16)
    given = Original(levels=levels, white=white)
    given.write(tmp_path / "a.png")
    found = read_original(tmp_path / "a.png")
    assert found.white == white
    assert np.array_equal(found.levels, levels)
    assert np.array_equal(found.picture, given.picture)


def test_a_mask_may_be_as_dark_as_it_likes(tmp_path: Path) -> None:
    marked = dim(1) == 1
    Image.fromarray(marked.astype(np.uint16)).save(tmp_path / "a.png")
    assert np.array_equal(read_mask(tmp_path / "a.png"), marked)


def test_a_pgm_of_12_bits_is_scaled_as_its_header_says(tmp_path: Path) -> None:
    levels = dim(4095)
    content = b"P5 7 9 4095\n" + levels.astype(">u2").tobytes()
    (tmp_path / "a.pgm").write_bytes(content)
    shown = read_picture(tmp_path / "a.pgm")[:, :, 0]
    assert np.abs(shown - levels * (255 / 4095)).max() <= 0.51


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_the_header_says_what_the_pixels_show(tmp_path: Path, tag: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.new("RGB", (7, 9)).save(tmp_path / f"a{suffix}", exif=exif)
    found = decode(tmp_path / f"a{suffix}")
    h, w = found.levels.shape[:2]
    assert header(tmp_path / f"a{suffix}") == PictureHeader(width=w, height=h, orientation=tag)


@pytest.mark.parametrize("read", [decode, header, read_picture, read_mask, read_original])
@pytest.mark.parametrize("what", ["pipe", "device", "endless", "link"])
def test_only_regular_files_are_read(tmp_path: Path, read: object, what: str) -> None:
    path = tmp_path / "a.png"
    if what == "pipe":
        os.mkfifo(path)
    path = {"device": Path("/dev/null"), "endless": Path("/dev/zero")}.get(what, path)
    if what == "link":
        path.symlink_to("/dev/zero")
    start = time.monotonic()
    with pytest.raises(DataError, match="a pipe, a device or a socket, not a regular file"):
        read(path)  # type: ignore[operator]
    assert time.monotonic() - start < 60


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(decoding.BYTE_LIMIT + 1)  # takes no room on the disk
    with pytest.raises(DataError, match=r"a\.png, which is larger than 512 MiB"):
        decode(tmp_path / "a.png")


def test_a_regular_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345678")
    assert read_regular(tmp_path / "a", 8) == b"12345678"
    with pytest.raises(IrregularFileError, match="is larger than"):
        read_regular(tmp_path / "a", 7)
    with pytest.raises(IsADirectoryError) as folder:
        open_regular(tmp_path, 8)
    assert folder.value.errno == errno.EISDIR
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "b", 8)


def test_a_file_of_the_system_without_a_size_is_read_up_to_the_limit() -> None:
    endless = Path("/proc/self/maps")
    if not endless.exists():
        pytest.skip("this system has no /proc")
    assert endless.stat().st_size == 0
    with pytest.raises(IrregularFileError, match="is larger than"):
        read_regular(endless, 8)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "jpeg"])
def test_libtiff_keeps_its_own_lines_to_itself(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], share: float, compression: str
) -> None:
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(path, compression=compression)
    content = bytearray(path.read_bytes())
    content[16 : int(16 + share * (len(content) - 300))] = b"\x5a" * int(
        share * (len(content) - 300)
    )
    path.write_bytes(content)
    try:
        decode(path)
    except DataError as error:
        assert path.name in str(error)
    os.write(2, b"still open\n")
    assert capfd.readouterr().err == "still open\n"
