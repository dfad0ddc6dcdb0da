"""Trainings, exports and comparisons from Python do what the commands do."""

from pathlib import Path

import pytest
from commands import exit_code
from made import write_made
from same import files_in
from tiny import part, spot, write_parts

import blemish
from blemish.errors import OptionError, OutputError


@pytest.mark.usefixtures("short_trainings")
def test_a_training_gives_a_bundle_and_goes_on(tmp_path: Path) -> None:
    data = write_parts(tmp_path / "data", side=64)
    trained = blemish.train(data, tmp_path / "bundle", minutes=0.001, threads=1, device="cpu")
    assert trained.types == ("crack", "paint")
    first = trained.digest
    item = trained.synthesize(part(), spot(), "crack", seed=1)
    assert item.mask.any()
    again = blemish.train(data, tmp_path / "bundle", minutes=0.001, threads=1, device="cpu")
    assert again.digest != first
    with pytest.raises(OptionError, match="dent"):
        blemish.train(data, tmp_path / "other", types=["dent"])
    with pytest.raises(OptionError, match="time limit"):
        blemish.train(data, tmp_path / "other", minutes=0, device="cpu")


def test_a_logger_without_its_package_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blemish.loggers.find_spec", lambda _: None)
    with pytest.raises(OptionError, match=r"blemish\[wandb\]"):
        blemish.train(tmp_path / "missing", tmp_path / "bundle", log="wandb")


def test_an_export_is_that_of_the_command(tmp_path: Path) -> None:
    made = write_made(tmp_path / "made")
    done = blemish.export(
        made, tmp_path / "a" / "set", "coco", pairs=True, classes=["paint", "crack"]
    )
    line = f"export {made} --out {tmp_path / 'b' / 'set'} --format coco --pairs"
    assert exit_code(f"{line} --classes paint,crack") == 0
    assert files_in(tmp_path / "a" / "set") == files_in(tmp_path / "b" / "set")
    assert done.summary()["items"] == 5 and len(done.files) == 12
    with pytest.raises(OutputError):
        blemish.export(made, tmp_path / "a" / "set", "yolo")


def test_a_comparison_has_a_report(tmp_path: Path) -> None:
    real = write_parts(tmp_path / "real", defects=6, side=64)
    report = blemish.evaluate(real, real, tmp_path / "report", features="efficientnet-lite0")
    assert {*report["types"]} == {"crack", "paint"}
    assert (tmp_path / "report" / "report.json").is_file()
