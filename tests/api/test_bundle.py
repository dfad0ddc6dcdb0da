"""The Python interface gives what the command line gives, whatever a photograph comes as."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import exit_code
from PIL import Image
from same import files_in
from tiny import part, spot, write_bundle, write_scene

import blemish
from blemish.api.bundle import OpenBundle
from blemish.errors import DataError, OptionError
from blemish.pictures import write_picture


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("api")
    write_scene(root)
    write_bundle(root / "bundle", windows=True, encoder=True)
    return root


@pytest.fixture(scope="module")
def opened(place: Path) -> OpenBundle:
    return blemish.load(place / "bundle", device="cpu")


def test_all_public_names_are_sorted_and_there() -> None:
    assert blemish.__all__ == sorted(blemish.__all__)
    assert all(getattr(blemish, name) is not None for name in blemish.__all__)
    assert dir(blemish) == blemish.__all__


@pytest.mark.parametrize("mask", [True, False])
def test_the_same_request_gives_the_same_files(
    mask: bool, place: Path, opened: OpenBundle, tmp_path: Path
) -> None:
    photo, drawn = place / "nut.png", place / "nut_mask.png"
    asked = f"--mask {drawn}" if mask else "--mask-kind spots --area 0.05"
    words = f"synthesize --normal {photo} --defect paint --bundle {opened.files.path} --seed 5"
    assert exit_code(f"{words} {asked} --device cpu --out {tmp_path / 'cli'}") == 0
    options: dict[str, Any] = {"mask": drawn} if mask else {"mask_kind": "spots", "area": 0.05}
    item = opened.synthesize(photo, defect="paint", seed=5, **options)
    row = item.save(tmp_path / "api")
    assert item.save(tmp_path / "api") == row  # saved once
    commanded, called = files_in(tmp_path / "cli"), files_in(tmp_path / "api")
    pictures = {name for name in called if name.endswith((".png", ".safetensors"))}
    assert len(pictures) == 5
    assert all(called[name] == commanded[name] for name in pictures)
    if mask:
        assert called["manifest.jsonl"] == commanded["manifest.jsonl"]


def test_an_item_is_what_its_names_say(place: Path, opened: OpenBundle) -> None:
    item = opened.synthesize(place / "nut.png", place / "nut_mask.png", "crack", seed=2)
    assert (item.defect, item.seed) == ("crack", 2)
    assert item.image.dtype == item.twin.dtype == np.uint8
    assert ((item.image != item.twin).any(axis=2) == item.mask).all()
    assert (item.rgb == item.image).all()
    assert 0 < item.scores["iou_requested"] <= 1
    assert item.requested.sum() == spot().sum()


def test_pictures_in_memory_are_those_in_files(place: Path, opened: OpenBundle) -> None:
    photo, mask = place / "nut.png", place / "nut_mask.png"
    wanted = opened.synthesize(photo, mask, "paint")
    with Image.open(photo) as opened_photo, Image.open(mask) as opened_mask:
        levels, marked = np.array(opened_photo), np.array(opened_mask) > 0
    photos = [
        str(photo),
        Image.fromarray(levels),
        levels,
        levels / 255,
        torch.from_numpy(levels).permute(2, 0, 1),
        torch.from_numpy(levels).permute(2, 0, 1).float() / 255,
    ]
    masks = [
        str(mask),
        Image.fromarray(marked),
        marked,
        marked.astype(float),
        torch.from_numpy(marked),
    ]
    for given in photos:
        found = opened.synthesize(given, mask, "paint")
        assert (found.image == wanted.image).all() and (found.mask == wanted.mask).all()
    for given in masks:
        found = opened.synthesize(photo, given, "paint")
        assert (found.image == wanted.image).all() and (found.mask == wanted.mask).all()


def test_depth_channels_and_alpha_are_the_photographs(opened: OpenBundle) -> None:
    for levels in (
        part()[:, :, 0],
        part().astype(np.uint16) * 257,
        np.dstack([part(), part()[..., :1]]),
    ):
        item = opened.synthesize(levels, spot(), "paint")
        assert item.image.dtype == levels.dtype and item.image.shape == levels.shape
        if levels.shape[2:] == (4,):
            assert (item.image[..., 3] == levels[..., 3]).all()


@pytest.mark.parametrize(
    ("photo", "words"),
    [
        (part().astype(np.int32), "of type int32"),
        (part() / 100, "floats from"),
        (np.full((64, 64), np.nan), "floats from nan"),
        (part()[:, :, :, None], "of shape (64, 64, 3, 1)"),
        (part()[:0], "of shape (0, 64, 3)"),
        (np.array(["nut"]), "of shape (1,)"),
        (part(8, 8), "8 × 8"),
        (part().astype(np.uint16), "nearly black"),
        ("missing.png", "missing.png"),
    ],
)
def test_an_unfit_photograph_is_refused(photo: object, words: str, opened: OpenBundle) -> None:
    with pytest.raises(DataError) as refused:
        opened.synthesize(photo, spot(), "paint")  # type: ignore[arg-type]
    assert words in str(refused.value)


def test_unfit_masks_types_and_options_are_refused(opened: OpenBundle) -> None:
    with pytest.raises(DataError, match="32 × 64 pixels"):
        opened.synthesize(part(), spot()[:, :32], "paint")
    with pytest.raises(DataError, match="no pixel marked"):
        opened.synthesize(part(), spot() & False, "paint")
    with pytest.raises(OptionError, match="no type of defect"):
        opened.synthesize(part(), spot())
    with pytest.raises(OptionError, match="'rust'"):
        opened.synthesize(part(), spot(), "rust")
    with pytest.raises(OptionError, match="colour"):
        opened.synthesize(part(), spot(), "paint", colour="red")
    with pytest.raises(OptionError, match="both a mask and a mask kind"):
        opened.synthesize(part(), spot(), "paint", mask_kind="blob")


def test_the_only_type_need_not_be_named(tmp_path: Path) -> None:
    for folder, name, picture in (("test", "a", part()), ("ground_truth", "a_mask", spot())):
        (tmp_path / "real" / folder / "dent").mkdir(parents=True)
        write_picture(tmp_path / "real" / folder / "dent" / f"{name}.png", picture)
    bundle = blemish.load(write_bundle(tmp_path / "bundle").path, device="cpu")
    item = bundle.synthesize(part(seed=3), spot(), method="paste", real=tmp_path / "real")
    assert item.defect == "dent" and item.mask.any()


def test_a_photograph_is_inverted(opened: OpenBundle) -> None:
    found = opened.invert(part(), steps=2)
    assert found.method == "in-domain" and found.steps <= 2
    assert found.codes.w.shape[0] == 1
    again = opened.invert(part(), method="optimize", space="w", steps=2, seed=1)
    assert again.codes.space == "w"
