"""Synthetic items compared with real ones, from two folders to the page and its JSON."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from made import NAMES, edit, write_made
from same import files_in
from tiny import TYPES, write_defects
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.errors import BundleError, OptionError
from blemish.evaluation.eyes import FeatureExtractor
from blemish.evaluation.synthesis.baselines import BASELINES
from blemish.evaluation.synthesis.beside import HALVES, SYNTHETIC
from blemish.evaluation.synthesis.evaluate import NEIGHBOURS
from blemish.evaluation.synthesis.items import read_real_defects, read_synthetic
from blemish.evaluation.synthesis.report import (
    ComparisonInputs,
    ComparisonOptions,
    prepare_comparison,
)
from blemish.features import FeatureNetwork
from blemish.pictures import read_picture

REAL = 9
LINES = {name: len(NAMES) - 1 - k for k, name in enumerate(NAMES)}  # of the manifest


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Weights that a machine may have must change nothing, and nobody waits for its disk."""
    monkeypatch.setenv("BLEMISH_WEIGHTS", str(tmp_path / "nowhere"))
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    monkeypatch.setattr("os.fsync", lambda _: None)  # test_files.py sees to that


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_defects(tmp_path_factory.mktemp("real"), n=REAL)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_made(tmp_path_factory.mktemp("untouched") / "made")


@pytest.fixture
def synthetic(untouched: Path, tmp_path: Path) -> Path:
    return shutil.copytree(untouched, tmp_path / "made")


@pytest.fixture(scope="module")
def whole(
    untouched: Path, real: Path, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    out = tmp_path_factory.mktemp("whole") / "report"
    return plan(real, untouched, bundle).run(out), out


def plan(
    real: Path, synthetic: Path, bundle: Bundle, *, everything: bool = False
) -> ComparisonInputs:
    looks: dict[str, Any] = {"features": "critic", "bundle": str(bundle.path)}
    return prepare_comparison(
        ComparisonOptions(real=real, synthetic=synthetic, everything=everything, **looks)
    )


def test_counts_of_what_was_compared(whole: tuple[dict[str, Any], Path]) -> None:
    types = whole[0]["types"]
    assert [*types] == [*TYPES]
    counts = {kind: (f["made"], f["real_learnt"], f["real_compared"]) for kind, f in types.items()}
    assert counts == {"crack": (3, 3, 6), "paint": (2, 3, 6)}
    assert whole[0]["outcomes"] == {"crack": {"kept": 3}, "paint": {"kept": 2, "refused": 1}}
    assert whole[0]["refusal_rate"] == {"crack": 0, "paint": 0.333333}
    assert whole[0]["reasons"] == {"nothing changed": 1}


def test_every_figure_is_there(whole: tuple[dict[str, Any], Path]) -> None:
    for found in whole[0]["types"].values():
        assert [*found["distances"]] == ["whole", "around", "inside"]
        for of in found["distances"].values():
            assert of["made"]["rows"] == min(3, found["made"]) and of["learnt"]["rows"] == 3
            assert all(isinstance(value, float | int) for who in of for value in of[who].values())
            assert of["made"]["frechet_rows"] == of["learnt"]["frechet_rows"]
        assert [*found["unknown"]] == ["diversity under one mask", "realism of close-ups"]
        assert 0 <= found["masks"]["off_part"] < 1 and found["masks"]["filled"] > 0.9
        assert found["close_ups"] is None
        assert found["diversity"]["made"] > 0 and found["diversity"]["real"] > 0
        assert found["diversity"]["under_one_mask"] is None
        assert found["drift"]["items"] == found["made"]
        assert found["drift"]["iou_changed_least"] == 1
        assert found["drift"]["pixels_changed_outside_label"] == 0
        assert found["drift"]["pixels_changed_beyond_reach"] is None


def test_progress_never_goes_back_and_reaches_the_end(
    synthetic: Path, real: Path, bundle: Bundle, tmp_path: Path
) -> None:
    heard: list[int] = []
    comparison = plan(real, synthetic, bundle)
    comparison.run(tmp_path / "out", heard.append)
    assert heard == [*range(1, comparison.total + 1)]
    assert comparison.total == 5 + 2 * REAL


def strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_the_file_holds_what_is_returned(whole: tuple[dict[str, Any], Path]) -> None:
    report, out = whole
    assert strict((out / "report.json").read_text(encoding="utf-8")) == report
    assert (report["network"], report["side"], report["notes"]) == ("critic", 128, [])


@pytest.mark.parametrize("level", [0.0, 1e-30, 1e30])
def test_whatever_the_network_says_the_figures_are_json(
    level: float, synthetic: Path, real: Path, tmp_path: Path
) -> None:
    def flat(image: Tensor) -> list[Tensor]:
        return [torch.full((len(image), 4, 1, 1), level)]

    odd, found = (
        FeatureExtractor(name="odd", look=flat, compare=lambda a, b: a[0] - b[0]),
        read_synthetic(synthetic),
    )
    known = read_real_defects(real, tuple(found.items))
    comparison = ComparisonInputs(
        plan=ComparisonOptions(real=real, synthetic=synthetic),
        eyes=odd,
        synthetic=found,
        real=known,
    )
    report = comparison.run(tmp_path / "out")
    assert strict((tmp_path / "out" / "report.json").read_text(encoding="utf-8")) == report
    assert not re.search(r"\bnan\b", (tmp_path / "out" / "report.html").read_text("utf-8"))


def test_the_page_needs_no_other_file(whole: tuple[dict[str, Any], Path]) -> None:
    text = (whole[1] / "report.html").read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"<(script|link|iframe)|url\(", text)
    assert re.findall(r'src="([^,]+),', text) == ["data:image/png;base64"] * len(TYPES)


