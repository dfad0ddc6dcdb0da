"""`blemish evaluate utility`: from two folders to the page, its JSON and what is printed."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
import torch
from commands import assert_refused, exit_code, full_after
from made import write_made
from same import files_in

from blemish.cli import VERBS
from blemish.cli.utility import utility
from blemish.data.folder import DefectFolder
from blemish.errors import DataError, OptionError, OutputError
from blemish.evaluation.utility import evaluate
from blemish.evaluation.utility.detector import fresh_detector
from blemish.evaluation.utility.evaluate import SHOWN, UtilityData, arm_summaries, prepare_utility
from blemish.evaluation.utility.keep import FOLDER
from blemish.evaluation.utility.outcome import TrainingOutcome, ap_of
from blemish.evaluation.utility.page import MAPS, NAMES
from blemish.evaluation.utility.plan import USUAL, UtilityOptions
from blemish.evaluation.utility.protocol import read_protocol
from blemish.evaluation.utility.report import report
from blemish.files import LOCK
from blemish.pictures import read_picture, write_picture

CPU = torch.device("cpu")
FILES = {MAPS, "report.html", "report.json"}
Whole = tuple[dict[str, Any], Path, list[int]]
TINY: dict[str, Any] = {"seeds": 1, "steps": 2, "batch": 4, "size": 32}
COMMAND = "evaluate utility --real real --out out --seeds 1 --steps 2 --batch 4 --size 32"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # test_files.py sees to that


def write_mirrored(parts: Path, root: Path) -> Path:
    """The defects of a folder as a made set that is no copy of it."""
    for photograph in DefectFolder(parts).defects():
        assert photograph.mask_path is not None
        for path in (photograph.path, photograph.mask_path):
            target = root / path.relative_to(parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            write_picture(target, np.fliplr(read_picture(path)).copy())
    return root


def pages_in(out: Path) -> set[str]:
    """What a report leaves beside the trainings that it keeps."""
    return {name for name in files_in(out) if not name.startswith(FOLDER)}


def trainings_in(out: Path) -> set[str]:
    """The trainings that it keeps; the lock beside them stays when a run is over."""
    return {*files_in(out / FOLDER)} - {LOCK}


@pytest.fixture(scope="module")
def props(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("props")
    shutil.copytree(parts, root / "real")
    write_mirrored(parts, root / "made")
    write_made(root / "batch")
    (root / "empty").mkdir()
    return root


@pytest.fixture
def place(props: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own to work in, with all of that."""
    shutil.copytree(props, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    verbs = VERBS["evaluate"]
    assert isinstance(verbs, dict)
    monkeypatch.setitem(verbs, "utility", utility)
    return tmp_path


@pytest.fixture(scope="module")
def whole(props: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """All arms under two seeds, for four steps each: report, folder and progress."""
    heard: list[int] = []
    out = tmp_path_factory.mktemp("whole")
    plan = UtilityOptions(
        real=props / "real", synthetic=props / "made", **{**TINY, "seeds": 2, "steps": 4}
    )
    torch.set_num_threads(1)
    return report(prepare_utility(plan), out, CPU, heard.append), out, heard


def test_every_arm_has_every_figure(whole: Whole) -> None:
    arms = whole[0]["arms"]
    assert [*arms] == [*USUAL]
    for found in arms.values():
        assert [run["seed"] for run in found["runs"]] == [0, 1]
        for name in NAMES:
            values = [run[name] for run in found["runs"]]
            assert all(0 <= value <= 1 for value in values)
            assert found["mean"][name] == pytest.approx(fmean(values), rel=1e-5)
            assert found["spread"][name] == pytest.approx(stdev(values), rel=1e-4, abs=1e-6)


def test_each_type_has_an_ap_of_its_own(whole: Whole) -> None:
    found, out, _ = whole
    words = unescape((out / "report.html").read_text(encoding="utf-8"))
    for arm in found["arms"].values():
        aps = {arm["mean"][ap_of(kind)] for kind in ("crack", "print")} | {arm["mean"]["ap"]}
        assert len(aps) == 3 and all(0 <= ap <= 1 for ap in aps)
        assert f"{100 * arm['mean'][ap_of('crack')]:.1f} ± " in words
    assert "AP of each type" in words


def test_a_type_that_is_never_found_pulls_down_its_own_ap_alone(props: Path) -> None:
    real = read_protocol(props / "real", 32)
    known = np.array([kind == "crack" for kind in real.tested.kinds])
    marked = real.tested.marked & known[:, None, None]

    def maps_of(*_: Any) -> np.ndarray:
        return marked.astype(np.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "maps_of", maps_of)
        figures, _ = evaluate.detector_figures(fresh_detector(2, seed=0), real, CPU)
    assert figures[ap_of("crack")] == 1
    assert figures[ap_of("print")] < 0.2 < figures["ap"] < 1


def test_trainings_that_know_no_types_are_summed_up_without_them() -> None:
    new = replace(outcome(0, 0.5), figures={**outcome(0, 0.5).figures, ap_of("crack"): 0.5})
    found = arm_summaries([new, outcome(1, 0.5)])["real"]
    assert {*found["mean"]} == {*found["spread"]} == {*NAMES}


def test_arms_and_seeds_differ(whole: Whole) -> None:
    runs = [run["ap"] for found in whole[0]["arms"].values() for run in found["runs"]]
    assert len({*runs}) == len(runs)


def test_counts_and_options_are_reported(whole: Whole) -> None:
    found = whole[0]
    assert found["counts"]["good"] == {"learnt": 6, "tested": 2}
    one = {"learnt": 2, "tested": 4, "made": 6}
    assert found["counts"]["types"] == {"crack": one, "print": one}
    options = {name: found["options"][name] for name in ("seeds", "steps", "batch", "size")}
    assert options == {"seeds": 2, "steps": 4, "batch": 4, "size": 32}
    assert found["options"]["augment"]["rotate"] and found["options"]["learning_rate"] > 0
    assert found["parameters"]["segmenter"] > 4e5
    assert "1 thread," in found["machine"] and re.fullmatch(r"\d{4}-\d\d-\d\d", found["date"])


def test_progress_never_goes_back_and_reaches_the_end(whole: Whole) -> None:
    assert whole[2] == [*range(1, 4 * 2 * 4 + 1)]


def test_the_file_holds_what_is_returned(whole: Whole) -> None:
    found, out, _ = whole
    text = (out / "report.json").read_text(encoding="utf-8")
    assert json.loads(text) == found
    assert "NaN" not in text and "Infinity" not in text
    assert pages_in(out) == FILES
    assert len(trainings_in(out)) == 4 * 2


def test_the_page_needs_no_other_file_and_has_arms_side_by_side(whole: Whole) -> None:
    found, out, _ = whole
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "://" not in text and not re.search(r"<(script|link|iframe)|url\(", text)
    assert re.findall(r'src="([^,]+),', text) == ["data:image/png;base64"]
    words = unescape(text)
    for name in (*USUAL, *NAMES.values(), *found["notes"], found["answer"], "maps of"):
        assert name in words
    mean, spread = (found["arms"]["real"][which]["ap"] for which in ("mean", "spread"))
    assert f"{100 * mean:.1f} ± {100 * spread:.1f}" in words


def test_maps_of_every_arm_are_shown_beside_the_photographs(whole: Whole, props: Path) -> None:
    sheet = read_picture(whole[1] / MAPS)
    assert sheet.shape == (SHOWN * 34 - 2, (2 + len(USUAL)) * 34 - 2, 3)
    first = DefectFolder(props / "real").defects("crack")[2]
    np.testing.assert_array_equal(sheet[:32, :32], read_picture(first.path))


def test_some_photographs_of_each_kind_are_shown(props: Path) -> None:
    trial = prepare_utility(UtilityOptions(real=props / "real", **TINY))
    kinds = [trial.real.tested.kinds[k] for k in trial.shown()]
    assert kinds == [*["crack"] * 3, *["print"] * 3, *["good"] * 2]


def strip(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "date": None}


def test_the_same_plan_gives_the_same_report(props: Path, tmp_path: Path) -> None:
    plan = UtilityOptions(real=props / "real", synthetic=props / "made", **TINY)
    runs = []
    for k in range(2):
        torch.manual_seed(k)
        runs.append(report(prepare_utility(plan), tmp_path / str(k), CPU))
    assert strip(runs[0]) == strip(runs[1])
    assert (tmp_path / "0" / MAPS).read_bytes() == (tmp_path / "1" / MAPS).read_bytes()


def test_an_arm_does_not_depend_on_the_others(props: Path, whole: Whole, tmp_path: Path) -> None:
    plan = UtilityOptions(real=props / "real", arms=("copy-paste",), **{**TINY, "steps": 4})
    (outcome,) = prepare_utility(plan).put(tmp_path, CPU)
    expected = whole[0]["arms"]["copy-paste"]["runs"][0]
    for name in NAMES:
        assert outcome.figures[name] == pytest.approx(expected[name], rel=1e-4)


def test_the_folders_are_left_as_they_were(place: Path) -> None:
    before = {name: files_in(place / name) for name in ("real", "made")}
    plan = UtilityOptions(real=place / "real", synthetic=place / "made", **TINY)
    report(prepare_utility(plan), place / "out", CPU)
    assert {name: files_in(place / name) for name in ("real", "made")} == before


def outcome(seed: int, ap: float) -> TrainingOutcome:
    figures = {**dict.fromkeys(NAMES, 0.5), "ap": ap}
    return TrainingOutcome(arm="real", seed=seed, figures=figures, maps=np.zeros((1, 2, 2)))


@pytest.mark.parametrize(
    "values, mean, spread", [((0.5,), 0.5, None), ((0.4, 0.6), 0.5, 0.1414), ((1, 1, 1), 1, 0)]
)
def test_mean_and_spread_are_over_seeds(
    values: tuple[float, ...], mean: float, spread: float | None
) -> None:
    found = arm_summaries([outcome(k, value) for k, value in enumerate(values)])["real"]
    assert found["mean"]["ap"] == pytest.approx(mean)
    assert found["spread"]["ap"] == (None if spread is None else pytest.approx(spread, abs=1e-4))


def test_the_batch_of_a_verb_is_read_with_its_manifest(place: Path) -> None:
    trial = prepare_utility(UtilityOptions(real=place / "real", synthetic=place / "batch", **TINY))
    assert trial.made is not None
    assert {kind: len(items) for kind, items in trial.made.items.items()} == {"crack": 3}
    assert trial.foreign == ("paint",)
    notes = " ".join(report(replaced(trial, arms=("synthetic",)), place / "out", CPU)["notes"])
    assert "no real defects of paint" in notes and "No synthetic defect of print" in notes
    assert "fewer than three seeds" in notes


def replaced(trial: UtilityData, **change: Any) -> UtilityData:
    return replace(trial, plan=replace(trial.plan, **change))


@pytest.mark.parametrize("synthetic", [None, "made"])
def test_what_runs_follows_from_the_folders(synthetic: str | None) -> None:
    plan = UtilityOptions(
        real=Path("real"), synthetic=None if synthetic is None else Path(synthetic)
    )
    assert plan.chosen == (("real", "copy-paste") if synthetic is None else USUAL)
    assert plan.total == len(plan.chosen) * 3 * 800


WRONG_PLANS: dict[str, dict[str, Any]] = {
    "--seeds 0": {"seeds": 0},
    "--steps 0": {"steps": 0},
    "--batch 1": {"batch": 1},
    "--limit-good 0": {"limit_good": 0},
    "--size 24": {"size": 24},
    "--size 100": {"size": 100},
    "--arms fake": {"arms": ("fake",)},
    "--arms real,synthetic without": {"arms": ("real", "synthetic")},
}


@pytest.mark.parametrize("got", WRONG_PLANS)
def test_plans_that_can_not_be_carried_out(got: str) -> None:
    with pytest.raises(OptionError, match=got):
        UtilityOptions(real=Path("real"), **WRONG_PLANS[got])


def test_each_arm_has_its_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(COMMAND) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["real", "copy-paste"]
    figure = r"\d+\.\d"
    for line in lines:
        assert re.search(": " + ", ".join(f"{name} {figure}" for name in NAMES.values()), line)
    assert shown.err.endswith("out/report.html has the figures and maps.\n")
    assert pages_in(place / "out") == FILES


def test_with_made_ones_an_answer_is_given(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(f"{COMMAND} --synthetic made --arms real,real+synthetic --device cpu") == 0
    *lines, answer = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["real", "real+synthetic"]
    pattern = r"The best with synthetic defects, real\+synthetic, is [+-]\d+\.\d points of AP"
    assert re.match(pattern, answer)


def test_what_json_prints_is_what_the_file_holds(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(f"{COMMAND} --arms real --limit-good 2 --json") == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert found == json.loads((place / "out" / "report.json").read_text(encoding="utf-8"))
    assert found["counts"]["good"]["learnt"] == 2 and [*found["arms"]] == ["real"]
    assert "report.html" not in shown.err


def leak(place: Path) -> None:
    shutil.copy(place / "real/test/crack/004.png", place / "made/test/crack/000.png")


def tear(place: Path) -> None:
    for path in (place / "made/test").glob("*/*.png"):
        path.write_text("hello")


def lose(place: Path) -> None:
    (place / "batch/test/crack/bolt_1.png").unlink()


def rename(place: Path) -> None:
    shutil.rmtree(place / "made/test/print")
    (place / "made/test/crack").rename(place / "made/test/rust")
    (place / "made/ground_truth/crack").rename(place / "made/ground_truth/rust")


def as_it_is(place: Path) -> None:
    """Only the command is wrong."""


MADE = "--synthetic made"
WRONG: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no real folder": ("--real none", as_it_is, "none, which does not exist"),
    "an empty real folder": ("--real empty", as_it_is, "empty, without photographs"),
    "no made folder": ("--synthetic none", as_it_is, "none, which does not exist"),
    "an empty made folder": ("--synthetic empty", as_it_is, "empty, without photographs"),
    "test photographs": (MADE, leak, "000.png, the same as the test file real/test/crack/004.png"),
    "the real folder twice": ("--synthetic real", as_it_is, "the same as the test file"),
    "a file that is gone": ("--synthetic batch", lose, "bolt_1.png)"),
    "torn files": (MADE, tear, "which is not an image"),
    "no common type": (MADE, rename, "made, with only rust"),
    "an arm without data": ("--arms synthetic", as_it_is, "without --synthetic"),
    "no arm of this name": ("--arms real,fake", as_it_is, "--arms real,fake"),
    "no arm at all": ("--arms ,", as_it_is, "--arms ,"),
    "an odd size": ("--size 33", as_it_is, "--size 33"),
    "no steps": ("--steps 0", as_it_is, "--steps 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_is_refused_in_one_message(
    case: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options, spoil, got = WRONG[case]
    spoil(place)
    assert_refused(f"{COMMAND} {options}", got, capsys)
    assert not pages_in(place / "out")  # trainings that were done before are kept


@pytest.mark.parametrize("writes", range(3))
def test_a_full_disk(writes: int, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full_after(writes, monkeypatch)
    plan = UtilityOptions(real=place / "real", arms=("real",), **{**TINY, "steps": 1})
    with pytest.raises(OutputError, match="no space is left"):
        report(prepare_utility(plan), place / "out", CPU)
    assert len(pages_in(place / "out")) + len(trainings_in(place / "out")) == writes
    assert not (place / "out" / "report.json").exists()


def test_a_place_that_can_not_be_written_is_reported_before_a_training(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "file").write_text("hello")
    monkeypatch.setattr(UtilityData, "put", lambda *_: pytest.fail("trained in vain"))
    with pytest.raises(OutputError):
        report(prepare_utility(UtilityOptions(real=place / "real", **TINY)), place / "file", CPU)


def test_no_real_folder_is_an_error_of_data() -> None:
    with pytest.raises(DataError):
        prepare_utility(UtilityOptions(real=Path("nowhere"), **TINY))
