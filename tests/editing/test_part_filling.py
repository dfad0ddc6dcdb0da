"""`blemish repair --method part`: a whole part drawn in place of a hole that covers it."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import assert_refused, exit_code
from tiny import part, spot, write_bundle

from blemish.checkpoint import Bundle
from blemish.editing.partfill import PartFiller
from blemish.originals import Original
from blemish.pictures import write_picture

pytestmark = pytest.mark.usefixtures("short_searches")

Y, X = np.mgrid[:64, :64]
WHOLE = np.hypot(Y - 32, X - 32) < 25
REPAIR = "repair --image nut.png --mask whole.png --bundle bundle --method part --device cpu"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("part") / "bundle", encoder=True, windows=True)


@pytest.fixture
def place(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bundle").symlink_to(bundle.path)
    write_picture(tmp_path / "nut.png", part())
    write_picture(tmp_path / "whole.png", WHOLE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_part_is_drawn_in_the_hole_alone(bundle: Bundle) -> None:
    filler, photograph = PartFiller(bundle), Original(levels=part())
    filled = filler.fill(photograph, WHOLE, smooth=False)
    again = filler.fill(photograph, WHOLE, smooth=False)
    assert (filled.picture.levels == again.picture.levels).all()
    assert (filled.picture.levels[~WHOLE] == part()[~WHOLE]).all()
    assert (filled.picture.levels[WHOLE] != part()[WHOLE]).any(axis=1).mean() > 0.5
    assert filled.codes.w.shape[1] == filled.inversion.codes.w.shape[1]


def test_the_command_writes_codes_to_edit(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert exit_code(f"{REPAIR} --margin 0 --out out") == 0
    assert json.loads((place / "out" / "filled.json").read_text())["method"] == "part"
    assert (place / "out" / "nut_00" / "codes.safetensors").is_file()
    assert "guess" not in caplog.text


def test_repair_draws_a_part_where_the_hole_covers_it(place: Path) -> None:
    write_picture(place / "spot.png", spot())
    for mask, method in (("whole", "part"), ("spot", "windows")):
        line = REPAIR.replace("--method part ", "").replace("whole.png", f"{mask}.png")
        assert exit_code(f"{line} --margin 0 --out {mask}") == 0
        assert json.loads((place / mask / "filled.json").read_text())["method"] == method


def test_windows_without_an_encoder_repair_a_whole_part(place: Path) -> None:
    write_bundle(place / "plain", windows=True)
    line = REPAIR.replace("--method part ", "").replace("--bundle bundle", "--bundle plain")
    assert exit_code(f"{line} --margin 0 --out out") == 0
    assert json.loads((place / "out" / "filled.json").read_text())["method"] == "windows"


def test_a_bundle_without_an_encoder_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bundle(place / "plain", windows=True)
    line = REPAIR.replace("--bundle bundle", "--bundle plain")
    assert_refused(f"{line} --out out", "a bundle without an encoder", capsys)
