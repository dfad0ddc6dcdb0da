"""`blemish train masks`, and masks by a bundle's mask generator wherever masks are drawn."""

from pathlib import Path

import pytest
from tiny import add_masks, write_bundle, write_parts, write_scene

from blemish.checkpoint import Bundle
from blemish.cli import main
from blemish.data.pairs import read_mask


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masks")
    add_masks(write_bundle(folder / "bundle", windows=True))
    write_bundle(folder / "unmasked", windows=True)
    write_parts(folder / "data", side=64)
    write_scene(folder)
    return folder


def synthesize(place: Path, out: Path, *options: str, bundle: str = "bundle") -> int:
    line = ["--normal", str(place / "nut.png"), "--defect", "crack", "--out", str(out)]
    return main(["synthesize", "--bundle", str(place / bundle), *line, *options])


@pytest.mark.usefixtures("short_trainings")
def test_masks_train_and_go_on(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    line = ["train", "masks", str(place / "data"), "--bundle", str(out)]
    assert main([*line, "--kimg", "0.008", "--batch", "4", "--minutes", "0.001"]) == 0
    assert "--resume" in capsys.readouterr().err
    assert Bundle(out).has("masks")
    assert main([*line, "--resume"]) == 0
    assert "--mask-kind learned" in capsys.readouterr().err


def test_a_state_in_the_way_is_refused_before_masks_are_prepared(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bundle" / "training" / "masks"
    folder.mkdir(parents=True)
    (folder / "state.safetensors").write_bytes(b"")
    monkeypatch.setattr("blemish.training.masks.train.MaskStage", None)  # it must not be called
    line = ["train", "masks", str(place / "data"), "--bundle", str(tmp_path / "bundle")]
    assert main(line) == 2
    assert "contains the state of a training" in capsys.readouterr().err


def test_learned_masks_are_drawn(place: Path, tmp_path: Path) -> None:
    assert synthesize(place, tmp_path, "--mask-kind", "learned") == 0
    (mask,) = (tmp_path / "drawn").glob("*.png")
    assert read_mask(mask).any()


def test_paste_takes_learned_masks(place: Path, tmp_path: Path) -> None:
    real = ["--method", "paste", "--real", str(place / "data")]
    assert synthesize(place, tmp_path, "--mask-kind", "learned", *real) == 0


@pytest.mark.usefixtures("no_processes")
def test_batch_takes_learned_masks(place: Path, tmp_path: Path) -> None:
    recipe = place / "recipe.toml"
    group = '[[group]]\ndefect = "paint"\ncount = 2\nphotographs = "nut.png"\n'
    recipe.write_text(f'bundle = "bundle"\n{group}mask_kind = "learned"\n')
    assert main(["batch", str(recipe), "--out", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out" / "drawn").glob("*.png"))) == 2


@pytest.mark.parametrize(
    ("options", "bundle", "reported"),
    [
        ((), "unmasked", "without a mask generator"),
        (("--where", "centre"), "bundle", "the place centre"),
        (("--mask-elastic", "0.02"), "bundle", "mask_elastic"),
    ],
)
def test_what_learned_masks_do_not_take_is_refused(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    bundle: str,
    reported: str,
) -> None:
    assert synthesize(place, tmp_path, "--mask-kind", "learned", *options, bundle=bundle) == 2
    assert reported in capsys.readouterr().err
