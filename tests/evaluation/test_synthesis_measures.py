"""Figures of sets: distances, diversity and copies of features whose answers are known."""

import pytest
import torch
from torch import Tensor

from blemish.evaluation.synthesis.measures import diversity, memorised, set_distances

WIDTH = 6


def draw(n: int, seed: int = 0, shift: float = 0) -> Tensor:
    rows = torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(seed))
    return rows + shift


@pytest.mark.parametrize("n", [2, 3, 4, 10, 60])
def test_equal_sets_lie_together(n: int) -> None:
    found = set_distances(draw(n), draw(n))
    assert found is not None
    assert found["kernel"] <= 0.05, "that of equal rows is unbiased, and so below 0"
    assert found["frechet"] == pytest.approx(0, abs=0.5 if n > 4 else 1e-9)


@pytest.mark.parametrize("of", ["kernel", "frechet"])
@pytest.mark.parametrize("n, m", [(20, 20), (40, 15), (15, 40)])
def test_distances_grow_with_a_shift(of: str, n: int, m: int) -> None:
    found = [set_distances(draw(n), draw(m, 1, shift)) for shift in (0, 0.7, 1.5, 3, 6)]
    distances = [one[of] for one in found if one is not None]
    assert len(distances) == 5
    assert distances == sorted(distances)
    assert distances[-1] > distances[1] > distances[0]


@pytest.mark.parametrize("n", [0, 1, 2, 9])
@pytest.mark.parametrize("m", [0, 1])
def test_one_row_is_no_set(n: int, m: int) -> None:
    assert set_distances(draw(n), draw(m)) is None
    assert set_distances(draw(m), draw(n)) is None


@pytest.mark.parametrize(
    "n, m, rows", [(2, 2, 2), (2, 9, 2), (3, 3, 3), (9, 4, 4), (10, 10, 9), (100, 30, 27)]
)
def test_subsets_are_of_one_size(n: int, m: int, rows: int) -> None:
    found = set_distances(draw(n), draw(m, 1))
    assert found is not None
    assert (found["rows"], found["seeds"]) == (rows, 3)
    assert found["kernel_spread"] >= 0 and found["frechet_spread"] >= 0


@pytest.mark.parametrize("n", [2, 3, 4])
def test_seeds_that_take_every_row_agree(n: int) -> None:
    found = set_distances(draw(n), draw(n, 1))
    assert found is not None
    assert found["kernel_spread"] == pytest.approx(0, abs=1e-9)
    assert found["frechet_spread"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("n", [10, 50])
def test_seeds_that_leave_rows_out_differ(n: int) -> None:
    found = set_distances(draw(n), draw(n, 1))
    assert found is not None
    assert found["kernel_spread"] > 0 and found["frechet_spread"] > 0


def test_distances_are_the_same_each_time_and_draw_nothing_of_others() -> None:
    before = torch.random.get_rng_state()
    first = set_distances(draw(20), draw(30, 1))
    torch.rand(5)
    torch.random.set_rng_state(before)
    assert set_distances(draw(20), draw(30, 1)) == first
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("n", [2, 3, 30])
@pytest.mark.parametrize("length", [0.1, 1, 100])
def test_all_alike_have_no_diversity(n: int, length: float) -> None:
    assert diversity(draw(1).expand(n, -1) * length) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("n", [2, 3, WIDTH])
@pytest.mark.parametrize("length", [0.1, 1, 100])
def test_those_with_nothing_in_common_reach_two(n: int, length: float) -> None:
    assert diversity(torch.eye(WIDTH)[:n] * length) == pytest.approx(2)


@pytest.mark.parametrize("n", [2, 3, 7])
@pytest.mark.parametrize("seed", [0, 1])
def test_diversity_is_the_mean_over_pairs(n: int, seed: int) -> None:
    rows = draw(n, seed).double().abs()
    pairs = torch.nn.functional.pdist(rows).square().mean()
    expected = float(pairs / rows.square().sum(dim=1).mean())
    assert diversity(rows.float()) == pytest.approx(expected, rel=1e-5)
    assert 0 <= expected <= 2


@pytest.mark.parametrize("n", [0, 1])
def test_one_alone_is_not_diverse(n: int) -> None:
    assert diversity(draw(n)) is None


def positions(rows: Tensor) -> Tensor:
    """Rows in eight positions: signs that come one after the other."""
    signs = torch.tensor([[1.0, 1, 1], [1, 1, -1], [1, -1, 1], [1, -1, -1]])
    signs = torch.cat([signs, -signs]).repeat(1, WIDTH // 3)
    return torch.cat([rows * sign for sign in signs])


@pytest.mark.parametrize("position", range(8))
@pytest.mark.parametrize("n", [2, 5, 30])
def test_copies_are_found_in_every_position(n: int, position: int) -> None:
    turned = positions(draw(n))
    made = turned[position * n : (position + 1) * n]
    assert memorised(made, draw(n), turned) == 1
    assert memorised(made[:1], draw(n), turned) == 1


@pytest.mark.parametrize("position", range(8))
@pytest.mark.parametrize("n", [2, 5, 30])
def test_what_is_nearly_a_copy_is_one(n: int, position: int) -> None:
    turned = positions(draw(n))
    made = turned[position * n : (position + 1) * n] + 1e-3 * draw(n, 1)
    assert memorised(made, draw(n), turned) == 1


@pytest.mark.parametrize("copies", [0, 1, 3, 8])
def test_the_share_of_copies_is_exact(copies: int) -> None:
    training = draw(20)
    made = torch.cat([positions(training)[30 : 30 + copies], draw(8 - copies, 1, shift=50)])
    assert memorised(made, training, positions(training)) == copies / 8


@pytest.mark.parametrize("n", [2, 3, 20])
def test_where_all_differ_there_are_no_copies(n: int) -> None:
    training = draw(n)
    assert memorised(draw(9, 1, shift=50), training, positions(training)) == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fresh_ones_of_the_same_kind_are_no_more_often_near_than_training_ones(seed: int) -> None:
    training = draw(300)
    share = memorised(draw(300, seed), training, positions(training))
    assert share is not None and share < 0.11


@pytest.mark.parametrize("made, training", [(3, 0), (3, 1), (0, 3), (0, 0)])
def test_copies_of_too_few(made: int, training: int) -> None:
    rows = draw(training)
    assert memorised(draw(made, 1), rows, positions(rows)) is None


@pytest.mark.parametrize("n", [2, 3])
def test_a_defect_that_is_its_own_mirror_image_is_near_to_no_other(n: int) -> None:
    training = torch.eye(WIDTH)[:n] * 10
    turned = training.repeat(8, 1)
    assert memorised(training, training, turned) == 1
    assert memorised(torch.eye(WIDTH)[n : n + 1] * 20, training, turned) == 0


@pytest.mark.parametrize("few", [2, 4, 9])
def test_frechet_distances_of_as_many_rows_compare(few: int) -> None:
    large, small = (set_distances(draw(n), draw(n, 1), frechet_rows=few) for n in (30, 10))
    alone = set_distances(draw(30), draw(30, 1))
    assert large is not None and small is not None and alone is not None
    assert large["frechet_rows"] == small["frechet_rows"] == few
    assert large["kernel"] == alone["kernel"], "which is unbiased, and takes them all"
    assert large["frechet"] > alone["frechet"], "the fewer the rows, the larger"
