import numpy as np
import pytest
import torch
from torch import Tensor

from blemish.data.augment import Symmetries
from blemish.data.stitch import (
    LEAST_PIXELS,
    Defects,
    cut_defects,
    draw_masks,
    parts_of,
    stitch,
)

SIDE = 32
STILL = Symmetries()
MOVED = Symmetries(flip=True, rotate=True, shift=True, scale=True, colour=True)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, SIDE, SIDE, 3)).astype(np.uint8)


def masks(*pieces: list[tuple[int, int]]) -> np.ndarray:
    """A mask for each list, with a square of 5² pixels at each place in it."""
    found = np.zeros((len(pieces), SIDE, SIDE), np.uint8)
    for mask, places in zip(found, pieces, strict=True):
        for row, column in places:
            mask[row : row + 5, column : column + 5] = 1
    return found


@pytest.fixture
def defects() -> Defects:
    return cut_defects(pictures(2), masks([(6, 6), (20, 18)], [(12, 12)]), [1, 0])


def scene(n: int = 4) -> tuple[Tensor, Tensor]:
    """Twins, and parts that fill the middle."""
    part = torch.zeros(n, 1, SIDE, SIDE)
    part[:, :, 4:-4, 4:-4] = 1
    return torch.rand(n, 3, SIDE, SIDE) * 2 - 1, part


def test_each_piece_becomes_a_defect_with_its_photograph(defects: Defects) -> None:
    assert len(defects) == 3
    assert defects.kind.tolist() == [1, 1, 0]
    assert defects.mask.sum(dim=(1, 2, 3)).tolist() == [25, 25, 25]
    assert torch.equal(defects.image[0], defects.image[1])
    assert not torch.equal(defects.image[0], defects.image[2])
    together = (defects.mask[0] + defects.mask[1]).numpy()[0]
    assert (together == masks([(6, 6), (20, 18)])[0]).all()


def test_crumbs_are_left_out_unless_there_is_nothing_else() -> None:
    mask = masks([(6, 6)])
    mask[0, 30, 30] = 1
    assert cut_defects(pictures(1), mask, [0]).mask.sum() == 25
    crumb = np.zeros_like(mask)
    crumb[0, 30, 30] = 1
    assert cut_defects(pictures(1), crumb, [0]).mask.sum() == 1


def test_some_are_of_each_type_alike_however_many_there_are(defects: Defects) -> None:
    chosen = defects.some(300, rng())
    assert (defects.kind[chosen].bincount() > 110).all()
    assert (chosen.bincount() > 50).all()
    assert torch.equal(chosen, defects.some(300, rng()))


def test_some_like_others_are_of_their_types(defects: Defects) -> None:
    kind = torch.arange(60) % 2
    chosen = defects.like(kind, rng())
    assert torch.equal(defects.kind[chosen], kind)
    assert set(chosen.tolist()) == {0, 1, 2}


def test_where_none_is_of_the_type_any_will_do(defects: Defects) -> None:
    assert set(defects.like(torch.full((60,), 7), rng()).tolist()) == {0, 1, 2}


def test_a_defect_is_pasted_as_it_was_and_nothing_else_changes(defects: Defects) -> None:
    twin, part = scene(3)
    kept = twin.clone()
    image, mask = stitch(twin, part, defects, torch.tensor([0, 1, 2]), STILL, rng())
    assert torch.equal(mask, defects.mask)
    torch.testing.assert_close(image, torch.where(mask > 0, defects.image, twin))
    assert torch.equal(twin, kept)


def test_a_moved_defect_stays_on_the_part(defects: Defects) -> None:
    twin, part = scene(32)
    chosen = torch.arange(32) % 3
    image, mask = stitch(twin, part, defects, chosen, MOVED, rng())
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert not (mask * (1 - part)).any()
    assert torch.equal(torch.where(mask > 0, twin, image), twin)
    sizes = mask.sum(dim=(1, 2, 3))
    assert ((sizes == 0) | (sizes >= LEAST_PIXELS)).all()
    assert (sizes > 0).float().mean() > 0.9


def test_what_never_falls_on_the_part_leaves_the_twin(defects: Defects) -> None:
    twin, part = scene(2)
    image, mask = stitch(twin, 0 * part, defects, torch.tensor([0, 1]), MOVED, rng())
    assert torch.equal(image, twin) and not mask.any()


def test_stitching_is_what_its_generator_says(defects: Defects) -> None:
    def drawn(seed: int) -> Tensor:
        return stitch(*scene_of_zeros, defects, torch.tensor([0, 1, 2, 0]), MOVED, rng(seed))[0]

    scene_of_zeros = torch.zeros(4, 3, SIDE, SIDE), torch.ones(4, 1, SIDE, SIDE)
    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


@pytest.mark.parametrize("share_real", [0.0, 0.6, 1.0])
def test_masks_to_be_met_are_binary_on_the_part_and_not_empty(
    defects: Defects, share_real: float
) -> None:
    _, part = scene(24)
    real = defects.mask[torch.arange(24) % 3]
    drawn = draw_masks(part, real, MOVED, rng(), share_real=share_real)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert not (drawn * (1 - part)).any()
    assert drawn.sum(dim=(1, 2, 3)).min() >= LEAST_PIXELS


def test_real_masks_that_may_not_move_come_back(defects: Defects) -> None:
    part = torch.ones(3, 1, SIDE, SIDE)
    assert torch.equal(draw_masks(part, defects.mask, STILL, rng(), share_real=1), defects.mask)


def test_where_the_mask_missed_the_part_a_disc_is_in_its_middle(defects: Defects) -> None:
    part = torch.zeros(1, 1, SIDE, SIDE)
    part[:, :, 14:-8, 14:-8] = 1
    mask = draw_masks(part, defects.mask[:1], STILL, rng(), share_real=1)
    assert mask.any() and not (mask * (1 - part)).any()


def test_masks_are_what_their_generator_says(defects: Defects) -> None:
    part = torch.ones(3, 1, SIDE, SIDE)
    first, again, other = (draw_masks(part, defects.mask, MOVED, rng(k)) for k in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_parts_stand_out_from_their_ground() -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    disc = torch.from_numpy(np.hypot(y - 16, x - 16) < 10).float()
    image = torch.stack([disc * 1.2 - 0.9] * 3)[None].repeat(2, 1, 1, 1)
    part = parts_of(image)
    assert part.shape == (2, 1, SIDE, SIDE)
    assert (part[:, 0] != disc).float().mean() < 0.02
