import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import CONFIG, part

from blemish.checkpoint import Bundle, load_codes, save_codes, save_tensors
from blemish.data.pairs import read_mask
from blemish.errors import BundleError, DataError, OutputError
from blemish.inversion.domain import cycle_distance
from blemish.inversion.encode import Encode
from blemish.inversion.indomain import InDomain
from blemish.inversion.invert import (
    MOST_EXTREME,
    Inversion,
    Unreadable,
    domain_percentiles,
    invert,
    invert_files,
    judge,
    read_photograph,
)
from blemish.inversion.methods import METHODS, InversionMethod
from blemish.inversion.model import Model
from blemish.inversion.optimize import Optimize
from blemish.inversion.project import Projection
from blemish.inversion.search import Search
from blemish.inversion.trajectory import Trajectory
from blemish.names import InversionName, Space
from blemish.pictures import fit_square, read_picture, to_picture, write_picture
from blemish.types import Codes

QUICK = Search(steps=3)
PROJECTION = Projection(space="w", search=QUICK, noise_weight=1)
STILL = Optimize(space="w", search=Search(steps=0))
GREY = np.full((64, 64, 3), 128, np.uint8)


def one(model: Model, how: InversionMethod = STILL, **options: Any) -> Inversion:
    (found,) = invert(model, [part()], how, **options)
    return found


@pytest.fixture(scope="module")
def inversion(model: Model) -> Inversion:
    return one(model, PROJECTION)


@pytest.fixture(scope="module")
def flawed(model: Model) -> Inversion:
    """With a defect whose mask is not empty."""
    found = one(model, Encode(), defect=True)
    assert found.mask is not None
    mask = torch.zeros_like(found.mask)
    mask[:, :, 5:9, 4:12] = 1
    return replace(found, mask=mask)


@pytest.fixture
def twenty(tmp_path: Path) -> list[Path]:
    """Photographs of several sizes; the eighth is none."""
    files = [tmp_path / "photographs" / f"{k:02d}.png" for k in range(20)]
    files[0].parent.mkdir()
    for k, file in enumerate(files):
        write_picture(file, part(32 + k, 40, seed=k))
    files[7].write_text("hello")
    return files


