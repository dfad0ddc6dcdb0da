"""Looks of real defects as codes: read, drawn under other masks, saved, and mixed."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny import TYPES, part, request_of, spot, write_bundle

from blemish.checkpoint import Bundle, find_bundle, load_codes
from blemish.data import DefectFolder
from blemish.data.pairs import read_mask_for
from blemish.errors import BundleError, DataError, OptionError
from blemish.models.load import load_generator
from blemish.pictures import read_picture, write_picture
from blemish.synthesis.batch.batch import BatchFolder
from blemish.synthesis.batch.recipe import read_recipe
from blemish.synthesis.dataset import Dataset
from blemish.synthesis.demo import draw_part
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.synthesize import Synthesizer, in_turn, synthesize
from blemish.windows.codes import LookReader, codes_like
from blemish.windows.paint import WindowModel, load_windows, paint

RED, BLUE = (190, 25, 40), (20, 45, 110)
Shipped = tuple[WindowModel, LookReader, list[np.ndarray]]


@pytest.fixture(scope="module")
def shipped() -> Shipped:
    """The shipped windows, and two parts that the bundle draws."""
    bundle = find_bundle("hazelnut")
    model, generator = load_windows(bundle), load_generator(bundle)
    parts = [draw_part(generator, seed, model) for seed in range(2)]
    return model, LookReader(bundle, model), parts


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("b") / "b", windows=True)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A part with a mask, and a real defect with its own."""
    write_picture(tmp_path / "nut.png", part(96, 96))
    write_picture(tmp_path / "where.png", spot(96, 96))
    real, mask = part(96, 96, seed=3), spot(96, 96, at=(0.6, 0.4))
    real[mask] = RED
    write_picture(tmp_path / "real.png", real)
    write_picture(tmp_path / "real_mask.png", mask)
    write_picture(tmp_path / "empty.png", mask & False)
    return tmp_path


def disc(size: int, radius: int, at: tuple[float, float]) -> np.ndarray:
    canvas = np.zeros((size, size), np.uint8)
    middle = int(at[0] * size), int(at[1] * size)
    return cv2.circle(canvas, middle, radius, 1, cv2.FILLED) > 0


def painted(picture: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """A defect as paint: one colour, a soft rim and some noise."""
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.2)[:, :, None]
    noise = np.random.default_rng(0).normal(0, 6, picture.shape)
    return (picture * (1 - soft) + (np.array(colour) + noise) * soft).clip(0, 255).astype(np.uint8)


def drawn(shipped: Shipped, latents: torch.Tensor, mask: np.ndarray) -> np.ndarray:
    """The second part with a defect under a mask, always with the same noise."""
    model, _, (_, other) = shipped
    codes = codes_like(model, latents, "colour", mask)
    return paint(model.generator, other, mask, codes, torch.Generator().manual_seed(0))


def read(shipped: Shipped, *colours: tuple[int, int, int]) -> torch.Tensor:
    """Latents of discs of paint on the first part, each smaller than the one before."""
    _, reader, (picture, _) = shipped
    whole = np.zeros(picture.shape[:2], bool)
    for k, colour in enumerate(colours):
        mask = disc(len(picture), 26 - 6 * k, (0.42 + 0.22 * k, 0.5))
        picture, whole = painted(picture, mask, colour), whole | mask
    return reader.latents(picture, whole)


def redness(picture: np.ndarray, mask: np.ndarray) -> float:
    mean = picture[mask].astype(float).mean(axis=0)
    return mean[0] - mean[2]


def test_look_is_carried_to_another_part_and_mask(shipped: Shipped) -> None:
    mask = disc(512, 14, (0.5, 0.55))
    red, blue = (drawn(shipped, read(shipped, colour), mask) for colour in (RED, BLUE))
    assert redness(red, mask) > redness(blue, mask) + 40


def test_pieces_of_a_real_defect_are_handed_out_by_size(shipped: Shipped) -> None:
    latents = read(shipped, RED, BLUE)
    assert len(latents) == 2
    small, large = disc(512, 10, (0.4, 0.5)), disc(512, 18, (0.6, 0.5))
    picture = drawn(shipped, latents, small | large)
    assert redness(picture, large) > redness(picture, small) + 40


def test_mixed_codes_go_from_one_look_to_the_other(shipped: Shipped) -> None:
    mask = disc(512, 16, (0.5, 0.5))
    first, last = read(shipped, RED), read(shipped, BLUE)
    strip = [drawn(shipped, first.lerp(last, share), mask) for share in (0, 0.25, 0.5, 0.75, 1)]
    inside = [picture[mask].astype(float).mean(axis=0) for picture in strip]
    away = [np.linalg.norm(mean - inside[0]) for mean in inside]
    assert away == sorted(away) and away[-1] > 40
    back = [np.linalg.norm(mean - inside[-1]) for mean in inside]
    assert back == sorted(back, reverse=True)


