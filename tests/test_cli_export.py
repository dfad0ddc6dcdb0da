import json
import shutil
from pathlib import Path

import pytest
from commands import exit_code
from made import edit, masks, write_made
from same import files_in

FORMATS = ("mvtec", "coco", "yolo", "hf-imagefolder")


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_made(tmp_path_factory.mktemp("once") / "made")


@pytest.fixture
def place(made_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made_once, tmp_path / "made")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.fsync", lambda _: None)  # test_files.py sees to that
    return tmp_path


@pytest.mark.parametrize("format", FORMATS)
def test_exporting(place: Path, format: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(f"export made --format {format} --out deep/out --pairs --hold-out 0.5") == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first == "5 items (crack 3, paint 2) on 4 photographs in deep/out"
    assert others[0].startswith("  held out: ")
    assert others[1] == "  left out, because nothing changed in them: 1"
    assert others[2] == "  deep/out/README.md is the data card."
    assert (place / "deep/out/README.md").is_file()


def test_exporting_is_brief_where_there_is_little_to_tell(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = place / "made" / "manifest.jsonl"
    lines = [line for line in manifest.read_text().splitlines() if '"image"' in line]
    manifest.write_text("\n".join(lines) + "\n")
    assert exit_code("export made --format coco --out out") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_exporting_names_what_is_left_out(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(place / "made", 0, outcome="refused", reasons=["too faint"])
    edit(place / "made", 1, outcome="failed", reasons=["the photograph is torn"])
    assert exit_code("export made --format coco --out out") == 0
    first, *others, _ = capsys.readouterr().out.splitlines()
    assert first.startswith("3 items ")
    assert others == [
        "  left out, because nothing changed in them: 1",
        "  left out, because they were refused: 1",
        "  left out, because they failed: 1",
    ]
    assert exit_code("export made --format coco --out other --json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [found[key] for key in ("items", "unchanged", "refused", "failed")] == [3, 1, 1, 1]


@pytest.mark.parametrize("format", FORMATS)
def test_exporting_reports_json(
    place: Path, format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(f"export made --format {format} --out out --hold-out 0.25 --json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {*found.pop("files")} == {*files_in(place / "out")}
    assert found.pop("held_out") in range(1, len(masks()))
    assert found == {
        "out": "out",
        "items": 5,
        "types": {"crack": 3, "paint": 2},
        "photographs": 4,
        "unchanged": 1,
        "refused": 0,
        "unfit": {},
        "classes": ["crack", "paint"],
        "failed": 0,
    }


@pytest.mark.parametrize(
    "line, says",
    [
        ("export nowhere --format coco --out out", "nowhere, which has no manifest.jsonl"),
        ("export made/twin --format coco --out out", "has no manifest.jsonl"),
        ("export made --format coco --out made", "a folder that is not empty"),
        ("export made --format coco --out made/manifest.jsonl", "which is not a folder"),
        ("export made --format coco --out out --hold-out 1", "the fraction 1"),
        ("export made --format coco --out out --bundle nowhere", "the bundle 'nowhere'"),
        ("export made --format voc --out out", "voc"),
        ("export made --format coco", "--out"),
        ("export made --out out", "--format"),
        ("export --format coco --out out", "DIR"),
    ],
)
def test_bad_input_exits_with_2(
    place: Path, line: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_in(place)
    assert exit_code(line) == 2
    reported = capsys.readouterr().err
    assert says in reported
    assert "Traceback" not in reported
    assert files_in(place) == before


@pytest.mark.parametrize("what", ["picture gone", "stranger's name"])
def test_an_unfit_item_is_named(place: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = place / "made"
    row = json.loads((made / "manifest.jsonl").read_text().splitlines()[0])
    if what == "picture gone":
        (made / row["files"]["image"]).unlink()
    else:
        edit(made, 0, name="../../x")
    assert exit_code("export made --format yolo --out out --classes paint,crack") == 0
    shown = capsys.readouterr().out
    name = row["name"] if what == "picture gone" else "../../x"
    assert f"left out, {name!r}: " in shown
    assert '0: "paint"' in (place / "out" / "data.yaml").read_text()
    assert {path.name for path in place.iterdir()} == {"made", "out"}


@pytest.mark.parametrize("what", ["all unchanged", "a damaged line"])
def test_bad_items_exit_with_2(place: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = place / "made"
    lines = (made / "manifest.jsonl").read_text().splitlines()
    (line,) = (line for line in lines if '"image"' not in line)
    (made / "manifest.jsonl").write_text((line if what == "all unchanged" else "{") + "\n")
    assert exit_code("export made --format yolo --out out") == 2
    assert "Error: got made" in capsys.readouterr().err
    assert not (place / "out").exists()
