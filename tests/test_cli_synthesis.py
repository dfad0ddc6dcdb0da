import json
import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import (
    BLEMISH,
    ONE_THREAD,
    assert_parsing_fails,
    exit_code,
    full_after,
    wait_for,
)
from same import files_in
from tiny import part, spot, write_bundle, write_defects, write_scene

import blemish.checkpoint
from blemish.checkpoint import Bundle, load_codes
from blemish.cli import main
from blemish.data import check
from blemish.data.masks import silhouette
from blemish.data.pairs import read_mask
from blemish.files import LOCK, alone
from blemish.pictures import read_picture, write_picture
from blemish.synthesis.batch.record import keep_record


@pytest.fixture(scope="module")
def props(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, a part, a mask, and everything that can be wrong with them."""
    root = tmp_path_factory.mktemp("props")
    write_scene(root)
    write_defects(root / "real")
    write_picture(root / "dot.png", part(1, 1))
    write_picture(root / "black.png", spot() & False)
    write_picture(root / "white.png", spot() | True)
    write_picture(root / "off.png", spot(at=(0.1, 0.1)))
    write_picture(root / "wide.png", spot(64, 65))
    for name in ("text.png", "file"):
        (root / name).write_text("hello")
    (root / "folder").mkdir()
    for name in ("bundle", "torn", "unfit"):
        write_bundle(root / name)
    write_bundle(root / "windows", windows=True)
    (root / "masks").mkdir()
    for k, at in enumerate(((0.4, 0.5), (0.6, 0.5))):
        write_picture(root / "masks" / f"{k}.png", spot(at=at))
    critic = root / "torn" / "critic.safetensors"
    critic.write_bytes(critic.read_bytes()[:-9])
    config = Bundle(root / "unfit").config
    Bundle(root / "unfit").write_config({**config, "generator": {"resolution": 16}})
    Bundle(root / "folder").write_config({})
    return root


@pytest.fixture
def place(props: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own to work in, with all of that."""
    for path in props.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.fsync", lambda _: None)  # test_files.py sees to that
    return tmp_path


MAKE = "synthesize --normal nut.png --mask nut_mask.png --defect paint --bundle bundle"
MAKE += " --device cpu --steps 2 --out out"
DRAW = "synthesize --normal nut.png --defect paint --bundle bundle --device cpu --steps 2 --out out"
DEMO = "demo --bundle windows --parts 2 --count 2 --out out"


def test_making(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(f"{MAKE} --count 3") == 0
    *items, last = capsys.readouterr().out.splitlines()
    assert last == "out/contact_sheet.png shows them."
    assert len(items) == 3
    for line in items:
        name, iou = line.split("  IoU with the requested mask ")
        assert np.array_equal(read_picture(place / "nut.png").shape, read_picture(Path(name)).shape)
        assert 0.5 < float(iou) <= 1
    assert not check(place / "out").complaints


@pytest.mark.parametrize(
    "control, reference",
    [("codes", "none"), ("noise", "distil"), ("condition", "stitch --real real")],
)
def test_synthesizing_reports_json(
    place: Path, control: str, reference: str, capfd: pytest.CaptureFixture[str]
) -> None:
    options = f"--mask-control {control} --reference {reference} --count 2 --seed 5 --json"
    options += " --defect-steps 8"
    assert exit_code(f"{MAKE} {options}") == 0
    rows = json.loads(capfd.readouterr().out)
    manifest = (place / "out" / "manifest.jsonl").read_text().splitlines()
    assert rows == [json.loads(line) for line in manifest]
    assert [row["seed"] for row in rows] == [5, 6]
    assert {row["options"]["search"]["control"] for row in rows} == {control}


def test_making_more_keeps_what_is_there(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(f"{MAKE} --count 2") == 0
    first = files_in(place / "out")
    assert exit_code(f"{MAKE} --count 5 --json") == 0
    then = files_in(place / "out")
    del first["contact_sheet.png"]
    manifest = first.pop("manifest.jsonl")
    assert first.items() <= then.items()
    assert then["manifest.jsonl"].startswith(manifest)
    assert len(then["manifest.jsonl"].splitlines()) == 5


def test_each_seed_draws_a_mask_of_its_own(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"{WINDOW} --mask-kind blob --area 0.05 --json"
    assert exit_code(f"{line} --seed 4 --count 3") == 0
    together = json.loads(capsys.readouterr().out)
    assert len({row["requested"] for row in together}) == 3
    assert exit_code(f"{line} --seed 6 --out alone") == 0
    (alone,) = json.loads(capsys.readouterr().out)
    assert alone == together[2]
    assert files_in(place / "alone" / "test").items() <= files_in(place / "out" / "test").items()


def test_a_seed_that_changed_nothing_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("blemish.synthesis.composite.VISIBLE_LEVELS", 256)
    assert exit_code(f"{MAKE} --seed 3") == 0
    assert capsys.readouterr().out.startswith("Seed 3 changed nothing")


def test_a_demonstration_needs_no_data(
    props: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(blemish.checkpoint, "EMBEDDED", props)
    assert exit_code(DEMO) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("4 items in ")
    assert [line.strip() for line in shown[1:]] == [
        "out/test",
        "out/contact_sheet.png",
        "out/manifest.jsonl",
        "out/report.html",
    ]
    assert all(Path(line.strip()).exists() for line in shown[1:])
    rows = [json.loads(line) for line in Path("out/manifest.jsonl").read_text().splitlines()]
    assert len({row["name"] for row in rows}) == 4
    assert all(row["scores"]["pixels_changed_beyond_reach"] == 0 for row in rows)
    assert len([*Path("out/parts").glob("*.png")]) == 4
    page = Path("out/report.html").read_text()
    assert "://" not in page  # base64 may spell any word, but it has no colon
    assert all(row["name"] in page for row in rows)
    assert not check(tmp_path / "out").complaints

    before = files_in(tmp_path / "out")
    assert exit_code(DEMO) == 0
    after = files_in(tmp_path / "out")
    del before["report.html"], after["report.html"]  # it has the time that was taken
    assert before == after


@pytest.mark.parametrize(
    "options",
    [
        "--mask-kind blob",
        "--mask-kind scratch --area 0.02",
        "--mask-kind spots --area 0.05,0.1",
        "--mask-kind blob --where 0.4,0.4,0.2,0.2 --off-part refuse",
        "--mask-kind real --real real",
        "--mask-kind real --real real --reference stitch",
    ],
)
def test_a_mask_is_drawn_on_the_part(
    place: Path, options: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(f"{DRAW} {options} --json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    requested = read_mask(place / "out" / row["files"]["requested"])
    assert requested.any()
    assert not (requested & ~silhouette(read_picture(place / "nut.png"))).any()
    assert np.array_equal(read_mask(place / "out" / row["requested"]), requested)
    assert row["options"]["real"] == ("real" if "--reference" in options else None)
    before = files_in(place / "out")
    assert exit_code(f"{DRAW} {options} --json") == 0  # the same mask, so the same item
    assert files_in(place / "out") == before


def test_saved_codes_take_the_place_of_inverting(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "invert --image nut.png --bundle bundle --device cpu --steps 2 --out codes"
    assert exit_code(line) == 0
    found = load_codes(place / "codes" / "codes.safetensors")
    capsys.readouterr()
    assert exit_code(f"{MAKE} --from codes --json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    made = load_codes(place / "out" / row["files"]["codes"])
    assert torch.equal(made.w, found.w)
    write_picture(place / "other.png", read_picture(place / "nut.png")[::-1].copy())
    assert exit_code(f"{MAKE} --normal other.png --from codes --out other") == 2
    assert "codes of another photograph" in capsys.readouterr().err


WINDOW = "synthesize --normal nut.png --defect paint --bundle windows --device cpu --out out"


def test_masks_of_a_folder_are_taken_in_turn(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(f"{WINDOW} --mask masks --count 3 --json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [Path(row["requested"]).name for row in rows] == ["0.png", "1.png", "0.png"]
    assert {row["options"]["way"] for row in rows} == {"window"}
    assert not check(place / "out").complaints


@pytest.mark.parametrize("method", ["window", "optimize --steps 2"])
def test_each_method_makes(place: Path, method: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"{WINDOW} --mask nut_mask.png --strength 0.5 --method {method} --json"
    assert exit_code(line) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["options"]["way"] == method.split()[0]
    assert row["strength"] == 0.5


REFUSED = [
    (f"{MAKE} --normal none.png", "none.png, which does not exist"),
    (f"{MAKE} --normal text.png", "text.png, which is not an image"),
    (f"{MAKE} --normal dot.png", "dot.png, an image of 1 × 1 pixels"),
    (f"{MAKE} --mask none.png", "none.png, which does not exist"),
    (f"{MAKE} --mask text.png", "text.png, which is not an image"),
    (f"{MAKE} --mask black.png", "black.png, a mask with no pixel marked"),
    (f"{MAKE} --mask white.png", "white.png, a mask with every pixel marked"),
    (f"{MAKE} --mask off.png", "off.png, a mask with 0% of its area on the part"),
    (f"{MAKE} --mask wide.png", "wide.png, a mask of 65 × 64 pixels"),
    (f"{MAKE} --mask dot.png", "dot.png, a mask of 1 × 1 pixels"),
    (MAKE.replace("--defect paint", "--defect rust"), "the defect type 'rust'"),
    (f"{MAKE} --bundle none", "the bundle 'none'"),
    (f"{MAKE} --bundle torn", "critic.safetensors, which can't be read"),
    (f"{MAKE} --bundle unfit", "does not fit config.json"),
    (f"{MAKE} --count 0", "--count 0"),
    (f"{MAKE} --count -2", "--count -2"),
    (f"{MAKE} --seed -1", "--seed -1"),
    (f"{MAKE} --seed 9223372036854775807 --count 2", "--seed 9223372036854775807"),
    (f"{MAKE} --steps -1", "-1 steps"),
    (f"{MAKE} --mask-weight nan", "the mask weight nan"),
    (f"{MAKE} --stay-weight -0.5", "the stay weight -0.5"),
    (f"{MAKE} --image-weight inf", "the image weight inf"),
    (f"{MAKE} --reference stitch", "--reference stitch without real defects"),
    (f"{MAKE} --reference stitch --real none", "none, which does not exist"),
    (f"{MAKE} --reference stitch --real bundle", "bundle, without photographs"),
    (f"{MAKE} --reference distil --real file", "file, which is a file"),
    (f"{MAKE} --real real", "real = real without a use for it"),
    (f"{DRAW} --mask-kind blob --real real", "real = real without a use"),
    (f"{DRAW} --mask-kind real --real bundle", "bundle, without photographs"),
    (f"{MAKE} --device cuda", "--device cuda"),
    (f"{MAKE} --mask-kind blob", "both a mask and a mask kind"),
    (f"{MAKE} --off-part refuse --mask off.png", "off.png, a mask with 0% of its area"),
    (DRAW, "neither a mask nor a mask kind"),
    (f"{DRAW} --mask-kind blob --area 0", "a mask area of 0.0"),
    (f"{DRAW} --mask-kind blob --area much", "--area much"),
    (f"{DRAW} --mask-kind blob --where up", "--where up"),
    (f"{DRAW} --mask-kind blob --where 0.1,0.2,0.3", "--where 0.1,0.2,0.3"),
    (f"{DRAW} --mask-kind real", "masks of the kind real without real defects"),
    (f"{DRAW} --mask-kind blob --defect rust", "the defect type 'rust'"),
    (f"{MAKE} --defect crack", "which level of nut_mask.png"),
    (f"{MAKE} --mask masks", "a folder of masks"),
    (f"{DEMO} --parts 0", "--parts 0 --count 2"),
    (f"{DEMO} --count -1", "--count -1"),
    (f"{MAKE} --method window", "the method window with a way to invert"),
    (f"{WINDOW} --method one-pass", "the method one-pass, which this version no longer has"),
    (f"{WINDOW} --method=hybrid", "the method hybrid, which this version no longer has"),
    (f"{WINDOW} --polish 3", "the option polish, which this version no longer has"),
    (f"{WINDOW} --detail --real real", "the option detail, which this version no longer has"),
    ("train mapper real --bundle windows", "'blemish train mapper', which this version"),
    (f"{MAKE} --strength 0", "the strength 0.0"),
    (f"{MAKE} --strength 1.5", "the strength 1.5"),
    (f"{MAKE} --mask folder", "folder, "),
    (f"{DEMO} --seed -1", "--seed -1"),
    (f"{DEMO} --bundle none", "the bundle 'none'"),
]


@pytest.mark.parametrize("line, got", REFUSED)
def test_bad_input_is_refused_and_nothing_is_written(
    line: str,
    got: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    before = sorted(place.rglob("*"))
    assert exit_code(line) == 2
    shown = capsys.readouterr()
    assert not shown.out
    first, expected, todo = shown.err.splitlines()
    assert first.startswith("Error: got ")
    assert got in first
    assert expected.startswith("  Expected ")
    assert todo.startswith("  ") and todo.endswith(".")
    assert sorted(place.rglob("*")) == before


UNWRITABLE = [
    ("file", "file: something else is in its place"),
    ("file/deeper", "file/deeper: a file is in a folder's place"),
    ("closed", "closed: writing is not permitted"),
    ("closed/deeper", "closed: writing is not permitted"),
]


@pytest.mark.parametrize("out, got", UNWRITABLE)
@pytest.mark.parametrize("command", [MAKE, DEMO])
def test_a_place_that_cannot_be_written(
    command: str, out: str, got: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "closed").mkdir(mode=0o500)
    before = sorted(place.rglob("*"))
    assert exit_code(f"{command} --out {out}") == 2
    assert capsys.readouterr().err.startswith(f"Error: got {got}")
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("command", [MAKE, DEMO])
def test_a_folder_with_another_s_manifest(
    command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "out").mkdir()
    (place / "out" / "manifest.jsonl").write_text("{}\n")
    assert exit_code(command) == 2
    reported = capsys.readouterr().err
    assert reported.startswith(
        "Error: got out/manifest.jsonl, whose line 1 is not a valid item record"
    )
    assert [*(place / "out").iterdir()] == [place / "out" / "manifest.jsonl"]


UNPARSABLE = [
    "synthesize --normal nut.png --mask nut_mask.png",
    f"{MAKE} --mask-control magic",
    f"{MAKE} --count many",
    f"{MAKE} --reference stich",
    f"{DEMO} --part 2",
]


@pytest.mark.parametrize("line", UNPARSABLE)
def test_what_cannot_be_parsed(line: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_parsing_fails(line, capsys)
    assert not (place / "out").exists()


@pytest.mark.parametrize("command, writes", [(MAKE, 0), (MAKE, 4), (MAKE, 5), (DEMO, 8)])
def test_a_full_disk(
    command: str,
    writes: int,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    full_after(writes, monkeypatch)
    assert exit_code(command) == 2
    reported = capsys.readouterr().err
    assert reported.count("Error: got ") == 1
    assert "no space is left" in reported
    assert "Traceback" not in reported
    written = files_in(place / "out")
    assert not [name for name in written if Path(name).name.startswith(".")]
    assert len({*written} - {"manifest.jsonl", LOCK}) == writes

    monkeypatch.undo()
    monkeypatch.chdir(place)
    capsys.readouterr()
    assert exit_code(command) == 0
    written.pop("manifest.jsonl", None)
    assert written.items() <= files_in(place / "out").items(), "what was written was whole"


@pytest.mark.parametrize("command", [MAKE, f"{DRAW} --mask-kind blob", DEMO])
def test_a_folder_takes_one_run_at_a_time(
    command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with alone(place / "out"):
        assert exit_code(command) == 2
    assert "out, which another run is using" in capsys.readouterr().err
    assert not (place / "out" / "manifest.jsonl").exists()
    assert exit_code(command) == 0


@pytest.mark.parametrize("command", [MAKE, f"{DRAW} --mask-kind blob", DEMO])
def test_the_folder_of_a_batch_is_refused(
    command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "out").mkdir()
    keep_record(place / "out", {})
    before = files_in(place / "out")
    assert exit_code(command) == 2
    assert "out, a folder of 'blemish batch'" in capsys.readouterr().err
    assert files_in(place / "out") == before


@pytest.mark.parametrize("command", [MAKE, f"{DRAW} --mask-kind blob", DEMO])
def test_another_folder_gives_the_same_bytes(command: str, place: Path) -> None:
    assert exit_code(command) == 0
    assert exit_code(f"{command} --out {place / 'deep' / 'other'}") == 0
    one, other = files_in(place / "out"), files_in(place / "deep" / "other")
    for files in (one, other):
        files.pop("report.html", None)  # it has the time that was taken
    assert one == other


def test_the_item_of_an_odd_name_is_exported(place: Path) -> None:
    odd = "a:b\tc\u00a0.png"
    (place / odd).write_bytes((place / "nut.png").read_bytes())
    line = [*MAKE.split(), "--normal", odd]
    assert main(line) == 0
    assert exit_code("export out --format yolo --out yolo") == 0
    assert len([*(place / "yolo" / "images" / "train").iterdir()]) == 1


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "command, place_of, todo",
    [
        (MAKE, "blemish.synthesis.synthesize.Synthesizer.invert", "Run the same command again"),
        (MAKE, "blemish.synthesis.placement.optimize.place_defects", "Run the same command again"),
        (DEMO, "blemish.synthesis.synthesize.Synthesizer.make", "Run the same command again"),
    ],
)
def test_ctrl_c_says_how_to_go_on(
    command: str,
    place_of: str,
    todo: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(place_of, interrupted)
    assert exit_code(command) == 130
    reported = capsys.readouterr().err
    assert reported.count(f"Interrupted; no incomplete files are left. {todo}") == 1
    assert "Traceback" not in reported


@pytest.mark.skipif(os.name == "nt", reason="there is no such signal")
def test_a_killed_run_is_carried_on_as_if_unbroken(place: Path) -> None:
    command = f"{MAKE} --count 40"
    process = subprocess.Popen(
        [*BLEMISH, *command.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ONE_THREAD,
    )
    wait_for(lambda: lines_of(place / "out") > 0, process)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert 0 < lines_of(place / "out") < 40, "it was killed on its way"

    assert exit_code(command) == 0
    assert exit_code(f"{command} --out whole") == 0
    broken = {k: v for k, v in files_in(place / "out").items() if not Path(k).name.startswith(".")}
    assert broken == files_in(place / "whole")
    assert lines_of(place / "out") == 40


def lines_of(out: Path) -> int:
    manifest = out / "manifest.jsonl"
    return manifest.read_bytes().count(b"\n") if manifest.exists() else 0


def test_a_process_that_is_refused(place: Path) -> None:
    command = [*BLEMISH, *MAKE.split(), "--mask", "black.png", "--json"]
    process = subprocess.run(command, capture_output=True, text=True, env=ONE_THREAD, check=False)
    assert process.returncode == 2
    assert not process.stdout
    assert len(process.stderr.splitlines()) == 3
    assert not (place / "out").exists()


PASTE = "synthesize --normal nut.png --mask nut_mask.png --defect paint --method paste --device cpu"


def test_pasting_without_a_bundle(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blemish.checkpoint, "find_bundle", None)  # nobody asks for one
    assert exit_code(f"{PASTE} --real real --out out --count 2") == 0
    assert exit_code(f"{PASTE} --real real --out again --count 2") == 0
    first, second = (files_in(place / folder) for folder in ("out", "again"))
    assert first == second
    assert not check(place / "out").complaints
    assert exit_code("export out --format mvtec --out exported") == 0
    assert "pasted defects" in (place / "exported" / "README.md").read_text()


def test_pasting_needs_real_defects_of_the_type(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(f"{PASTE} --out out") == 2
    assert "without real defects" in capsys.readouterr().err
    assert exit_code(f"{PASTE} --real real --out out".replace("paint", "dent")) == 2
    assert "'dent'" in capsys.readouterr().err
    assert not (place / "out").exists()


def test_several_defects_on_one_photograph(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    masks = "--mask masks/0.png --mask masks/1.png --defect paint --defect crack"
    command = f"synthesize --normal nut.png {masks} --bundle bundle --device cpu --steps 2 --json"
    assert exit_code(f"{command} --out out") == 0
    (row,) = json.loads(capfd.readouterr().out)
    assert [one["type"] for one in row["defects"]] == ["paint", "crack"]
    assert [one["requested"] for one in row["defects"]] == ["masks/0.png", "masks/1.png"]
    assert (place / "out" / row["files"]["classes"]).is_file()
    assert not check(place / "out").complaints
    assert exit_code(f"{command} --out out") == 0
    assert json.loads(capfd.readouterr().out) == [row]


def test_masks_are_drawn_for_several_defects(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(f"{DRAW} --defect crack --mask-kind blob --area 0.05 --json") == 0
    (row,) = json.loads(capfd.readouterr().out)
    asked = [read_mask(place / "out" / one["requested"]) for one in row["defects"]]
    assert len(asked) == 2
    assert not np.array_equal(asked[0], asked[1])


@pytest.mark.parametrize(
    "options, message",
    [
        ("--mask nut_mask.png", "no type of a defect"),
        ("--mask nut_mask.png --defect paint --defect crack", "which level"),
        ("--mask masks --mask nut_mask.png --defect paint", "a folder of masks"),
    ],
)
def test_masks_without_their_types_are_refused(
    place: Path, options: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(f"synthesize --normal nut.png --bundle bundle --device cpu {options}") == 2
    assert message in capsys.readouterr().err
