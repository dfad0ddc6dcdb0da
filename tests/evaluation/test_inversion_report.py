"""The whole report on a tiny bundle: every method and space, missing groups, bad input."""

import json
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any, get_args

import pytest
from tiny import CONFIG, TYPES, write_defects

from blemish.checkpoint import Bundle
from blemish.cli import evaluation
from blemish.data.folder import DefectFolder
from blemish.errors import DataError, OptionError, UserError
from blemish.evaluation.inversion.answers import QUESTIONS
from blemish.evaluation.inversion.plot import draw_fidelity
from blemish.evaluation.inversion.subjects import (
    foreign_objects,
    held_out_defects,
    held_out_good,
)
from blemish.evaluation.inversion.survey import SurveyOptions, prepare_survey
from blemish.inversion.methods import METHODS, InversionMethod
from blemish.inversion.model import Model, load_model
from blemish.inversion.search import Search
from blemish.names import InversionName, Space

QUICK = Search(steps=1, learning_rate=0.05)
METHOD_SPACES: list[tuple[InversionName, Space]] = [
    (m, s) for m in METHODS for s in get_args(Space) if (m, s) != ("encode", "z")
]
GROUPS = {"good": 2, "defective": 2, "own": 2, "own defective": 2, "foreign": 2}


@pytest.fixture(autouse=True)
def without_classifiers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Weights that a machine may have must change nothing."""
    monkeypatch.setenv("BLEMISH_WEIGHTS", str(tmp_path / "nowhere"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, parts: Path) -> Path:
    root = tmp_path_factory.mktemp("nuts")
    shutil.copytree(parts / "train", root / "train")
    shutil.copytree(parts / "test" / "good", root / "test" / "good")
    return write_defects(root)


def methods(chosen: list[tuple[InversionName, Space]]) -> list[InversionMethod]:
    return [
        METHODS[m](space=s) if m == "encode" else METHODS[m](space=s, search=QUICK)
        for m, s in chosen
    ]


def put(
    bundle: Bundle,
    model: Model,
    plan: SurveyOptions,
    out: Path,
    chosen: list[tuple[InversionName, Space]],
) -> dict[str, Any]:
    return prepare_survey(bundle, model, plan).put(methods(chosen), out)


@pytest.fixture(scope="module")
def whole(
    able: Bundle, able_model: Model, data: Path, others: Path, tmp_path_factory
) -> tuple[dict[str, Any], Path]:
    out = tmp_path_factory.mktemp("whole") / "report"
    plan = SurveyOptions(images=data, foreign=others, samples=4, limit=2)
    return put(able, able_model, plan, out, METHOD_SPACES), out


def test_every_method_and_space_has_its_row(whole: tuple[dict[str, Any], Path]) -> None:
    report, _ = whole
    assert [(row["method"], row["space"]) for row in report["rows"]] == METHOD_SPACES
    assert report["counts"] == GROUPS
    for row in report["rows"]:
        assert {name: found["n"] for name, found in row["groups"].items()} == GROUPS
        assert all(row[part] is not None for part in ("editing", "refusal", "recovery"))
        assert row["recovery"]["n"] == 4


def test_the_measures_are_all_there(whole: tuple[dict[str, Any], Path]) -> None:
    for row in whole[0]["rows"]:
        for group, found in row["groups"].items():
            assert all(value is not None for value in found["in_domain"].values())
            wanted = {"mse", "psnr_db", "ms_ssim", "perceptual_critic", "kernel_distance"}
            wanted |= {"sliced_wasserstein"}
            wanted |= {"mask_iou", "boundary_f"} if "defective" in group else set()
            wanted |= {"type_agreement"} if group != "foreign" else set()
            assert wanted <= {k for k, v in found["meaning"].items() if v is not None}
            assert sum(found["outcomes"].values()) == len(found["items"]) == GROUPS[group]


def test_the_strangeness_of_a_photograph_does_not_depend_on_the_method(
    whole: tuple[dict[str, Any], Path],
) -> None:
    areas = {row["refusal"]["auroc_strangeness"] for row in whole[0]["rows"]}
    assert len(areas) == 1


def test_the_file_holds_what_is_returned(whole: tuple[dict[str, Any], Path]) -> None:
    report, out = whole
    assert json.loads((out / "report.json").read_text(encoding="utf-8")) == report
    assert report["classifier"]["learnt_from"] == {"good": 6, "crack": 1, "paint": 1}
    assert report["networks"] == {"perceptual": ["critic"], "sets": "critic"}
    assert any("SqueezeNet was left out" in note for note in report["notes"])


def test_the_page_needs_no_other_file(whole: tuple[dict[str, Any], Path]) -> None:
    text = (whole[1] / "report.html").read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"<(script|link|iframe)|url\(", text)
    sources = re.findall(r'src="([^,]+),', text)
    assert {*sources} == {"data:image/png;base64"}
    pictures = 1 + len(get_args(Space)) * len(GROUPS)
    assert len(sources) == pictures, "the plot, and each group in each space"


def test_the_page_answers_every_question(whole: tuple[dict[str, Any], Path]) -> None:
    report, out = whole
    text = unescape((out / "report.html").read_text(encoding="utf-8"))
    for name, question in QUESTIONS.items():
        assert question in text
        assert report["answers"][name] in text


def test_nothing_is_left_half_written(whole: tuple[dict[str, Any], Path]) -> None:
    names = {path.name for path in whole[1].iterdir()}
    assert not [name for name in names if name.startswith(".")]
    assert {"report.json", "report.html", "fidelity.png", "own-defective-w-plus.png"} <= names


def figures(report: dict[str, Any]) -> dict[str, Any]:
    """All but what the clock says."""
    rows = [{k: v for k, v in r.items() if k != "seconds_per_picture"} for r in report["rows"]]
    return {**report, "rows": rows, "date": None, "options": None}


def test_the_same_seed_gives_the_same_figures(
    able: Bundle, able_model: Model, data: Path, others: Path, tmp_path: Path
) -> None:
    chosen: list[tuple[InversionName, Space]] = [("optimize", "w"), ("encode", "w+")]
    plan = SurveyOptions(images=data, foreign=others, samples=2, limit=2)
    one, two = (put(able, able_model, plan, tmp_path / name, chosen) for name in "ab")
    assert figures(one) == figures(two)


def test_the_size_of_the_batch_changes_nothing(
    able: Bundle, able_model: Model, data: Path, tmp_path: Path
) -> None:
    found = []
    for batch in (1, 8):
        plan = SurveyOptions(images=data, samples=2, limit=2, batch=batch)
        report = put(able, able_model, plan, tmp_path / str(batch), [("optimize", "w")])
        groups = report["rows"][0]["groups"].values()
        found.append([item["psnr_db"] for group in groups for item in group["items"]])
    assert found[0] == pytest.approx(found[1], abs=0.01)


def test_progress_never_goes_back_and_reaches_the_end(
    able: Bundle, able_model: Model, data: Path, tmp_path: Path
) -> None:
    survey = prepare_survey(able, able_model, SurveyOptions(images=data, samples=2, limit=1))
    heard: list[float] = []
    chosen = methods([("encode", "w"), ("project", "w")])
    survey.put(chosen, tmp_path / "out", heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 2 * survey.total


@pytest.mark.parametrize(
    "missing, group, note",
    [
        ("test/good", "good", "no test/good"),
        ("test/crack test/paint", "defective", "no defects beyond the first third"),
        ("foreign", "foreign", "--foreign was not given"),
    ],
)
def test_a_missing_group_is_skipped_and_reported(
    missing: str,
    group: str,
    note: str,
    able: Bundle,
    able_model: Model,
    data: Path,
    others: Path,
    tmp_path: Path,
) -> None:
    root = tmp_path / "data"
    shutil.copytree(data, root)
    for place in missing.split():
        shutil.rmtree(root / place, ignore_errors=True)
    foreign = None if missing == "foreign" else others
    plan = SurveyOptions(images=root, foreign=foreign, samples=2)
    report = put(able, able_model, plan, tmp_path / "out", [("encode", "w")])
    assert {*GROUPS} - {*report["counts"]} == {group}
    assert any(note in reported for reported in report["notes"])
    assert (report["rows"][0]["editing"] is None) == (group == "good")
    assert (report["rows"][0]["refusal"] is None) == (group in ("good", "foreign"))
    assert (tmp_path / "out" / "report.html").exists()


def test_no_samples_of_the_generators_own(
    able: Bundle, able_model: Model, data: Path, tmp_path: Path
) -> None:
    plan = SurveyOptions(images=data, samples=0)
    report = put(able, able_model, plan, tmp_path, [("encode", "w+")])
    assert {*report["counts"]} == {"good", "defective"}
    assert report["rows"][0]["recovery"] is None
    assert {*report["rows"][0]["editing"]} == {"pairs", "midpoint_realism", "midpoint_percentile"}


def test_a_bundle_without_an_encoder_and_a_domain(
    bundle: Bundle, data: Path, others: Path, tmp_path: Path
) -> None:
    plan = SurveyOptions(images=data, foreign=others, samples=2, limit=2)
    report = put(bundle, load_model(bundle), plan, tmp_path, [("project", "w")])
    assert "own defective" not in report["counts"]
    assert any("Defects were not searched for" in note for note in report["notes"])
    assert report["rows"][0]["refusal"]["auroc_strangeness"] is None
    assert report["rows"][0]["refusal"]["auroc_psnr"] is not None
    assert not (tmp_path / "fidelity.png").exists()
    assert not draw_fidelity(report["rows"], tmp_path / "fidelity.png")


def test_of_defects_the_first_third_of_each_type_is_left_out(able_model: Model, data: Path) -> None:
    found = held_out_defects(DefectFolder(data), able_model.generator)
    assert found is not None and found.mask is not None
    assert found.names == tuple(f"test/{kind}/{k}.png" for kind in TYPES for k in (1, 2))
    assert found.kinds == ("crack", "crack", "paint", "paint")
    assert (found.mask.sum(dim=(1, 2, 3)) > 0).all()


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 9])
def test_a_limit_is_spread_over_the_types(limit: int, able_model: Model, data: Path) -> None:
    found = held_out_defects(DefectFolder(data), able_model.generator, limit)
    assert found is not None and found.kinds is not None
    assert len(found) == min(limit, 4) == len({*found.names})
    assert len({*found.kinds}) == min(limit, 2)


def test_good_parts_are_those_kept_for_testing(able_model: Model, data: Path) -> None:
    found = held_out_good(DefectFolder(data), able_model.generator)
    assert found is not None
    assert found.names == ("test/good/000.png", "test/good/001.png")
    assert found.image.shape == (2, 3, CONFIG.resolution, CONFIG.resolution)


def test_other_objects_come_from_a_plain_folder_or_from_a_layout(
    able_model: Model, data: Path, others: Path
) -> None:
    assert foreign_objects(others, able_model.generator).names == ("0.png", "1.png", "2.png")
    from_layout = foreign_objects(data, able_model.generator, 4)
    assert len(from_layout) == 4
    assert all("/good/" in name for name in from_layout.names)


@pytest.mark.parametrize("wrong", [{"samples": -1}, {"limit": 0}, {"batch": 0}, {"seed": -1}])
def test_numbers_that_make_no_sense(wrong: dict[str, Any], data: Path) -> None:
    with pytest.raises(OptionError):
        SurveyOptions(images=data, **wrong)


def test_nobody_to_try(able: Bundle, able_model: Model, parts: Path, tmp_path: Path) -> None:
    shutil.copytree(parts / "train", tmp_path / "train")
    with pytest.raises(DataError, match="without photographs to test on"):
        prepare_survey(able, able_model, SurveyOptions(images=tmp_path, samples=0))


def call(able: Bundle, data: Path, out: Path, **options: Any) -> None:
    given = {"bundle": str(able.path), "images": data, "out": out, "device": "cpu", "steps": 1}
    given |= {"samples": 2, "limit": 2, "methods": "encode", "spaces": "w"}
    evaluation.inversion(**{**given, **options})


def test_the_verb_prints_the_answers_or_the_figures(
    able: Bundle, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(able, data, tmp_path / "a")
    report = json.loads((tmp_path / "a" / "report.json").read_text(encoding="utf-8"))
    assert capsys.readouterr().out.splitlines() == list(report["answers"].values())
    call(able, data, tmp_path / "b", json=True)
    assert figures(json.loads(capsys.readouterr().out)) == figures(report)


def test_methods_that_the_bundle_can_not_do_are_left_out(
    bundle: Bundle, able: Bundle, data: Path, tmp_path: Path
) -> None:
    call(bundle, data, tmp_path, methods=None, spaces="w", limit=1)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [row["method"] for row in report["rows"]] == ["optimize", "project"]


@pytest.mark.parametrize(
    "wrong, got",
    [
        ({"methods": "encode,guess"}, "--methods encode,guess"),
        ({"methods": ","}, "--methods ,"),
        ({"spaces": "w,x"}, "--spaces w,x"),
        ({"spaces": "z"}, "--methods encode with --spaces z"),
        ({"methods": "project", "steps": -1}, "-1 steps"),
        ({"images": Path("nowhere")}, "nowhere"),
        ({"foreign": Path("nowhere")}, "nowhere"),
        ({"bundle": "nowhere"}, "nowhere"),
        ({"limit": 0}, "--limit 0"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    wrong: dict[str, Any], got: str, able: Bundle, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        call(able, data, tmp_path / "out", **wrong)
    assert got in caught.value.got
    assert not (tmp_path / "out").exists()


def test_a_method_that_needs_an_encoder(bundle: Bundle, data: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="without an encoder"):
        call(bundle, data, tmp_path / "out", methods="in-domain")
    assert not (tmp_path / "out").exists()
