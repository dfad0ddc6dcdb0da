"""`blemish train windows` and `blemish train DATA`: the plan, a short training, its defects."""

from pathlib import Path

import pytest
from tiny import write_parts

from blemish.checkpoint import Bundle
from blemish.cli import main


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("data"), side=64)


@pytest.mark.usefixtures("short_trainings")
def test_train_without_a_stage_prints_its_plan_and_does_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    assert main(["train", str(data), "--out", str(out), "--minutes", "30", "--dry-run"]) == 0
    reported = capsys.readouterr().err
    assert "4 photographs of good parts, 64 × 64" in reported
    assert "crack: 1 defects on 1 photographs" in reported
    assert "in 25 minutes" in reported
    assert not (out / "config.json").exists()


def test_windows_train_and_draw(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    short = ["--kimg", "0.004", "--batch", "4", "--minutes", "0.001"]
    assert main(["train", "windows", str(data), "--bundle", str(out), *short]) == 0
    assert "--resume" in capsys.readouterr().err
    assert Bundle(out).has("windows")
    picture = str(data / "train" / "good" / "0.png")
    mask = str(data / "ground_truth" / "crack" / "0.png")
    args = ["--normal", picture, "--mask", mask, "--defect", "crack", "--out", str(tmp_path / "s")]
    assert main(["synthesize", "--bundle", str(out), *args]) == 0
    assert len(list((tmp_path / "s" / "test" / "crack").glob("*.png"))) == 1


def test_unknown_type_is_refused(data: Path, tmp_path: Path) -> None:
    args = ["train", str(data), "--out", str(tmp_path / "b"), "--types", "dent", "--dry-run"]
    assert main(args) == 2
