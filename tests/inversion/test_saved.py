import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import part
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.errors import BundleError, DataError
from blemish.inversion.indomain import InDomain
from blemish.inversion.invert import Inversion, invert
from blemish.inversion.methods import InversionMethod
from blemish.inversion.model import Model
from blemish.inversion.optimize import Optimize
from blemish.inversion.project import Projection
from blemish.inversion.saved import load_inversion
from blemish.inversion.search import Search
from blemish.pictures import fit_square, to_tensor

QUICK = Search(steps=2)
HOWS = [
    (InDomain(search=QUICK), False),
    (InDomain(space="w", search=QUICK), True),
    (Optimize(space="z", search=QUICK), True),
    (Projection(search=QUICK, noise_weight=1), False),
]


def assert_same(one: Tensor | None, other: Tensor | None) -> None:
    assert (one is None) == (other is None)
    assert one is None or other is None or torch.equal(one, other)


@pytest.fixture(scope="module")
def inversion(model: Model) -> Inversion:
    (found,) = invert(model, [part()], Optimize(search=QUICK))
    return found


@pytest.fixture
def kept(inversion: Inversion, bundle: Bundle, tmp_path: Path) -> Path:
    inversion.save(tmp_path / "kept", bundle)
    return tmp_path / "kept"


@pytest.mark.parametrize("how, defect", HOWS)
def test_what_was_saved_comes_back(
    model: Model, bundle: Bundle, tmp_path: Path, how: InversionMethod, defect: bool
) -> None:
    (found,) = invert(model, [part()], how, defect=defect)
    facts = found.save(tmp_path, bundle)
    loaded = load_inversion(tmp_path, bundle)
    assert loaded.codes.space == found.codes.space == how.space
    assert_same(loaded.codes.w, found.codes.w)
    assert_same(loaded.codes.w_defect, found.codes.w_defect)
    assert_same(loaded.mask, found.mask)
    noise, other = loaded.codes.noise or {}, found.codes.noise or {}
    assert noise.keys() == other.keys()
    assert all(torch.equal(noise[name], other[name]) for name in noise)
    assert loaded.facts == facts
    assert torch.equal(loaded.photograph[0], to_tensor(fit_square(part(), 16)))
    assert torch.equal(loaded.photograph, found.target)
    with torch.no_grad():
        again = model.generator(loaded.codes, mask=loaded.mask).image
    assert torch.equal(again, model.generator(found.codes, mask=found.mask).image)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_mask_of_one_level_comes_back(
    model: Model, bundle: Bundle, tmp_path: Path, value: float
) -> None:
    (found,) = invert(model, [part()], Optimize(search=QUICK), defect=True)
    assert found.mask is not None
    replace(found, mask=torch.full_like(found.mask, value)).save(tmp_path, bundle)
    loaded = load_inversion(tmp_path, bundle)
    assert loaded.mask is not None and (loaded.mask == value).all()


def test_the_mask_of_an_inversion_before_is_gone(
    model: Model, inversion: Inversion, bundle: Bundle, tmp_path: Path
) -> None:
    (found,) = invert(model, [part()], Optimize(search=QUICK), defect=True)
    found.save(tmp_path, bundle)
    inversion.save(tmp_path, bundle)
    assert load_inversion(tmp_path, bundle).mask is None


def test_codes_of_another_bundle_are_refused(kept: Path, bundle: Bundle, tmp_path: Path) -> None:
    other = Bundle(tmp_path / "other")
    other.path.mkdir()
    other.write_config({**bundle.config, "nimg": 8})
    with pytest.raises(BundleError, match="codes of another bundle or of another state of it"):
        load_inversion(kept, other)


TORN = ["", "hello", "[]", "3", "null", '"x"', "{}", '{"bundle": 3}', '{"bundle": {}}', "[" * 10**5]


@pytest.mark.parametrize("text", TORN)
def test_torn_figures_are_refused(kept: Path, bundle: Bundle, text: str) -> None:
    (kept / "inversion.json").write_text(text)
    with pytest.raises(DataError, match=r"inversion\.json, which .*written by 'blemish invert'"):
        load_inversion(kept, bundle)


def test_figures_that_are_no_text_are_refused(kept: Path, bundle: Bundle) -> None:
    (kept / "inversion.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(DataError, match=r"which .*written by 'blemish invert'"):
        load_inversion(kept, bundle)


@pytest.mark.parametrize("digest", [None, 3, [], "x"])
def test_a_digest_must_be_the_bundle_s(kept: Path, bundle: Bundle, digest: object) -> None:
    (kept / "inversion.json").write_text(json.dumps({"bundle": {"digest": digest}}))
    with pytest.raises(BundleError, match="another bundle"):
        load_inversion(kept, bundle)


@pytest.mark.parametrize(
    "name, error",
    [
        ("inversion.json", DataError),
        ("photograph.png", DataError),
        ("codes.safetensors", BundleError),
    ],
)
@pytest.mark.parametrize("torn", [False, True])
def test_missing_and_torn_files_are_named(
    kept: Path, bundle: Bundle, name: str, error: type[Exception], torn: bool
) -> None:
    file = kept / name
    data = file.read_bytes()
    file.unlink()
    if torn:
        file.write_bytes(data[: len(data) // 2])
    with pytest.raises(error, match=name):
        load_inversion(kept, bundle)


def test_a_folder_that_is_not_there(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder written by 'blemish invert'"):
        load_inversion(tmp_path / "none", bundle)


def test_pictures_are_not_trusted_for_more_than_they_hold(
    kept: Path, inversion: Inversion, bundle: Bundle
) -> None:
    """The reconstruction is for people; only the codes count."""
    (kept / "reconstruction.png").unlink()
    (kept / "comparison.png").unlink()
    loaded = load_inversion(kept, bundle)
    assert np.array_equal(loaded.codes.w, inversion.codes.w)
