import errno
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from test_levels import DTYPES, GREY, SHAPES, SRGB, noise, write_deep

from blemish.data.pairs import read_mask
from blemish.errors import DataError, OutputError
from blemish.levels import as_stored
from blemish.originals import Original, read_original
from blemish.pictures import read_picture

MODES = [(shape, dtype) for shape in SHAPES for dtype in DTYPES]
NAMES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def original(shape: tuple[int, ...], dtype: type, orientation: int = 1) -> Original:
    """Noise with a good deal of black and white in it, where changes are cut."""
    levels = noise(*shape, dtype=dtype)
    most = np.iinfo(dtype).max
    levels[levels < most // 8] = 0
    levels[levels > most // 8 * 7] = most
    return Original(levels=levels, orientation=orientation)


def changed(good: Original, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Another picture, slightly and wildly, and where."""
    rng = np.random.default_rng(seed)
    size = good.picture.shape[:2]
    by = rng.choice([-255, -40, -1, 0, 1, 40, 255], (*size, 1 if good.grey else 3))
    fresh = (good.picture.astype(int) + by).clip(0, 255).astype(np.uint8)
    return fresh, rng.random(size) < 0.7


def upright_in_opencv(path: Path) -> np.ndarray:
    read = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert read is not None
    return read


@pytest.mark.parametrize("shape, dtype", MODES)
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("profile", [False, True])
def test_what_is_written_is_read(
    tmp_path: Path, shape: tuple[int, ...], dtype: type, orientation: int, profile: bool
) -> None:
    given = original(shape, dtype, orientation)
    colours = GREY if given.grey else SRGB
    given = replace(given, profile=colours if profile else b"")
    given.write(tmp_path / "a.png")
    found = read_original(tmp_path / "a.png")
    assert found.levels.dtype == dtype
    assert np.array_equal(found.levels, given.levels)
    assert found.orientation == orientation
    assert found.profile == given.profile


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pillow_reads_the_file_as_the_camera_would_have_stored_it(
    tmp_path: Path, shape: tuple[int, ...], orientation: int
) -> None:
    given = original(shape, np.uint8, orientation)
    given.write(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == NAMES[shape[2] if len(shape) > 2 else 1]
        assert ({**image.getexif()} or {0x0112: 1}) == {0x0112: orientation}
        assert np.array_equal(np.asarray(image), as_stored(given.levels, orientation))
        assert np.array_equal(np.asarray(ImageOps.exif_transpose(image)), given.levels)


@pytest.mark.parametrize("shape, dtype", MODES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_opencv_reads_the_file_with_the_tag_and_without(
    tmp_path: Path, shape: tuple[int, ...], dtype: type, orientation: int
) -> None:
    given = original(shape, dtype, orientation)
    given.write(tmp_path / "a.png")
    stored = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert stored is not None
    assert stored.dtype == dtype
    assert stored.shape[:2] == as_stored(given.levels, orientation).shape[:2]
    off = upright_in_opencv(tmp_path / "a.png")[:, :, ::-1].astype(int) - given.picture
    assert np.abs(off).max() <= (0 if dtype == np.uint8 else 1), "it cuts 16 bits where we round"


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_a_file_of_another_comes_back_in_its_mode(tmp_path: Path, mode: str) -> None:
    levels = noise(5, 7, dtype=np.uint16) if mode == "I;16" else noise(5, 7, 4)
    image = Image.fromarray(levels)
    image = image if mode == "I;16" else image.convert(mode)
    image.save(tmp_path / "a.png")
    read_original(tmp_path / "a.png").write(tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as again:
        assert again.mode == mode
        assert np.array_equal(np.asarray(again), np.asarray(image))


@pytest.mark.parametrize("mode, kept", [("1", "L"), ("P", "RGB"), ("CMYK", "RGB")])
def test_modes_that_are_not_kept_show_the_same(tmp_path: Path, mode: str, kept: str) -> None:
    Image.fromarray(noise(5, 7, 3)).convert(mode).save(tmp_path / "a.tif")
    read_original(tmp_path / "a.tif").write(tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as again:
        assert again.mode == kept
    assert np.array_equal(read_picture(tmp_path / "b.png"), read_picture(tmp_path / "a.tif"))


def test_nothing_else_that_a_camera_notes_is_handed_on(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera's maker"
    Image.fromarray(noise(5, 7, 3)).save(tmp_path / "a.jpg", exif=exif)
    read_original(tmp_path / "a.jpg").write(tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as again:
        assert {**again.getexif()} == {0x0112: 6}


@pytest.mark.parametrize("shape, dtype", MODES)
def test_the_picture_is_the_one_that_is_read(
    tmp_path: Path, shape: tuple[int, ...], dtype: type
) -> None:
    given = original(shape, dtype, 6)
    given.write(tmp_path / "a.png")
    assert np.array_equal(given.picture, read_picture(tmp_path / "a.png"))
    assert given.grey == (shape[2:] in ((), (2,)))


@pytest.mark.parametrize("shape, dtype", MODES)
@pytest.mark.parametrize("seed", range(4))
def test_levels_differ_exactly_where_pictures_do(
    shape: tuple[int, ...], dtype: type, seed: int
) -> None:
    good = original(shape, dtype)
    fresh, where = changed(good, seed)
    made = good.with_change(fresh, where)
    differs = (made.levels != good.levels).reshape(5, 7, -1).any(axis=2)
    assert np.array_equal(differs, where & (fresh != good.picture).any(axis=2))
    assert differs.any()
    assert not differs.all()


@pytest.mark.parametrize("shape, dtype", MODES)
@pytest.mark.parametrize("seed", range(4))
def test_a_changed_photograph_shows_the_picture(
    shape: tuple[int, ...], dtype: type, seed: int
) -> None:
    good = original(shape, dtype)
    fresh, where = changed(good, seed)
    shown = np.where(where[..., None], fresh, good.picture)
    assert np.array_equal(good.with_change(fresh, where).picture, shown)


@pytest.mark.parametrize("shape, dtype", MODES)
def test_a_change_leaves_all_else(shape: tuple[int, ...], dtype: type) -> None:
    good = replace(original(shape, dtype, 7), profile=b"x")
    before = good.levels.copy()
    made = good.with_change(*changed(good, 0))
    assert np.array_equal(good.levels, before), "the photograph itself"
    assert (made.orientation, made.profile, made.levels.dtype) == (7, b"x", dtype)
    if shape[2:] in ((2,), (4,)):
        assert np.array_equal(made.levels[..., -1], good.levels[..., -1]), "alpha"
    nowhere = np.zeros((5, 7), bool)
    assert np.array_equal(good.with_change(255 - good.picture, nowhere).levels, before)


@pytest.mark.parametrize(
    "old, by, new", [(1000, 3, 1771), (1000, -3, 229), (300, -1, 43), (65400, 1, 65535)]
)
def test_a_level_of_8_bits_is_257_of_16(old: int, by: int, new: int) -> None:
    good = Original(levels=np.full((5, 7, 3), old, np.uint16))
    fresh = (good.picture.astype(int) + by).astype(np.uint8)
    assert (good.with_change(fresh, np.ones((5, 7), bool)).levels == new).all()


def test_a_grey_photograph_takes_no_colour() -> None:
    good, where = original((5, 7), np.uint8), np.ones((5, 7), bool)
    coloured = good.picture.copy()
    coloured[0, 0, 0] ^= 1
    with pytest.raises(AssertionError, match="grey stays grey"):
        good.with_change(coloured, where)
    where[0, 0] = False
    assert np.array_equal(good.with_change(coloured, where).levels, good.levels)


@pytest.mark.parametrize("shape, dtype", MODES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_lies_as_its_photograph_does(
    tmp_path: Path, shape: tuple[int, ...], dtype: type, orientation: int
) -> None:
    good = original(shape, dtype, orientation)
    _, where = changed(good, 0)
    marked = np.where(where[..., None], np.uint8(255), np.uint8(0)).repeat(3, axis=2)
    good.write_mask(tmp_path / "mask.png", where)
    assert np.array_equal(read_mask(tmp_path / "mask.png"), where)
    assert np.array_equal(upright_in_opencv(tmp_path / "mask.png"), marked)
    with Image.open(tmp_path / "mask.png") as image:
        assert np.array_equal(np.asarray(image), as_stored(marked[:, :, 0], orientation))


@pytest.mark.parametrize("what", ["missing", "folder", "text", "empty", "torn", "torn 16 bits"])
def test_what_no_picture_is_read_from_is_no_original(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a.png"
    if what == "folder":
        path.mkdir()
    elif what.startswith("torn"):
        write_deep(path, noise(40, 40, 3, dtype=np.uint16 if "16" in what else np.uint8))
        path.write_bytes(path.read_bytes()[:900])
    elif what != "missing":
        path.write_text("hello" if what == "text" else "")
    with pytest.raises(DataError) as reported:
        read_original(path)
    with pytest.raises(DataError) as known:
        read_picture(path)
    assert str(reported.value) == str(known.value)


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_bytes(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OutputError, match="no space is left"):
        original((5, 7), np.uint16).write(tmp_path / "a.png")
    assert not [*tmp_path.iterdir()]
