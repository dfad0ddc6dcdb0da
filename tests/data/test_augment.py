import math
import time
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from blemish.data.augment import Symmetries, augment, augment_stack
from blemish.errors import OptionError
from blemish.types import Sample

ALL = "flip,flip-vertical,rotate,shift,scale,colour"
EACH = ALL.split(",")
GEOMETRY = EACH[:-1]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sample(n: int = 6, height: int = 16, width: int = 16) -> Sample:
    mask = (torch.rand(n, 1, height, width) > 0.7).float()
    return Sample(image=torch.rand(n, 3, height, width) * 2 - 1, mask=mask)


def blob(n: int, height: int, width: int, x: float = 0.0, y: float = 0.0) -> Tensor:
    """A smooth spot at a place in pixels from the centre."""
    rows = torch.arange(height)[:, None] - (height - 1) / 2 - y
    columns = torch.arange(width)[None] - (width - 1) / 2 - x
    return torch.exp(-(rows**2 + columns**2) / 18).expand(n, 4, height, width)


def centre(stack: Tensor) -> Tensor:
    """Where the mass of each last channel lies, in pixels from the centre: x and y."""
    mass = stack[:, -1] / stack[:, -1].sum(dim=(1, 2), keepdim=True)
    height, width = mass.shape[1:]
    x = (mass.sum(dim=1) * (torch.arange(width) - (width - 1) / 2)).sum(dim=1)
    y = (mass.sum(dim=2) * (torch.arange(height) - (height - 1) / 2)).sum(dim=1)
    return torch.stack([x, y], dim=1)


@pytest.mark.parametrize("text", ["none", *EACH, "flip,rotate", ALL])
def test_names_are_what_was_parsed(text: str) -> None:
    assert Symmetries.parse(text).names() == text
    assert Symmetries.parse(Symmetries.parse(text).names()) == Symmetries.parse(text)


@pytest.mark.parametrize("text", ["", " none ", "none,"])
def test_none_has_none(text: str) -> None:
    assert Symmetries.parse(text) == Symmetries()


@pytest.mark.parametrize("text", ["Rotate, FLIP", "flip,rotate,flip", "rotate,flip,none"])
def test_order_case_and_spaces_do_not_matter(text: str) -> None:
    assert Symmetries.parse(text) == Symmetries(flip=True, rotate=True)


@pytest.mark.parametrize("text", ["spin", "flip,degrees", "flip rotate", "color"])
def test_an_unknown_name_lists_the_choices(text: str) -> None:
    with pytest.raises(OptionError, match=r"flip, flip-vertical, rotate, shift, scale, colour"):
        Symmetries.parse(text)


@pytest.mark.parametrize("name", ["degrees", "shift_by", "scale_by", "colour_by"])
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_magnitudes_are_not_negative(name: str, value: float) -> None:
    with pytest.raises(OptionError, match=name):
        replace(Symmetries(), **{name: value})


@pytest.mark.parametrize("names, probability", [("none", 1.0), (ALL, 0.0)])
def test_nothing_drawn_changes_nothing(names: str, probability: float) -> None:
    before = sample()
    after = augment(before, Symmetries.parse(names), generator=seeded(), probability=probability)
    assert torch.equal(after.image, before.image)
    assert torch.equal(after.mask, before.mask)


@pytest.mark.parametrize("name, dim", [("flip", 3), ("flip-vertical", 2)])
def test_flips_are_exact_and_take_half_of_the_items(name: str, dim: int) -> None:
    before = sample(n=64)
    after = augment(before, Symmetries.parse(name), generator=seeded())
    flipped = (after.image == before.image.flip(dim)).flatten(1).all(dim=1)
    same = (after.image == before.image).flatten(1).all(dim=1)
    assert (flipped ^ same).all()
    assert 16 < flipped.sum() < 48
    expected = torch.where(flipped[:, None, None, None], before.mask.flip(dim), before.mask)
    assert torch.equal(after.mask, expected)


