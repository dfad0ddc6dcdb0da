import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from blemish.data.mask_levels import kinds_in, marks_of
from blemish.data.pairs import read_mask
from blemish.decode import decode
from blemish.errors import DataError, OptionError
from blemish.reading import Reading, read_as

SIDE = 48


def truth() -> np.ndarray:
    """A disc that touches nothing."""
    y, x = np.mgrid[:SIDE, :SIDE]
    return (y - 20) ** 2 + (x - 26) ** 2 < 10**2


def halves() -> tuple[np.ndarray, np.ndarray]:
    """The disc in two pieces."""
    left = np.arange(SIDE)[None] < 26
    return truth() & left, truth() & ~left


def levels(bright: int, dark: int = 0, dtype: type = np.uint8) -> np.ndarray:
    return np.where(truth(), bright, dark).astype(dtype)


def red(level: int) -> np.ndarray:
    return np.dstack([levels(level), levels(0), levels(0)])


def palette(path: Path, *colours: tuple[int, int, int]) -> None:
    image = Image.fromarray(levels(1)).convert("P")
    image.putpalette([level for colour in colours for level in colour])
    image.save(path)


def shallow(bits: int) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(levels(1)).convert("P").save(path, bits=bits)


def grey_of_bits(path: Path, bits: int) -> None:
    """0 and 1 in grey of 2 or 4 bits, which OpenCV and Pillow can't write."""
    per = 8 // bits
    packed = levels(1).reshape(SIDE, SIDE // per, per)
    weights = 1 << (bits * np.arange(per)[::-1])
    rows = np.insert((packed * weights).sum(axis=2).astype(np.uint8), 0, 0, axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", SIDE, SIDE, bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows.tobytes()))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""))


def with_alpha(path: Path, colour: int) -> None:
    colours = np.full((SIDE, SIDE, 3), colour, np.uint8)
    Image.fromarray(np.dstack([colours, levels(255)])).save(path)


def soft(path: Path, sigma: float = 1.2, **options: Any) -> None:
    blurred = cv2.GaussianBlur(levels(255).astype(np.float32), (0, 0), sigma)
    Image.fromarray(blurred.round().astype(np.uint8)).save(path, **options)


def careless(path: Path, dtype: type, ring: int) -> None:
    """1 on the defect, "don't care" around it, as PASCAL VOC has it."""
    around = cv2.dilate(levels(1), np.ones((5, 5), np.uint8)) > 0
    Image.fromarray(np.where(truth(), 1, around * ring).astype(dtype)).save(path)


TWO_LEVELS: dict[str, Callable[[Path], object]] = {
    "0 and 255": lambda path: Image.fromarray(levels(255)).save(path),
    "0 and 1": lambda path: Image.fromarray(levels(1)).save(path),
    "0 and 2": lambda path: Image.fromarray(levels(2)).save(path),
    "0 and 100": lambda path: Image.fromarray(levels(100)).save(path),
    "7 and 8": lambda path: Image.fromarray(levels(8, 7)).save(path),
    "200 and 255": lambda path: Image.fromarray(levels(255, 200)).save(path),
    "0 and 1 in 16 bits": lambda path: Image.fromarray(levels(1, 0, np.uint16)).save(path),
    "0 and 255 in 16 bits": lambda path: Image.fromarray(levels(255, 0, np.uint16)).save(path),
    "1 bit": lambda path: Image.fromarray(truth()).save(path),
    "grey of 2 bits": lambda path: grey_of_bits(path, 2),
    "grey of 4 bits": lambda path: grey_of_bits(path, 4),
    "palette of 2 bits": shallow(2),
    "palette of 4 bits": shallow(4),
    "dark palette": lambda path: palette(path, (0, 0, 0), (90, 0, 0)),
    "palette whose index 1 is darker": lambda path: palette(path, (0, 90, 0), (20, 0, 0)),
    "dark colour": lambda path: Image.fromarray(red(90)).save(path),
    "alpha over black": lambda path: with_alpha(path, 0),
    "alpha over white": lambda path: with_alpha(path, 255),
    "soft": soft,
    "compressed": lambda path: Image.fromarray(levels(255)).save(path, "JPEG", quality=60),
    "don't care": lambda path: careless(path, np.uint8, 255),
    "don't care in 16 bits": lambda path: careless(path, np.uint16, 255),
    "don't care, all bits": lambda path: careless(path, np.uint16, 65535),
}


@pytest.mark.parametrize("name", TWO_LEVELS)
def test_the_brighter_of_two_levels_is_the_mask(tmp_path: Path, name: str) -> None:
    TWO_LEVELS[name](tmp_path / "mask.png")
    found = read_mask(tmp_path / "mask.png")
    off = found ^ truth()
    assert off.sum() <= (6 if name in ("soft", "compressed") else 0)


def test_pillow_gives_levels_of_2_bits_as_the_test_expects(tmp_path: Path) -> None:
    grey_of_bits(tmp_path / "mask.png", 2)
    found = decode(tmp_path / "mask.png")
    assert (found.step, sorted(np.unique(found.levels))) == (85, [0, 85])


@pytest.mark.parametrize("name", TWO_LEVELS)
def test_only_what_could_be_meant_otherwise_has_a_note(tmp_path: Path, name: str) -> None:
    TWO_LEVELS[name](tmp_path / "mask.png")
    notes = marks_of(decode(tmp_path / "mask.png")).notes
    words = ("don't care", "alpha", "darker")
    assert bool(notes) == any(word in name for word in words)
    assert all(any(word in note for word in words) for note in notes)


def classes(path: Path, *numbers: int, dtype: type = np.uint8) -> None:
    left, right = halves()
    Image.fromarray(np.select([left, right], numbers, 0).astype(dtype)).save(path)


SEVERAL: dict[str, tuple[Callable[[Path], object], str]] = {
    "class numbers": (lambda path: classes(path, 1, 2), "0, 1, 2"),
    "bright classes": (lambda path: classes(path, 100, 200), "0, 100, 200"),
    "far apart": (lambda path: classes(path, 128, 255), "0, 128, 255"),
    "in 16 bits": (lambda path: classes(path, 1, 2, dtype=np.uint16), "0, 1, 2"),
    "noise": (
        lambda path: Image.fromarray(
            np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), np.uint8)
        ).save(path),
        "256 of them from 0 to 255",
    ),
    "red and green": (
        lambda path: Image.fromarray(
            np.dstack([*(half * np.uint8(255) for half in halves()), np.zeros_like(levels(0))])
        ).save(path),
        "#00ff00, #ff0000",
    ),
    "red on white": (
        lambda path: Image.fromarray(
            np.where(truth()[:, :, None], [255, 0, 0], 255).astype(np.uint8)
        ).save(path),
        "#ffffff, #ff0000",
    ),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_more_levels_are_refused_and_listed(tmp_path: Path, name: str) -> None:
    write, listed = SEVERAL[name]
    write(tmp_path / "mask.png")
    with pytest.raises(DataError, match=rf"mask\.png, a mask of several levels: .*{listed}"):
        read_mask(tmp_path / "mask.png")


def test_classes_have_the_type_that_is_given(tmp_path: Path) -> None:
    path, (left, right) = tmp_path / "mask.png", halves()
    classes(path, 100, 200)
    with read_as(Reading(classes="100=crack, 200=colour")):
        assert np.array_equal(marks_of(decode(path), "crack").mask, left)
        assert np.array_equal(marks_of(decode(path), "colour").mask, right)
        assert np.array_equal(read_mask(path), truth())
        assert kinds_in(decode(path)) == ("colour", "crack")
    with read_as(Reading(classes="100=crack,200=good")):
        assert np.array_equal(read_mask(path), left)
        assert kinds_in(decode(path)) == ("crack",)
    assert not kinds_in(decode(path))


def test_a_class_without_a_type_is_refused(tmp_path: Path) -> None:
    classes(tmp_path / "mask.png", 100, 200)
    with read_as(Reading(classes="100=crack")), pytest.raises(DataError, match="leaves out: 200"):
        read_mask(tmp_path / "mask.png")


def test_a_mask_of_black_and_white_needs_no_types(tmp_path: Path) -> None:
    Image.fromarray(levels(255)).save(tmp_path / "mask.png")
    with read_as(Reading(classes="1=crack")):
        assert np.array_equal(read_mask(tmp_path / "mask.png"), truth())


@pytest.mark.parametrize("level", [0, 1, 2, 200, 255])
def test_a_mask_of_one_level_is_empty_or_full(tmp_path: Path, level: int) -> None:
    Image.fromarray(np.full((4, 6), level, np.uint8)).save(tmp_path / "mask.png")
    assert (read_mask(tmp_path / "mask.png") == (level > 0)).all()


@pytest.mark.parametrize("classes", ["", "crack", "a=crack", "1=", "70000=crack", "1=crack,"])
def test_classes_that_say_nothing_are_refused(classes: str) -> None:
    with pytest.raises(OptionError, match="LEVEL=TYPE"):
        Reading(classes=classes)


@pytest.mark.parametrize("level", [0, 255, 1000, 4096, 131071])
def test_a_highest_level_that_no_camera_has_is_refused(level: int) -> None:
    with pytest.raises(OptionError, match="1023, 4095, 16383"):
        Reading(levels=level)
