import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import part

from blemish.checkpoint import Bundle, load_codes, save_codes, save_tensors
from blemish.errors import BundleError, DataError, OutputError
from blemish.generator.critic import Critic
from blemish.generator.network import Generator
from blemish.inversion.invert import Inversion, invert, read_photograph
from blemish.inversion.project import Projection
from blemish.inversion.search import Search
from blemish.pictures import fit, read_picture, to_picture, write_picture
from blemish.types import Codes, Space

QUICK = Search(steps=3)


@pytest.fixture(scope="module")
def inversion(generator: Generator, critic: Critic) -> Inversion:
    how = Projection(space="w", search=QUICK, noise_weight=1)
    return invert(generator, critic, part(), how)


def test_files_are_written(inversion: Inversion, bundle: Bundle, tmp_path: Path) -> None:
    facts = inversion.save(tmp_path / "deep" / "out", bundle)
    names = ["codes.safetensors", "comparison.png", "inversion.json", "reconstruction.png"]
    out = tmp_path / "deep" / "out"
    assert sorted(path.name for path in out.iterdir()) == names
    assert json.loads((out / "inversion.json").read_text()) == facts
    assert facts["space"] == "w"
    assert facts["bundle"] == {"name": "bundle", "digest": bundle.digest}


def test_figures_are_those_of_the_search(inversion: Inversion, bundle: Bundle, tmp_path: Path):
    facts = inversion.save(tmp_path, bundle)
    assert facts["psnr_db"] == pytest.approx(inversion.psnr, abs=1e-3)
    assert facts["terms"] == pytest.approx(inversion.terms, abs=1e-6)
    assert {*inversion.terms} == {"pixels", "features", "noise"}


def test_the_codes_draw_the_reconstruction(
    inversion: Inversion, generator: Generator, bundle: Bundle, tmp_path: Path
) -> None:
    inversion.save(tmp_path, bundle)
    codes = load_codes(tmp_path / "codes.safetensors")
    with torch.no_grad():
        again = to_picture(generator(codes).image[0])
    assert np.array_equal(again, read_picture(tmp_path / "reconstruction.png"))


def test_the_comparison_shows_target_result_and_difference(
    inversion: Inversion, bundle: Bundle, tmp_path: Path
) -> None:
    inversion.save(tmp_path, bundle)
    sheet = read_picture(tmp_path / "comparison.png")
    assert sheet.shape == (16, 3 * 16 + 2 * 2, 3)
    assert np.array_equal(sheet[:, :16], fit(part(), 16))
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


@pytest.mark.parametrize("size", [(64, 64), (33, 200), (300, 47)])
def test_any_size_will_do(generator: Generator, critic: Critic, size: tuple[int, int]) -> None:
    found = invert(generator, critic, part(*size), Projection(search=QUICK))
    assert found.target.shape == found.image.shape == (1, 3, 16, 16)
    assert found.codes.space == "w+"


def test_the_same_seed_gives_the_same_files(
    generator: Generator, critic: Critic, bundle: Bundle, tmp_path: Path
) -> None:
    how = Projection(search=QUICK)
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        invert(generator, critic, part(), how, seed=seed).save(tmp_path / name, bundle)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
    codes = [(tmp_path / name / "codes.safetensors").read_bytes() for name in "ac"]
    assert codes[0] != codes[1]


def test_a_file_in_the_way(inversion: Inversion, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("hello")
    with pytest.raises(OutputError, match="something else is in its place"):
        inversion.save(tmp_path / "out", bundle)


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
    with pytest.raises(BundleError, match="holds no codes"):
        load_codes(tmp_path / "x.safetensors")


@pytest.mark.parametrize("size", [(1, 1), (31, 500), (500, 31)])
def test_small_pictures_are_no_photographs(size: tuple[int, int], tmp_path: Path) -> None:
    write_picture(tmp_path / "small.png", np.zeros((*size, 3), np.uint8))
    with pytest.raises(DataError, match=rf"small\.png, a picture of {size[1]} × {size[0]} pixels"):
        read_photograph(tmp_path / "small.png")


def test_large_ones_are(tmp_path: Path) -> None:
    write_picture(tmp_path / "part.png", part(32, 40))
    assert np.array_equal(read_photograph(tmp_path / "part.png"), part(32, 40))
