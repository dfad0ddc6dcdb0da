"""Several defects on one photograph: what lies where, and what every item promises still holds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from same import files_in
from tiny import TYPES, part, request_of, spot, write_bundle, write_defects

from blemish.checkpoint import Bundle, load_codes
from blemish.data import check
from blemish.data.pairs import read_mask, read_mask_for
from blemish.errors import OptionError
from blemish.names import PLACEMENT_METHODS, PlacementName
from blemish.pictures import read_picture, write_picture
from blemish.reading import Reading, read_as
from blemish.seeds import seed_of
from blemish.synthesis.dataset import Dataset
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.part import GoodPart
from blemish.synthesis.placement.methods import PLACEMENT
from blemish.synthesis.request import COMBINED, Request, read_requests
from blemish.synthesis.synthesize import Synthesizer, in_turn, synthesize

PLACES = ((0.4, 0.4), (0.6, 0.6))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph, a mask for each type, and one mask of both as class numbers."""
    root = tmp_path_factory.mktemp("several")
    write_picture(root / "nut.png", part(96, 96))
    classes = np.zeros((96, 96), np.uint8)
    for number, at in enumerate(PLACES, 1):
        mask = spot(96, 96, at=at)
        write_picture(root / f"{number}.png", mask)
        classes[mask] = number
    write_picture(root / "classes.png", np.repeat(classes[:, :, None], 3, axis=2))
    write_defects(root / "real")
    return root


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("b") / "b", windows=True)


def worker(bundle: Bundle, way: PlacementName, place: Path) -> Synthesizer:
    more = {"steps": 2, "invert": "project"} if PLACEMENT_METHODS[way].inverts else {}
    real = place / "real" if PLACEMENT_METHODS[way].needs_real else None
    options = SynthesisOptions(method=way, real=real, defect_steps=2, **more)
    return Synthesizer(bundle, options)


def both(place: Path) -> Request:
    masks = [place / f"{number}.png" for number in (1, 2)]
    (request,) = read_requests(GoodPart.read(place / "nut.png"), masks, TYPES, TYPES)
    return request


@pytest.mark.parametrize("way", PLACEMENT)
def test_each_method_lays_several_types_on_one_photograph(
    bundle: Bundle, place: Path, tmp_path: Path, way: PlacementName
) -> None:
    by = worker(bundle, way, place)
    (row,) = synthesize(by, in_turn([both(place)]), Dataset(tmp_path), count=1, seed=3)
    assert row["type"] == COMBINED
    assert [one["type"] for one in row["defects"]] == [*TYPES]
    assert not check(tmp_path).complaints
    found = {kind: tmp_path / file for kind, file in row["files"].items()}
    label = read_mask(found["mask"])
    picture, twin = read_picture(found["image"]), read_picture(found["twin"])
    assert np.array_equal((picture != twin).any(axis=2), label)
    assert row["scores"]["pixels_changed_beyond_reach"] == 0
    spelled = ",".join(f"{number}={kind}" for number, kind in row["classes"].items())
    with read_as(Reading(classes=spelled)):
        each = [read_mask_for(found["image"], found["classes"], kind) for kind in TYPES]
    assert all(mask.any() for mask in each)
    assert not (each[0] & each[1]).any()
    assert np.array_equal(each[0] | each[1], label)
    for mask, one in zip(each, row["defects"], strict=True):
        x, y, w, h = one["box"]
        assert not np.delete(np.delete(mask, slice(y, y + h), 0), slice(x, x + w), 1).any()


def test_first_defect_is_as_if_it_were_alone(bundle: Bundle, place: Path) -> None:
    by, order = worker(bundle, "window", place), both(place)
    alone, together = by.make(order.defects[0], 7), by.make(order, 7)
    assert together.codes is not None and alone.codes is not None
    assert len(together.codes) == 2
    assert np.array_equal(together.codes.w[:1], alone.codes.w)
    near = alone.changed & ~(by.make(order.defects[1], seed_of(7, 1)).changed)
    assert np.array_equal(together.picture.picture[near], alone.picture.picture[near])


def test_masks_of_one_type_keep_the_type(bundle: Bundle, place: Path, tmp_path: Path) -> None:
    masks = [place / f"{number}.png" for number in (1, 2)]
    requests = read_requests(GoodPart.read(place / "nut.png"), masks, TYPES[:1], TYPES)
    by = worker(bundle, "window", place)
    (row,) = synthesize(by, in_turn(requests), Dataset(tmp_path), count=1, seed=0)
    assert row["type"] == TYPES[0]
    assert len(row["defects"]) == 2
    assert "classes" not in row and "classes" not in row["files"]
    assert len(load_codes(tmp_path / row["files"]["codes"])) == 2


def test_classes_of_one_mask_are_the_masks_of_their_types(place: Path) -> None:
    spelled = f"1={TYPES[0]},2={TYPES[1]}"
    with read_as(Reading(classes=spelled)):
        part = GoodPart.read(place / "nut.png")
        (order,) = read_requests(part, [place / "classes.png"], TYPES, TYPES)
    for one, expected in zip(order.defects, both(place).defects, strict=True):
        assert one.kind == expected.kind
        assert np.array_equal(one.requested, expected.requested)


def test_same_seed_gives_the_same_bytes(bundle: Bundle, place: Path, tmp_path: Path) -> None:
    by = worker(bundle, "window", place)
    for name in ("a", "b"):
        synthesize(by, in_turn([both(place)]), Dataset(tmp_path / name), count=2, seed=1)
    assert files_in(tmp_path / "a") == files_in(tmp_path / "b")


def test_names_tell_requests_apart(bundle: Bundle, place: Path) -> None:
    by, order = worker(bundle, "window", place), both(place)
    swapped = replace(order.defects[1], also=(order.defects[0],))
    requests = [order, swapped, *order.defects]
    assert len({by.items.name(request, 0) for request in requests}) == len(requests)


@pytest.mark.parametrize(
    "masks, kinds, message",
    [
        (["1.png", "2.png", "1.png"], TYPES, "3 mask.* and 2 type"),
        (["1.png"], TYPES, "which level of .*1.png"),
        (["1.png", "real"], TYPES, "a folder of masks"),
    ],
)
def test_masks_and_types_that_do_not_fit_are_refused(
    place: Path, masks: list[str], kinds: tuple[str, ...], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        part = GoodPart.read(place / "nut.png")
        read_requests(part, [place / name for name in masks], kinds, TYPES)


def test_request_of_one_defect_is_itself(place: Path) -> None:
    order = request_of(place / "nut.png", place / "1.png", TYPES[0], TYPES)
    assert order.united is order
    assert [one.digest for one in order.defects] == [order.digest]
