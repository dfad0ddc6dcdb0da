"""Codes of parts: interpolation, mixing, regions, directions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import CONFIG, part, spot, write_bundle

from blemish.editing.attributes import ATTRIBUTES, attributes_of
from blemish.editing.boundary import Whitening, fit_boundary, outer, separation
from blemish.editing.directions import (
    Direction,
    DirectionTraining,
    learn_directions,
    moved,
    pictures_needed,
    purity,
    read_directions,
    write_directions,
)
from blemish.editing.factorise import principal_axes, sefa
from blemish.editing.interpolate import interpolated
from blemish.editing.regions import box_region
from blemish.editing.rows import mixed, parse_rows, scales_of
from blemish.errors import BundleError, OptionError
from blemish.models.generator import Generator
from blemish.types import Codes

LAYERS = CONFIG.layers


def some_codes(seed: int = 0) -> Codes:
    rng = torch.Generator().manual_seed(seed)
    return Codes(w=torch.randn(1, LAYERS, CONFIG.w_dim, generator=rng), space="w+")


def test_interpolation_starts_and_ends_at_the_two_parts() -> None:
    a, b = some_codes(0), some_codes(1)
    found = interpolated(a, b, 5)
    assert len(found) == 5
    torch.testing.assert_close(found.w[:1], a.w)
    torch.testing.assert_close(found.w[-1:], b.w)
    torch.testing.assert_close(found.w.diff(dim=0), found.w.diff(dim=0)[:1].expand(4, -1, -1))


def test_edits_keep_a_change_of_features() -> None:
    b, change = some_codes(1), torch.randn(1, 16, 16, 16)
    a = replace(some_codes(0), features=change, space="f/w+")
    line = interpolated(a, b, 3)
    assert line.space == "f/w+" and line.features is not None
    torch.testing.assert_close(line.features, torch.cat([change, change / 2, 0 * change]))
    rows = torch.ones(LAYERS).bool()
    assert mixed(a, b, rows).features is change
    assert mixed(b, a, rows).features is None
    direction = Direction(
        name="tone", rows=torch.ones(LAYERS, CONFIG.w_dim), attribute="tone", accuracy=1, purity=1
    )
    further = moved(a, direction, [-1, 1])
    assert further.space == "f/w+" and further.features is not None
    torch.testing.assert_close(further.features, change.expand(2, -1, -1, -1))


def test_mixing_takes_the_chosen_rows_alone() -> None:
    a, b = some_codes(0), some_codes(1)
    chosen = parse_rows("0-1,4", LAYERS, {})
    codes = mixed(a, b, chosen).w[0]
    assert (codes == torch.where(chosen[:, None], b.w[0], a.w[0])).all()


def test_the_scales_share_out_all_rows() -> None:
    config = replace(CONFIG, resolution=256)
    scales = torch.stack(list(scales_of(config).values()))
    assert len(scales) == 3 and (scales.sum(dim=0) == 1).all()


@pytest.mark.parametrize("text", ["", "9", "3-1", "-1", "shiny", "0,,1"])
def test_rows_that_are_not_there_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="rows"):
        parse_rows(text, LAYERS, scales_of(CONFIG))


def test_a_box_covers_its_share_of_the_picture() -> None:
    assert box_region("0.25,0,0.5,0.5", 16).float().mean() == pytest.approx(0.25)


@pytest.mark.parametrize("text", ["", "0,0,1", "a,b,c,d", "0.5,0,0.6,1", "0,0,2,1", "0,0,0,0"])
def test_boxes_without_a_region_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="box"):
        box_region(text, 16)


def test_attributes_follow_what_they_name() -> None:
    picture = part(64, 64).astype(np.int16)
    inside = spot(64, 64)
    lighter = picture.copy()
    disc = picture.sum(axis=2) < 560
    lighter[disc] += 30
    tones = [
        dict(zip(ATTRIBUTES, attributes_of(p.clip(0, 255).astype(np.uint8)), strict=True))["tone"]
        for p in (picture, lighter)
    ]
    assert tones[1] > tones[0]
    large = attributes_of(part(64, 64))[ATTRIBUTES.index("size")]
    small = np.full_like(part(64, 64), 220)
    small[inside] = (90, 60, 40)
    assert attributes_of(small)[ATTRIBUTES.index("size")] < large


def test_a_boundary_finds_a_linear_attribute() -> None:
    rng = np.random.default_rng(0)
    w = rng.normal(size=(600, 8)) * np.linspace(0.5, 2, 8)
    normal = rng.normal(size=8)
    values = w @ normal
    whitening = Whitening.of(w)
    u = whitening.white(w)
    np.testing.assert_allclose(np.cov(u.T), np.eye(8), atol=1e-6)
    chosen, much = outer(values[:400])
    boundary = fit_boundary(u[:400][chosen], much[chosen])
    assert separation(boundary, u[400:], values[400:]) > 0.95
    moved = whitening.white(w + whitening.move(boundary.normal)) - u
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1, rtol=1e-6)
    assert whitening.move(boundary.normal) @ normal > 0


def test_sefa_finds_the_most_effective_unit_vectors(generator: Generator) -> None:
    axes = sefa(generator, 3).double()
    torch.testing.assert_close(axes @ axes.T, torch.eye(3).double(), atol=1e-5, rtol=0)
    weights = [
        layer.affine.weight * layer.affine.weight_gain for _, layer in generator.synthesis.layers()
    ]
    effect = (torch.cat(weights).detach().double() @ axes.T).norm(dim=0)
    assert (effect.diff() <= 1e-9).all()
    other = torch.nn.functional.normalize(torch.randn(5, CONFIG.w_dim).double(), dim=1)
    assert (torch.cat(weights).detach().double() @ other.T).norm(dim=0).max() < effect[0]


def test_components_are_the_axes_of_the_widest_spread() -> None:
    w = torch.randn(500, 6) * torch.tensor([1.0, 5, 1, 1, 3, 1])
    axes = principal_axes(w, 2)
    assert axes[0].abs().argmax() == 1 and axes[1].abs().argmax() == 4


def test_purity_is_the_share_of_the_named_attribute() -> None:
    assert purity(np.array([2.0, -0.5, 0.5]), 0) == pytest.approx(2)


@pytest.fixture(scope="module")
def learnt(generator: Generator) -> list[Direction]:
    training = DirectionTraining(samples=100, probes=2, components=1)
    heard: list[int] = []
    found = learn_directions(generator, training, heard.append)
    assert heard[-1] == pictures_needed(generator, training)
    return found


def test_directions_have_figures_in_range(learnt: list[Direction]) -> None:
    assert [one.name for one in learnt] == [*ATTRIBUTES, "sefa-1", "pca-1"]
    for one in learnt:
        assert one.rows.shape == (LAYERS, CONFIG.w_dim) and one.rows.isfinite().all()
        assert 0 <= one.accuracy <= 1 and one.purity >= 0


def test_directions_are_read_as_they_were_written(learnt: list[Direction], tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    write_directions(bundle, learnt)
    found = read_directions(bundle, LAYERS, CONFIG.w_dim)
    assert list(found) == [*ATTRIBUTES, "pca-1", "sefa-1"]
    for one in learnt:
        same = found[one.name]
        torch.testing.assert_close(same.rows, one.rows)
        assert same.attribute == one.attribute
        assert same.purity == pytest.approx(one.purity)
    with pytest.raises(BundleError, match="another generator"):
        read_directions(bundle, LAYERS + 2, CONFIG.w_dim)


def test_a_move_of_nothing_changes_nothing(learnt: list[Direction]) -> None:
    codes = some_codes()
    found = moved(codes, learnt[0], [-1.0, 0.0, 1.0])
    torch.testing.assert_close(found.w[1:2], codes.w)
    torch.testing.assert_close(found.w[2] - found.w[1], found.w[1] - found.w[0])


@pytest.mark.parametrize("wrong", [{"samples": 10}, {"probes": 1}, {"components": -1}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(OptionError, match="samples"):
        DirectionTraining(**wrong)