def test_the_page_names_every_type_and_reason(whole: tuple[dict[str, Any], Path]) -> None:
    text = unescape((whole[1] / "report.html").read_text(encoding="utf-8"))
    for kind in TYPES:
        assert f"<h2>{kind}</h2>" in text and f"<td>{kind}</td>" in text
    for words in ("nothing changed", "refused", "critic", "IoU of label", "fraction of copies"):
        assert words in text


@pytest.mark.parametrize("n, rows", [(1, 1), (4, 3)])
def test_the_sheet_shows_a_row_for_each_of_some(
    n: int,
    rows: int,
    real: Path,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("blemish.evaluation.synthesis.page.SHOWN", 3)
    plan(real, write_defects(tmp_path / "made", n=n), bundle).run(tmp_path / "out")
    sheet = read_picture(tmp_path / "out" / "crack.png")
    assert sheet.shape == (rows * 130 - 2, (5 + NEIGHBOURS) * 130 - 2, 3)


def test_names_of_types_are_words_on_the_page(real: Path, bundle: Bundle, tmp_path: Path) -> None:
    odd, roots = "<b>Riß & 'x'", (tmp_path / "real", tmp_path / "made")
    for root in roots:
        shutil.copytree(real, root)
        for folder in ("test", "ground_truth"):
            (root / folder / "crack").rename(root / folder / odd)
    plan(*roots, bundle).run(tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<b>" not in text and odd in unescape(text)


def test_the_page_names_neighbours_and_files(whole: tuple[dict[str, Any], Path]) -> None:
    text = unescape((whole[1] / "report.html").read_text(encoding="utf-8"))
    for found in whole[0]["types"].values():
        for item in found["items"]:
            near = "".join(
                f'<td>{one["name"]}</td><td class="number">{one["distance"]:.3g}</td>'
                for one in item["nearest"]
            )
            assert f"<tr><td>{item['name']}</td>{near}</tr>" in text
        for use, files in found["files"].items():
            assert f"{use.capitalize()}: {', '.join(files)}." in text


def test_the_report_says_who_looked(whole: tuple[dict[str, Any], Path], bundle: Bundle) -> None:
    report = whole[0]
    assert report["bundle"] == {"name": bundle.path.name, "digest": bundle.digest}
    assert (report["options"]["features"], report["options"]["device"]) == ("critic", "cpu")
    assert "deepest feature map" in report["pooling"]


def test_nothing_is_left_half_written(whole: tuple[dict[str, Any], Path]) -> None:
    assert {*files_in(whole[1])} == {
        *("crack.png", "paint.png", "report.html", "report.json", "sorting.html")
    }


def test_the_folders_are_left_as_they_were(
    synthetic: Path, real: Path, bundle: Bundle, tmp_path: Path
) -> None:
    before = files_in(synthetic), files_in(real)
    plan(real, synthetic, bundle).run(tmp_path / "out")
    assert (files_in(synthetic), files_in(real)) == before


def test_the_same_folders_give_the_same_files(
    whole: tuple[dict[str, Any], Path], untouched: Path, real: Path, bundle: Bundle, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    again = plan(real, untouched, bundle).run(tmp_path)
    assert {**again, "date": None} == {**whole[0], "date": None}
    for kind in TYPES:
        sheet = f"{kind}.png"
        assert (tmp_path / sheet).read_bytes() == (whole[1] / sheet).read_bytes()


def lone_type(synthetic: Path) -> None:
    edit(synthetic, LINES["bolt_1"], type="rust")
    edit(synthetic, LINES["bolt_2"], type="dent")


NOTES: dict[str, tuple[Callable[[Path], object], bool, str]] = {
    "a type of which there is no real one": (lone_type, False, "no real defects of dent, rust"),
    "no manifest": (
        lambda synthetic: (synthetic / "manifest.jsonl").unlink(),
        False,
        "No manifest",
    ),
    "all were learnt from": (lambda root: None, True, "distances are too small"),
}


@pytest.mark.parametrize("case", NOTES)
def test_what_a_reader_must_know_is_reported(
    case: str, synthetic: Path, real: Path, bundle: Bundle, tmp_path: Path
) -> None:
    prepared, everything, words = NOTES[case]
    prepared(synthetic)
    report = plan(real, synthetic, bundle, everything=everything).run(tmp_path / "out")
    (note,) = report["notes"]
    assert words in note
    assert note in unescape((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert [*report["types"]] == [*TYPES]
    assert (report["types"]["crack"]["drift"] is None) == (case == "no manifest")


def one_of_each(root: Path) -> Path:
    for name in NAMES:
        if name not in ("bolt_1", "nut 3"):
            edit(root, LINES[name], outcome="refused", reasons=["odd"])
    return root


def test_of_one_item_much_is_unknown_and_the_rest_is_reported(
    synthetic: Path, bundle: Bundle, tmp_path: Path
) -> None:
    real = write_defects(tmp_path / "real", n=1)
    report = plan(real, one_of_each(synthetic), bundle).run(tmp_path / "out")
    for found in report["types"].values():
        assert (found["made"], found["real_learnt"], found["real_compared"]) == (1, 1, 0)
        assert all(of == {"made": None, "learnt": None} for of in found["distances"].values())
        assert {*found["diversity"].values()} == {None} and found["memorised"] is None
        assert found["drift"]["iou_changed_median"] == 1
        assert {*found["unknown"]} >= {"fraction of copies", "distance of synthetic ones"}


@pytest.mark.parametrize(
    "options, error, got",
    [
        ({"features": "critic"}, OptionError, "--features critic without --bundle"),
        ({"features": "squeezenet"}, BundleError, "no weights for squeezenet"),
        ({"features": "vgg16"}, BundleError, "no weights for vgg16"),
        ({"features": "critic", "bundle": "nowhere"}, BundleError, "nowhere"),
    ],
)
def test_nothing_to_look_with(
    options: dict[str, Any], error: type[Exception], got: str, untouched: Path, real: Path
) -> None:
    with pytest.raises(error, match=got):
        prepare_comparison(ComparisonOptions(real=real, synthetic=untouched, **options))


def test_without_squeezenet_a_network_looks_that_is_always_there(
    untouched: Path, real: Path
) -> None:
    comparison = prepare_comparison(ComparisonOptions(real=real, synthetic=untouched))
    assert comparison.eyes.name == "efficientnet-lite0"


def test_squeezenet_looks_at_close_ups_whoever_looks_at_the_rest(
    untouched: Path, real: Path, bundle: Bundle, tmp_path: Path
) -> None:
    comparison = replace(plan(real, untouched, bundle), judge=FeatureNetwork("squeezenet"))
    report = comparison.run(tmp_path / "out")
    for found in report["types"].values():
        assert [*found["close_ups"]] == [SYNTHETIC, *BASELINES, HALVES]
        assert "realism of close-ups" not in found["unknown"]
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert all(f"<td>{name}</td>" in text for name in BASELINES)


def test_the_critic_takes_pictures_of_any_size(untouched: Path, real: Path, bundle: Bundle) -> None:
    eyes = plan(real, untouched, bundle).eyes
    squares = torch.tensor([-1, 0.25, 1])[:, None, None, None].expand(-1, 3, 128, 128)
    large, small = (eyes.pooled(F.interpolate(squares, size)) for size in (128, 16))
    torch.testing.assert_close(large, small)
    width = large.shape[1]
    torch.testing.assert_close(large.square().sum(dim=1), torch.full((3,), float(width)))
