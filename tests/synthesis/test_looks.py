import pytest
import torch

from blemish.generator.stitch import Defects
from blemish.synthesis.mapping.looks import (
    BANDWIDTH,
    COORDINATES,
    colour_inside,
    find_looks,
    with_look,
)


def defects(n: int, *, kinds: int = 1, seed: int = 0) -> Defects:
    """Discs of one colour each."""
    rng = torch.Generator().manual_seed(seed)
    mask = torch.zeros(n, 1, 8, 8)
    mask[:, :, 2:5, 2:5] = 1
    colour = torch.rand(n, 3, 1, 1, generator=rng) * 2 - 1
    return Defects(image=colour * mask, mask=mask, kind=torch.arange(n) % kinds)


@pytest.mark.parametrize("n, kinds", [(1, 1), (2, 1), (5, 2), (33, 2)])
def test_each_defect_has_a_place_of_its_own(n: int, kinds: int) -> None:
    looks = find_looks(defects(n, kinds=kinds))
    assert looks.place.shape == (n, COORDINATES) and looks.place.isfinite().all()
    for kind in range(kinds):
        mine = looks.place[looks.defects.kind == kind]
        assert len(mine.unique(dim=0)) == len(mine)


def test_places_are_spread_like_random_codes() -> None:
    place = find_looks(defects(64)).place
    assert place.mean(dim=0).abs().max() < 0.2
    assert (place.std(dim=0) - 1).abs().max() < 0.2


def test_like_colours_lie_together() -> None:
    looks = find_looks(defects(40))
    colour, place = torch.cdist(looks.colour, looks.colour), torch.cdist(looks.place, looks.place)
    together = torch.corrcoef(torch.stack([colour.flatten(), place.flatten()]))[0, 1]
    assert together > 0.5


def test_a_colour_finds_the_nearest_of_its_type() -> None:
    looks = find_looks(defects(10, kinds=2))
    assert torch.equal(looks.of(looks.colour, looks.defects.kind), looks.place)
    shifted = looks.of(looks.colour + 1e-4, looks.defects.kind)
    assert torch.equal(shifted, looks.place)
    other = looks.of(looks.colour, 1 - looks.defects.kind)
    mine = {tuple(row) for row in looks.place[looks.defects.kind == 0].tolist()}
    assert {tuple(row) for row in other[looks.defects.kind == 1].tolist()} <= mine


def test_a_code_keeps_the_rest_of_its_chance() -> None:
    z = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    place = torch.ones(3, COORDINATES)
    found = with_look(z, place)
    assert torch.equal(found[:, COORDINATES:], z[:, COORDINATES:])
    torch.testing.assert_close(found[:, :COORDINATES], 1 + BANDWIDTH * z[:, :COORDINATES])


def test_colours_are_taken_inside() -> None:
    some = defects(3)
    outside = some.image + 5 * (1 - some.mask)
    found = colour_inside(outside, some.mask)
    torch.testing.assert_close(found, some.image[:, :, 3, 3])
    assert not colour_inside(some.image, torch.zeros_like(some.mask)).any()


def test_some_are_drawn_of_each_type_alike() -> None:
    looks = find_looks(defects(9, kinds=3))
    kind, place, colour = looks.some(300, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert (kind.bincount() > 60).all()
    for one_kind, one_place, one_colour in zip(kind, place, colour, strict=True):
        same = (looks.place == one_place).all(dim=1) & (looks.colour == one_colour).all(dim=1)
        assert looks.defects.kind[same].tolist() == [one_kind]
