"""`blemish fill` and `blemish repair`: what stays, what changes, and what is found."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import assert_refused, exit_code
from tiny import part, spot, write_bundle

from blemish.checkpoint import Bundle
from blemish.data.pairs import read_mask
from blemish.editing.fill import Filler, filled_with, spread, widened
from blemish.editing.find import find_defect
from blemish.editing.membrane import FEW, erased, levelled, membrane
from blemish.editing.seam import judge_filling
from blemish.errors import BundleError, DataError
from blemish.notes import note
from blemish.originals import Original, read_original
from blemish.pictures import write_picture

FILL = "fill --image nut.png --mask spot.png --bundle bundle --device cpu --out out"
REPAIR = FILL.replace("fill", "repair", 1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("fill") / "bundle", windows=True, encoder=True)


@pytest.fixture
def place(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bundle").symlink_to(bundle.path)
    write_picture(tmp_path / "nut.png", part())
    write_picture(tmp_path / "spot.png", spot())
    write_picture(tmp_path / "empty.png", np.zeros((64, 64), bool))
    write_picture(tmp_path / "full.png", np.ones((64, 64), bool))
    write_picture(tmp_path / "small.png", spot(32, 32))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.fsync", lambda _: None)
    return tmp_path


def test_fillings_differ_by_seed_in_the_hole_alone(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(f"{FILL} --count 2 --seed 3 --json") == 0
    row = json.loads(capsys.readouterr().out)
    assert [one["seed"] for one in row["fillings"]] == [3, 4]
    assert row["spread_levels"] > 0
    assert (read_mask(place / "out" / "hole.png") == spot()).all()
    pictures = [read_original(place / "out" / one["picture"]).levels for one in row["fillings"]]
    for picture in pictures:
        assert (picture[~spot()] == part()[~spot()]).all()
        assert (picture[spot()] != part()[spot()]).any()
    assert exit_code(f"{FILL} --seed 4") == 0
    again = read_original(place / "out" / "nut_00.png").levels
    assert (again == pictures[1]).all()  # an item depends on its seed alone


def test_sixteen_bits_and_alpha_are_kept(bundle: Bundle) -> None:
    rng = np.random.default_rng(0)
    alpha = rng.integers(0, 2**16, (64, 64, 1), np.uint16)
    levels = np.concatenate([part().astype(np.uint16) * 257 + 3, alpha], axis=2)
    filled = Filler(bundle).fill(Original(levels=levels), spot()).picture.levels
    assert filled.dtype == np.uint16
    assert (filled[:, :, 3] == levels[:, :, 3]).all()
    assert (filled[~spot()] == levels[~spot()]).all()


def test_a_grey_photograph_stays_grey(bundle: Bundle) -> None:
    filled = Filler(bundle).fill(Original(levels=part()[:, :, 0]), spot())
    assert filled.picture.levels.ndim == 2


def test_what_was_in_the_hole_does_not_matter(bundle: Bundle) -> None:
    other = part()
    other[spot()] = (255, 0, 255)
    filler = Filler(bundle)
    found = [
        filler.fill(Original(levels=levels), spot()).picture.levels for levels in (part(), other)
    ]
    assert (found[0] == found[1]).all()
    assert (erased(part(), spot()) == erased(other, spot())).all()


def test_detail_is_softer_near_the_outline_than_deep_in_the_hole() -> None:
    y, x = np.mgrid[:128, :128]
    known = np.full((128, 128, 3), 120, np.uint8)
    drawn = known + np.where((x + y) % 2, 40, 0)[:, :, None].astype(np.uint8)
    away = np.hypot(y - 64, x - 64)
    photograph, hole = Original(levels=known), away < 50
    filled = filled_with(drawn, photograph, known, hole, smooth=True).picture[:, :, 0]
    plain = filled_with(drawn, photograph, known, hole, smooth=False).picture[:, :, 0]
    rim, deep = (filled[where].std() for where in ((away > 47) & (away < 50), away < 10))
    assert 8 < rim < 12 and deep > 18
    assert plain[away < 50].std() > 18
    assert (filled[away >= 50] == 120).all()


def test_repair_replaces_a_margin_as_well(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(f"{REPAIR} --margin 2 --json") == 0
    assert json.loads(capsys.readouterr().out)["margin_px"] == 2
    hole = read_mask(place / "out" / "hole.png")
    assert (hole == widened(spot(), 2)).all() and hole.sum() > spot().sum()


def test_a_hole_over_the_whole_part_is_called_a_guess(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    note.cache_clear()  # a note is logged once per process
    y, x = np.mgrid[:64, :64]
    write_picture(place / "whole.png", np.hypot(y - 32, x - 32) < 25)
    assert exit_code(FILL.replace("spot", "whole")) == 0
    assert "what the windows draw there is a guess" in caplog.text
    caplog.clear()
    assert exit_code(FILL) == 0
    assert "guess" not in caplog.text


def test_a_defect_is_found_where_the_reconstruction_differs() -> None:
    good = part(128, 128)
    seen, mark = good.copy(), spot(128, 128, at=(0.45, 0.55))
    seen[mark] = (230, 30, 30)
    found = find_defect(seen, good, 256, 256)
    wanted = cv2.resize(mark.astype(np.uint8), (256, 256)) > 0
    assert found.shape == (256, 256)
    assert (found & wanted).sum() / (found | wanted).sum() > 0.7
    with pytest.raises(DataError, match="explains everywhere"):
        find_defect(good, good, 256, 256)


def test_all_groups_that_differ_are_found() -> None:
    good = part(128, 128)
    places = [(0.35, 0.45), (0.6, 0.6)]
    marks = [spot(128, 128, at=at) for at in places]
    marks[1] &= spot(128, 128, at=(0.64, 0.64))  # a smaller one
    seen = good.copy()
    seen[marks[0] | marks[1]] = (230, 30, 30)
    found = find_defect(seen, good, 128, 128)
    assert all((found & mark).sum() > 0.5 * mark.sum() for mark in marks)


def test_repair_without_a_mask_compares_with_the_reconstruction(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blemish.editing.find.find_defect", lambda *_: spot())
    without = REPAIR.replace(" --mask spot.png", "")
    assert exit_code(f"{without} --margin 0") == 0
    assert (read_mask(place / "out" / "hole.png") == spot()).all()


def test_scores_name_a_visible_seam() -> None:
    smooth, hole = part(96, 96), spot(96, 96)
    fine = judge_filling(smooth, hole)
    pasted = smooth.copy()
    pasted[hole] = 255 - pasted[hole]
    worse = judge_filling(pasted, hole)
    assert not fine.reasons()
    assert worse.seam > fine.seam and worse.tone > fine.tone
    assert any("seam" in reason for reason in worse.reasons())


def test_one_filling_has_no_spread(bundle: Bundle) -> None:
    assert spread([Filler(bundle).fill(Original(levels=part()), spot())]) == 0


def test_windows_without_good_material_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="without a window generator"):
        Filler(write_bundle(tmp_path / "bare"))


@pytest.mark.parametrize(
    ("line", "got"),
    [
        (FILL.replace("nut.png", "gone.png"), "gone.png"),
        (FILL.replace("spot.png", "empty.png"), "no pixel marked"),
        (FILL.replace("spot.png", "full.png"), "100%"),
        (FILL.replace("spot.png", "small.png"), "32 × 32"),
        (f"{FILL} --count 0", "--count 0"),
        (f"{FILL} --seed -1", "-1"),
        (f"{REPAIR} --margin -1", "a margin of -1 pixels"),
        (f"{FILL} --bundle gone", "gone"),
    ],
)
def test_bad_input_is_refused(
    place: Path, line: str, got: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(line, got, capsys)
    assert not (place / "out").exists()


@pytest.mark.parametrize("size", [1, 8])  # the larger one starts from half the size
def test_a_membrane_continues_a_plane_exactly(size: int) -> None:
    y, x = np.mgrid[: 24 * size, : 30 * size] / size
    plane = np.stack([2 * x - y, x + 3 * y, np.full_like(x, 7)], axis=2)
    hole = np.hypot(y - 11, x - 15) < 7
    assert (hole.sum() > FEW) == (size > 1)
    error = np.where(hole[:, :, None], 0.0, plane)
    np.testing.assert_allclose(membrane(error, hole), plane, atol=0.05)


def test_erasing_leaves_no_edge_in_a_hole() -> None:
    """A photograph of two halves, dark and light, with a hole across the edge."""
    halves = np.full((96, 96, 3), 60, np.uint8)
    halves[48:] = 180
    hole = np.hypot(*(np.mgrid[:96, :96] - 48)) < 20
    steps = np.abs(np.diff(erased(halves, hole)[:, 48, 0].astype(int)))
    assert steps.max() < 20, "120 levels fall over the hole"


def test_levelling_takes_a_constant_tint_away_and_keeps_detail() -> None:
    photograph, hole = part(96, 96), spot(96, 96)
    drawn = (photograph.astype(np.int16) + np.array([20, -15, 10])).clip(0, 255).astype(np.uint8)
    corrected = levelled(photograph, drawn, hole)
    assert np.abs(corrected.astype(int) - photograph)[hole].max() <= 1
    assert (corrected[~hole] == drawn[~hole]).all()


def test_a_hole_at_the_border_is_filled(bundle: Bundle) -> None:
    corner = np.zeros((64, 64), bool)
    corner[:12, :20] = True
    filled = Filler(bundle).fill(Original(levels=part()), corner).picture.levels
    assert (filled[~corner] == part()[~corner]).all()