def test_files_are_written(inversion: Inversion, bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    facts = inversion.save(out, bundle)
    assert sorted(path.name for path in out.iterdir()) == [
        "codes.safetensors",
        "comparison.png",
        "inversion.json",
        "photograph.png",
        "reconstruction.png",
    ]
    assert json.loads((out / "inversion.json").read_text()) == facts
    assert facts["bundle"] == {"name": "bundle", "digest": bundle.digest}


def test_figures_are_those_of_the_search(inversion: Inversion, bundle: Bundle, tmp_path: Path):
    facts = inversion.save(tmp_path, bundle)
    assert facts["psnr_db"] == pytest.approx(inversion.psnr, abs=1e-3)
    assert facts["terms"] == pytest.approx(inversion.terms, abs=1e-6)
    assert {*inversion.terms} == {"pixels", "features", "noise"}
    assert (facts["method"], facts["space"], facts["steps"]) == ("project", "w", 3)
    percentile = inversion.domain_scores["percentile"]
    assert facts["standing"]["percentile"] == pytest.approx(percentile, 1e-3)
    assert facts["strangeness"] == pytest.approx(inversion.strangeness, abs=1e-6)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("defect", [False, True])
def test_every_method_gives_an_inversion(model: Model, name: InversionName, defect: bool) -> None:
    how = METHODS[name](**({} if name == "encode" else {"search": QUICK}))
    found = one(model, how, defect=defect)
    assert found.method == name
    assert found.steps == (0 if name == "encode" else 3)
    assert found.codes.w.shape == (1, CONFIG.layers, CONFIG.w_dim)
    assert (found.mask is None) == (found.codes.w_defect is None) == (not defect)
    with torch.no_grad():
        again = model.generator(found.codes, mask=found.mask).image
    torch.testing.assert_close(found.image, again)


def test_the_codes_draw_the_reconstruction(
    inversion: Inversion, model: Model, bundle: Bundle, tmp_path: Path
) -> None:
    inversion.save(tmp_path, bundle)
    codes = load_codes(tmp_path / "codes.safetensors")
    with torch.no_grad():
        again = to_picture(model.generator(codes).image[0])
    assert np.array_equal(again, read_picture(tmp_path / "reconstruction.png"))
    assert np.array_equal(fit_square(part(), 16), read_picture(tmp_path / "photograph.png"))


def test_the_comparison_shows_target_result_and_difference(
    inversion: Inversion, bundle: Bundle, tmp_path: Path
) -> None:
    inversion.save(tmp_path, bundle)
    sheet = read_picture(tmp_path / "comparison.png")
    assert sheet.shape == (16, 3 * 16 + 2 * 2, 3)
    assert np.array_equal(sheet[:, :16], fit_square(part(), 16))
    shown, drawn = sheet[:, :16].astype(int), sheet[:, 18:34].astype(int)
    expected = np.minimum(2 * np.abs(shown - drawn), 255)
    assert np.abs(sheet[:, 36:].astype(int) - expected).max() <= 3


def test_a_met_photograph_shows_no_difference(inversion: Inversion, bundle: Bundle, tmp_path: Path):
    met = replace(inversion, image=inversion.target)
    assert met.psnr == pytest.approx(126, abs=1)
    met.save(tmp_path, bundle)
    assert not read_picture(tmp_path / "comparison.png")[:, 36:].any()


@pytest.mark.parametrize("far, psnr", [(1.0, 6.0206), (0.1, 26.0206), (2.0, 0)])
def test_the_ratio_is_in_decibel_on_two(inversion: Inversion, far: float, psnr: float) -> None:
    shifted = replace(inversion, image=inversion.target + far)
    assert shifted.psnr == pytest.approx(psnr, abs=1e-3)


def test_a_defect_s_mask_is_a_picture_too(
    flawed: Inversion, inversion: Inversion, bundle: Bundle, tmp_path: Path
) -> None:
    flawed.save(tmp_path, bundle)
    mask = read_mask(tmp_path / "mask.png")
    assert mask[5:9, 4:12].all() and mask.sum() == 32
    inversion.save(tmp_path, bundle)
    assert not (tmp_path / "mask.png").exists(), "that of another inversion"


def test_a_folder_without_figures_is_not_done(
    inversion: Inversion, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inversion.save(tmp_path, bundle)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("blemish.inversion.invert.save_codes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        inversion.save(tmp_path, bundle)
    assert not (tmp_path / "inversion.json").exists()


@pytest.mark.parametrize("size", [(64, 64), (33, 200), (300, 47)])
def test_any_size_will_do(model: Model, size: tuple[int, int]) -> None:
    (found,) = invert(model, [part(*size)], STILL)
    assert found.target.shape == found.image.shape == (1, 3, 16, 16)


def test_the_same_seed_gives_the_same_files(model: Model, bundle: Bundle, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        one(model, PROJECTION, seed=seed).save(tmp_path / name, bundle)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
    codes = [(tmp_path / name / "codes.safetensors").read_bytes() for name in "ac"]
    assert codes[0] != codes[1]


def test_a_file_in_the_way(inversion: Inversion, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("hello")
    with pytest.raises(OutputError, match="something else is in its place"):
        inversion.save(tmp_path / "out", bundle)


def test_where_nothing_speaks_against_it_all_is_well(model: Model) -> None:
    assert model.domain is not None
    found = one(model)
    assert (found.outcome, found.reason) == ("ok", "")
    assert found.domain_scores["percentile"] < MOST_EXTREME
    assert found.strangeness is not None and found.strangeness < 1


@pytest.mark.parametrize("how", [STILL, Optimize(search=Search(seconds=1e-9))])
def test_a_strange_photograph_is_out_of_the_domain(model: Model, how: InversionMethod) -> None:
    """Whatever became of the search."""
    (found,) = invert(model, [GREY], how)
    assert found.outcome == "out of domain"
    assert "shows something else than the part" in found.reason
    assert found.strangeness is not None and found.strangeness > 1


def test_extreme_codes_are_out_of_the_domain(model: Model) -> None:
    target = one(model).target
    found = STILL.find(model, target, rngs=[torch.Generator()])
    far = replace(found, codes=replace(found.codes, w=found.codes.w * 20))
    (judged,) = judge(model, target, far, "optimize")
    assert judged.outcome == "out of domain"
    assert "more extreme than 99 in 100" in judged.reason
    assert judged.domain_scores["percentile"] > MOST_EXTREME


@pytest.mark.parametrize("name", ["in-domain", "optimize", "project"])
def test_a_search_that_ran_out_of_time_did_not_converge(model: Model, name: InversionName) -> None:
    found = one(model, METHODS[name](search=Search(seconds=1e-9)))
    assert found.outcome == "did not converge"
    assert "reached its time limit" in found.reason
    assert found.codes.w.isfinite().all()


def test_outcomes_are_each_item_s_own(model: Model) -> None:
    pictures = [part(seed=0), GREY, part(seed=1)]
    found = [item.outcome for item in invert(model, pictures, STILL)]
    assert found == ["ok", "out of domain", "ok"]


def test_a_bundle_that_knows_little_says_little(model: Model, bundle: Bundle, tmp_path: Path):
    found = one(replace(model, encoder=None, domain=None, recognizer=None))
    assert (found.outcome, found.domain_scores, found.strangeness) == ("ok", {}, None)
    facts = found.save(tmp_path, bundle)
    assert facts["standing"] == {} and facts["strangeness"] is None


def test_the_standing_is_that_of_the_codes(model: Model) -> None:
    assert model.encoder is not None and model.domain is not None
    w = model.generator.codes(torch.randn(2, CONFIG.z_dim)).w
    found = domain_percentiles(model, Codes(w=w))
    assert found is not None and found.cycle is not None
    again = model.encoder(model.generator(Codes(w=w)).image).w
    torch.testing.assert_close(found.cycle, cycle_distance(w, again, model.domain.deviation))
    without = domain_percentiles(replace(model, encoder=None), Codes(w=w))
    assert without is not None and without.cycle is None
    assert domain_percentiles(replace(model, domain=None), Codes(w=w)) is None


@pytest.mark.parametrize("how", [Encode(), InDomain(search=QUICK)])
def test_what_needs_an_encoder_says_so(model: Model, how: InversionMethod) -> None:
    with pytest.raises(BundleError, match="a bundle without an encoder"):
        one(replace(model, encoder=None), how)


def test_twenty_files_with_one_unreadable(model: Model, twenty: list[Path]) -> None:
    found = [*invert_files(partial(invert, model, method=STILL), twenty)]
    assert [file for file, _ in found] == twenty
    results = [result for _, result in found]
    assert [k for k, result in enumerate(results) if isinstance(result, Unreadable)] == [7]
    assert results[7].outcome == "unreadable"
    facts = results[7].facts()
    assert facts["outcome"] == "unreadable" and "07.png, which is not an image" in facts["reason"]
    for file, result in found[:7] + found[8:]:
        assert isinstance(result, Inversion)
        assert np.array_equal(to_picture(result.target[0]), fit_square(read_picture(file), 16))


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("how", [PROJECTION, InDomain(search=QUICK), Encode()])
def test_the_batch_changes_nothing_but_rounding(
    model: Model, twenty: list[Path], how: InversionMethod, batch: int
) -> None:
    files = twenty[5:10]
    together, parted = (
        [
            result
            for _, result in invert_files(partial(invert, model, method=how), files, batch=size)
        ]
        for size in (20, batch)
    )
    for one_way, other in zip(together, parted, strict=True):
        if isinstance(one_way, Unreadable):
            assert isinstance(other, Unreadable)
            continue
        assert isinstance(other, Inversion)
        assert one_way.outcome == other.outcome
        torch.testing.assert_close(one_way.codes.w, other.codes.w, atol=1e-2, rtol=1e-2)
        assert one_way.psnr == pytest.approx(other.psnr, abs=0.05)


def test_a_batch_of_nothing_but_unreadable_ones(model: Model, tmp_path: Path) -> None:
    files = [tmp_path / f"{k}.png" for k in range(3)]
    found = [
        result for _, result in invert_files(partial(invert, model, method=STILL), files, batch=2)
    ]
    assert all(isinstance(result, Unreadable) for result in found) and len(found) == 3


def test_results_come_as_their_batch_is_done(model: Model, twenty: list[Path]) -> None:
    sizes: list[int] = []

    def counted(pictures: Sequence[np.ndarray], **options: Any) -> Any:
        sizes.append(len(pictures))
        return invert(model, pictures, STILL, **options)

    made = invert_files(counted, twenty, batch=4)
    next(made)
    assert sizes == [4]
    assert len([*made]) == 19
    assert sizes == [4, 3, 4, 4, 4]


def test_each_batch_has_its_watcher(model: Model, twenty: list[Path]) -> None:
    ways = [Trajectory() for _ in range(3)]
    how = Optimize(search=QUICK)
    found = [*invert_files(partial(invert, model, method=how), twenty[:7], batch=3, watches=ways)]
    assert len(found) == 7
    for way, n in zip(ways, (3, 3, 1), strict=True):
        assert way.times[-1] == 1 and all(a < b for a, b in pairwise(way.times))
        assert way.curves()["pixels"].shape == (4, n)


@pytest.mark.parametrize("noise", [None, {"b8.conv0": torch.ones(2, 1, 8, 8)}])
@pytest.mark.parametrize("w_defect", [None, torch.full((2, 5, 16), 2.0)])
@pytest.mark.parametrize("space", ["z", "w", "w+"])
def test_codes_come_back_as_they_were(
    noise: dict[str, torch.Tensor] | None,
    w_defect: torch.Tensor | None,
    space: Space,
    tmp_path: Path,
) -> None:
    w = torch.randn(2, 1, 16).expand(-1, 6, -1)
    save_codes(tmp_path / "x.safetensors", Codes(w=w, w_defect=w_defect, noise=noise, space=space))
    found = load_codes(tmp_path / "x.safetensors")
    assert found.space == space
    expected = {"w": w, "w_defect": w_defect, "noise": noise}
    got = {"w": found.w, "w_defect": found.w_defect, "noise": found.noise}
    torch.testing.assert_close(got, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    "tensors, metadata",
    [
        ({"v": torch.ones(1)}, {"space": "w"}),
        ({"w": torch.ones(1, 2, 3)}, {}),
        ({}, {"space": "w"}),
    ],
)
def test_other_tensors_are_no_codes(tensors: dict, metadata: dict, tmp_path: Path) -> None:
    save_tensors(tmp_path / "x.safetensors", tensors, metadata=metadata)
    with pytest.raises(BundleError, match="has no codes"):
        load_codes(tmp_path / "x.safetensors")


@pytest.mark.parametrize("size", [(1, 1), (31, 500), (500, 31)])
def test_small_pictures_are_no_photographs(size: tuple[int, int], tmp_path: Path) -> None:
    write_picture(tmp_path / "small.png", np.zeros((*size, 3), np.uint8))
    with pytest.raises(DataError, match=rf"small\.png, an image of {size[1]} × {size[0]} pixels"):
        read_photograph(tmp_path / "small.png")


def test_large_ones_are(tmp_path: Path) -> None:
    write_picture(tmp_path / "part.png", part(32, 40))
    assert np.array_equal(read_photograph(tmp_path / "part.png"), part(32, 40))
