"""The finder of defects: its training, what it finds, and inversions with a defect."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import assert_refused, exit_code
from tiny import CONFIG, TYPES, add_masks, add_windows, part, spot, write_bundle, write_parts
from torch import Tensor

import blemish
from blemish.checkpoint import Bundle, load_codes
from blemish.data.folder import DefectFolder
from blemish.data.pairs import read_mask
from blemish.editing.defective import DefectInverter
from blemish.editing.find import defect_search
from blemish.errors import BundleError, DataError, OptionError
from blemish.inversion.encode import Encode
from blemish.inversion.model import load_model
from blemish.models.finder import Finder, FinderConfig, load_finder
from blemish.models.load import load_generator
from blemish.pictures import to_mask, to_tensor, write_picture
from blemish.synthesis.masks.learned import load_masks
from blemish.training.finder import FinderTraining, FlawedPictures
from blemish.windows.paint import load_windows
from blemish.windows.sources import read_sources

pytestmark = pytest.mark.usefixtures("short_searches")

PART = replace(CONFIG, resolution=64, defect=None)
SMALL = FinderConfig(side=64, width=4)
SHORT = FinderTraining(pool=6)
SHORT = replace(SHORT, schedule=replace(SHORT.schedule, kimg=0.016, log_steps=1))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("data"), side=64)


@pytest.fixture(scope="module")
def bundle(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose finder was trained for two steps."""
    found = write_bundle(
        tmp_path_factory.mktemp("found") / "bundle", PART, encoder=True, windows=True
    )
    add_masks(found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("blemish.training.finder.FinderTraining", lambda: SHORT)
        patch.setattr("blemish.models.finder.FinderConfig", lambda: SMALL)
        assert exit_code(f"train finder {data} --bundle {found.path} --device cpu") == 0
    return Bundle(found.path)


class SpotFinder(Finder):
    """A finder that sees what is far from the colours of `part`."""

    def forward(self, images: Tensor) -> Tensor:
        return images[:, :1] - images[:, 1:2] - 1


@pytest.fixture
def place(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two photographs, one of them with a red spot, and a finder that finds it."""
    (tmp_path / "bundle").symlink_to(bundle.path)
    red = part()
    red[spot()] = (250, 10, 10)
    write_picture(tmp_path / "good.png", part())
    write_picture(tmp_path / "red.png", red)
    monkeypatch.chdir(tmp_path)
    sees = SpotFinder(SMALL).eval()
    for user in ("find", "defective"):
        monkeypatch.setattr(f"blemish.editing.{user}.load_finder", lambda *_: sees)
    return tmp_path


def test_a_trained_finder_is_a_part_of_its_bundle(bundle: Bundle) -> None:
    finder = load_finder(bundle)
    assert finder.config == SMALL
    assert bundle.config["finder_nimg"] == 16
    logits = finder(torch.zeros(2, 3, 64, 96))
    assert logits.shape == (2, 1, 64, 96) and logits.isfinite().all()


def test_a_resumed_training_ends_as_an_unbroken_one(
    bundle: Bundle, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = write_bundle(tmp_path / "bundle", PART, encoder=True, windows=True)
    add_masks(again)
    monkeypatch.setattr("blemish.training.finder.FinderTraining", lambda: SHORT)
    monkeypatch.setattr("blemish.models.finder.FinderConfig", lambda: SMALL)
    line = f"train finder {data} --bundle {again.path} --device cpu"
    assert exit_code(f"{line} --minutes 0.0001") == 0
    assert exit_code(f"{line} --resume") == 0
    one, other = bundle.tensors("finder"), again.tensors("finder")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_bundle_of_windows_alone_can_find_and_repair(
    place: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = Bundle(place / "windows")
    alone.path.mkdir()
    alone.write_config({})
    add_windows(alone)
    monkeypatch.setattr("blemish.training.finder.FinderTraining", lambda: SHORT)
    monkeypatch.setattr("blemish.models.finder.FinderConfig", lambda: SMALL)
    assert exit_code(f"train finder {data} --bundle {alone.path} --device cpu") == 0
    line = f"repair --image red.png --bundle {alone.path} --margin 0 --device cpu --out out"
    assert exit_code(line) == 0
    assert (read_mask(place / "out" / "hole.png") == spot()).all()


def test_pictures_depend_on_seed_and_number_alone(bundle: Bundle, data: Path) -> None:
    def pictures(**shares: float) -> FlawedPictures:
        sources = read_sources(DefectFolder(data), TYPES, first_third=False, everything=False)
        shown = replace(SHORT, **shares)
        windows, masks = load_windows(bundle), load_masks(bundle)
        return FlawedPictures(sources, windows, masks, load_generator(bundle), shown)

    one, other = pictures(), pictures()
    first = [one.draw(3, k) for k in range(4)]
    for k in (2, 0):
        picture, mask = other.draw(3, k)
        assert (picture == first[k][0]).all() and (mask == first[k][1]).all()
    real = pictures(real=1.0).draw(0, 0)
    assert any((real[0] == p.picture).all() and (real[1] == p.mask).all() for p in one.photographs)
    assert not pictures(real=0.0, good=1.0).draw(0, 0)[1].any()
    assert not pictures(real=0.0, good=0.0, repaired=1.0).draw(0, 0)[1].any()


def test_the_finder_says_what_repair_replaces(place: Path, bundle: Bundle) -> None:
    assert (
        exit_code("repair --image red.png --bundle bundle --margin 0 --device cpu --out out") == 0
    )
    assert (read_mask(place / "out" / "hole.png") == spot()).all()
    with pytest.raises(DataError, match="no defect is found"):
        defect_search(bundle, lambda: load_model(bundle))(part())


def test_invert_finds_mask_look_and_part(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "invert --image red.png good.png --defect --method encode --bundle bundle --device cpu"
    assert exit_code(f"{line} --json --out out") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in rows] == ["encode", "encode"]
    assert (read_mask(place / "out" / "red" / "mask.png") == spot()).all()
    assert not (place / "out" / "good" / "mask.png").exists()
    red, good = (load_codes(place / "out" / name / "codes.safetensors") for name in ("red", "good"))
    assert red.w_defect is not None and red.z is not None and good.w_defect is None


def test_a_searching_method_draws_the_defect_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[np.ndarray]()

    def noted(windows, picture, part, logits, latent, kind):
        asked.append(logits)
        return np.roll(logits > 0, 1, axis=1), windows.codes_of(latent, kind)

    monkeypatch.setattr("blemish.editing.defective.redraw", noted)
    line = "invert --image red.png good.png --defect --bundle bundle --device cpu --steps 2"
    assert exit_code(f"{line} --method in-domain --out out") == 0
    assert len(asked) == 1 and ((asked[0] > 0) == spot()).all()


def test_python_inverts_a_defect_as_the_command_does(place: Path) -> None:
    found = blemish.load("bundle").invert("red.png", method="encode", defect=True)
    assert found.mask is not None and (to_mask(found.mask[0]) == spot()).all()
    assert found.codes.w_defect is not None
    assert blemish.load("bundle").invert("red.png", method="encode").mask is None


def test_the_defect_does_not_enter_the_code_of_the_part(place: Path, bundle: Bundle) -> None:
    model = load_model(bundle)
    other = part()
    other[spot()] = (250, 10, 120)
    red = np.where(spot()[..., None], np.array([250, 10, 10], np.uint8), part())
    found = DefectInverter(bundle, model).find(
        torch.stack([to_tensor(red), to_tensor(other)]), Encode()
    )
    torch.testing.assert_close(found[0].codes.w, found[1].codes.w)
    marks = [one.mask for one in found]
    assert marks[0] is not None and marks[1] is not None and torch.equal(marks[0], marks[1])
    drawn = model.generator.draw(found[0].codes.good()).image
    assert (found[0].image - drawn).abs()[:, :, spot()].max() > 0.01


def test_a_bundle_without_a_finder_says_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_bundle(tmp_path / "bundle", PART, encoder=True, windows=True)
    with pytest.raises(BundleError, match="without a finder of defects"):
        DefectInverter(bundle, load_model(bundle))
    write_picture(tmp_path / "nut.png", part())
    line = f"invert --image {tmp_path}/nut.png --defect --bundle {bundle.path} --out {tmp_path}/out"
    assert_refused(line, "a bundle without a finder of defects", capsys)
    with pytest.raises(BundleError, match="without a finder"):
        load_finder(bundle)


def test_the_evaluation_inverts_own_samples_with_a_defect(place: Path, data: Path) -> None:
    line = f"evaluate inversion --images {data} --bundle bundle --methods encode --spaces w+"
    assert exit_code(f"{line} --samples 4 --limit 2 --device cpu --out report") == 0
    report = json.loads((place / "report" / "report.json").read_text())
    assert report["counts"]["own defective"] == 2
    (row,) = report["rows"]
    found = row["groups"]["own defective"]["items"]
    assert all(0 <= item["mask_iou"] <= 1 for item in found)
    assert row["recovery"]["n"] == 4 and row["recovery"]["share_iou"] is not None
    assert not any("Defects were not searched for" in note for note in report["notes"])


@pytest.mark.parametrize("change", [{"side": 100}, {"side": 32}, {"width": 6}, {"width": 0}])
def test_shapes_out_of_range_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(OptionError, match="a finder of side"):
        FinderConfig(**change)