@pytest.mark.parametrize("probability", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("name", ["rotate", "shift", "scale", "colour"])
def test_each_symmetry_takes_its_share(name: str, probability: float) -> None:
    before = sample(n=400, height=4, width=4)
    symmetries = Symmetries.parse(name)
    after = augment(before, symmetries, generator=seeded(), probability=torch.tensor(probability))
    changed = (after.image != before.image).flatten(1).any(dim=1).float().mean()
    assert abs(changed - probability) < 0.08


def test_the_probability_may_be_each_items_own() -> None:
    before = sample(n=4)
    probability = torch.tensor([0.0, 1.0, 0.0, 1.0])
    after = augment(before, Symmetries.parse(ALL), generator=seeded(), probability=probability)
    assert torch.equal(after.image[::2], before.image[::2])
    assert (after.image[1::2] != before.image[1::2]).any()


@pytest.mark.parametrize("names", [*EACH, ALL])
def test_the_generator_decides_alone(names: str) -> None:
    before, symmetries = sample(), Symmetries.parse(names)
    first, second = (augment(before, symmetries, generator=seeded(3)) for _ in range(2))
    third = augment(before, symmetries, generator=seeded(4))
    assert torch.equal(first.image, second.image)
    assert torch.equal(first.mask, second.mask)
    assert not torch.equal(first.image, third.image)


def test_a_choice_does_not_change_anothers_draws() -> None:
    before = sample()
    flipped = augment(before, Symmetries.parse("flip"), generator=seeded())
    both = augment(before, Symmetries.parse("flip,colour"), generator=seeded())
    assert torch.equal(flipped.mask, both.mask)


@pytest.mark.parametrize("height, width", [(16, 16), (12, 20)])
@pytest.mark.parametrize("name", GEOMETRY)
def test_image_and_mask_move_together(name: str, height: int, width: int) -> None:
    mask = (torch.rand(6, 1, height, width) > 0.7).float()
    before = Sample(image=mask.expand(-1, 3, -1, -1) * 2 - 1, mask=mask)
    after = augment(before, Symmetries.parse(name), generator=seeded())
    expected = (after.mask * 2 - 1).expand_as(after.image)
    torch.testing.assert_close(after.image, expected, atol=1e-5, rtol=0)


def test_colour_leaves_the_mask_alone_and_stays_small() -> None:
    before = sample(n=64)
    after = augment(before, Symmetries.parse("colour"), generator=seeded())
    assert torch.equal(after.mask, before.mask)
    assert 0.05 < (after.image - before.image).abs().max() <= 0.05 + 1.05**2 - 1 + 1e-6


@pytest.mark.parametrize("names", [*EACH, ALL])
@pytest.mark.parametrize("seed", range(3))
def test_masks_stay_in_range(names: str, seed: int) -> None:
    after = augment(sample(n=16), Symmetries.parse(names), generator=seeded(seed))
    assert after.mask.min() >= 0
    assert after.mask.max() <= 1


@pytest.mark.parametrize("height, width", [(48, 48), (40, 64)])
def test_a_shift_moves_by_no_more_than_its_share(height: int, width: int) -> None:
    moved = augment_stack(blob(64, height, width), Symmetries.parse("shift"), generator=seeded())
    reach = centre(moved).abs().max(dim=0).values / torch.tensor([width, height])
    assert (reach < 0.061).all()
    assert (reach > 0.045).all()


@pytest.mark.parametrize("height, width", [(48, 48), (48, 72)])
def test_a_turn_keeps_the_distance_from_the_centre(height: int, width: int) -> None:
    stack = blob(64, height, width, x=10, y=-4)
    moved = centre(augment_stack(stack, Symmetries.parse("rotate"), generator=seeded()))
    torch.testing.assert_close(moved.norm(dim=1), torch.full((64,), 116**0.5), atol=0.05, rtol=0)
    turn = torch.rad2deg(torch.atan2(moved[:, 1], moved[:, 0]) - math.atan2(-4, 10))
    assert 12 < turn.abs().max() <= 15.1


def test_a_turn_by_no_degrees_changes_nothing() -> None:
    before = sample(n=64).image
    turned = augment_stack(before, Symmetries(rotate=True, degrees=0.0), generator=seeded())
    torch.testing.assert_close(turned, before, atol=1e-5, rtol=0)


def test_a_zoom_keeps_its_ratio() -> None:
    stack = blob(64, 48, 48)
    moved = augment_stack(stack, Symmetries(scale=True, scale_by=0.2), generator=seeded())
    ratio = (moved[:, -1].sum(dim=(1, 2)) / stack[:, -1].sum(dim=(1, 2))).sqrt()
    assert 1 / 1.21 < ratio.min() < 0.87
    assert 1.15 < ratio.max() < 1.21


@pytest.mark.parametrize("names", [*EACH, ALL])
@pytest.mark.parametrize("part", ["image", "mask"])
def test_gradients_reach_image_and_mask(names: str, part: str) -> None:
    before = sample(n=8)
    getattr(before, part).requires_grad_()
    before = Sample(image=before.image, mask=before.mask)
    after = augment(before, Symmetries.parse(names), generator=seeded())
    (gradient,) = torch.autograd.grad(getattr(after, part).sum(), getattr(before, part))
    assert gradient.isfinite().all()
    assert (gradient.flatten(1).abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("names", ["rotate", ALL])
def test_gradients_and_their_gradients_are_right(names: str) -> None:
    stack = torch.rand(2, 4, 5, 4, dtype=torch.float64, requires_grad=True)
    symmetries = Symmetries.parse(names)

    def cubed(stack: Tensor) -> Tensor:
        return augment_stack(stack, symmetries, generator=seeded()) ** 3

    assert torch.autograd.gradcheck(cubed, stack)
    assert torch.autograd.gradgradcheck(cubed, stack)


@pytest.mark.parametrize("channels", [3, 4, 6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_stack_keeps_its_channels_and_type(channels: int, dtype: torch.dtype) -> None:
    stack = torch.rand(2, channels, 8, 8).to(dtype)
    moved = augment_stack(stack, Symmetries.parse(ALL), generator=seeded())
    assert moved.shape == stack.shape
    assert moved.dtype == dtype


def test_a_batch_of_none_is_welcome() -> None:
    assert len(augment(sample(n=0), Symmetries.parse(ALL), generator=seeded())) == 0


def test_a_training_batch_takes_milliseconds() -> None:
    batch, symmetries, generator = sample(16, 64, 64), Symmetries.parse(ALL), seeded()
    durations = []
    for _ in range(10):
        start = time.perf_counter()
        augment(batch, symmetries, generator=generator)
        durations.append(time.perf_counter() - start)
    assert min(durations) < 0.1