def test_real_paints_keep_their_colours(shipped: Shipped, shared: Path) -> None:
    _, reader, _ = shipped
    found = {p.path.stem: p for p in DefectFolder(shared / "data" / "hazelnut_toy").defects()
             if p.kind == "colour"}  # fmt: skip
    mask, tones = disc(512, 16, (0.5, 0.5)), {}
    for name in ("01", "12"):  # a red and a blue one
        path, marked = found[name].path, found[name].mask_path
        assert marked is not None
        latents = reader.latents(read_picture(path), read_mask_for(path, marked, "colour"))
        tones[name] = redness(drawn(shipped, latents[:1], mask), mask)
    assert tones["01"] > tones["12"] + 40


def test_items_keep_their_latents_and_codes(bundle: Bundle, place: Path) -> None:
    options = SynthesisOptions(like=place / "real.png", like_mask=place / "real_mask.png")
    by = Synthesizer(bundle, options)
    request = request_of(place / "nut.png", place / "where.png", TYPES[0], TYPES)
    first, second = synthesize(by, in_turn([request]), Dataset(place / "out"), count=2, seed=0)
    assert by.method == "window"
    codes = load_codes(place / "out" / first["files"]["codes"])
    assert codes.z is not None
    model = load_windows(bundle)
    assert torch.equal(model.codes_of(codes.z, TYPES[0]).w, codes.w)
    assert first["options"]["look"] == second["options"]["look"]
    assert first["name"] != second["name"]


def test_random_codes_are_their_seeds_and_keep_no_latents(bundle: Bundle, place: Path) -> None:
    request = request_of(place / "nut.png", place / "where.png", TYPES[0], TYPES)
    codes = Synthesizer(bundle, SynthesisOptions()).make(request, 0).codes
    assert codes is not None and codes.z is None


def test_another_real_defect_gives_another_item(bundle: Bundle, place: Path) -> None:
    request = request_of(place / "nut.png", place / "where.png", TYPES[0], TYPES)
    options = SynthesisOptions(like=place / "real.png", like_mask=place / "real_mask.png")
    before = Synthesizer(bundle, options).items.name(request, 0)
    real = read_picture(place / "real.png")
    write_picture(place / "real.png", 255 - real)
    assert Synthesizer(bundle, options).items.name(request, 0) != before


def test_recipe_takes_a_real_defect(bundle: Bundle, place: Path) -> None:
    (place / "recipe.toml").write_text(
        f'bundle = "{bundle.path}"\n[[group]]\ndefect = "{TYPES[0]}"\ncount = 2\n'
        'photographs = "nut.png"\nmasks = "where.png"\n'
        'like = "real.png"\nlike_mask = "real_mask.png"\n'
    )
    recipe = read_recipe(place / "recipe.toml")
    recipe.check()
    assert {"real.png", "real_mask.png"} <= {*recipe.digests()}
    rows = [*BatchFolder(recipe, place / "out", keep_all=True).make(workers=1)]
    assert {row["options"]["like"] for row in rows} == {"real.png"}
    assert all(row["outcome"] != "failed" for row in rows)


def test_missing_file_of_a_recipe_is_named(bundle: Bundle, place: Path) -> None:
    (place / "recipe.toml").write_text(
        f'bundle = "{bundle.path}"\n[[group]]\ndefect = "{TYPES[0]}"\ncount = 1\n'
        'photographs = "nut.png"\nmasks = "where.png"\nlike = "gone.png"\nlike_mask = "nut.png"\n'
    )
    with pytest.raises(DataError, match=r"gone\.png"):
        read_recipe(place / "recipe.toml")


@pytest.mark.parametrize(
    "bad",
    [
        {"like": Path("a.png")},
        {"like_mask": Path("a.png")},
        {"like": Path("a.png"), "like_mask": Path("b.png"), "method": "optimize"},
        {"like": Path("a.png"), "like_mask": Path("b.png"), "mask_control": "noise"},
    ],
)
def test_half_a_real_defect_or_another_method_is_refused(bad: dict) -> None:
    with pytest.raises(OptionError, match="like"):
        SynthesisOptions(**bad)


def test_empty_mask_of_a_real_defect_is_refused(bundle: Bundle, place: Path) -> None:
    options = SynthesisOptions(like=place / "real.png", like_mask=place / "empty.png")
    with pytest.raises(DataError, match="no pixel marked"):
        Synthesizer(bundle, options).prepare(TYPES[0])


def test_bundle_without_look_encoder_says_so(place: Path) -> None:
    lacking = write_bundle(place / "lacking", windows=True)
    lacking.drop("windows_encoder")
    options = SynthesisOptions(like=place / "real.png", like_mask=place / "real_mask.png")
    with pytest.raises(BundleError, match="look"):
        Synthesizer(lacking, options)


def test_neighbours_of_two_colours_have_two_looks(shipped: Shipped) -> None:
    _, reader, (picture, _) = shipped
    one, other = disc(512, 22, (0.45, 0.5)), disc(512, 18, (0.55, 0.5))
    both = painted(painted(picture, one, RED), other, BLUE)
    latents, mask = reader.latents(both, one | other), disc(512, 16, (0.5, 0.55))
    red, blue = (drawn(shipped, latents[k : k + 1], mask) for k in range(2))
    assert redness(red, mask) > redness(blue, mask) + 40
