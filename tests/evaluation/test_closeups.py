import cv2
import numpy as np
import pytest
import torch

from blemish.evaluation.synthesis.closeups import LEAST_SIDE, SIDE, CloseUps, close_ups
from blemish.evaluation.synthesis.realism import (
    LAYERS,
    RealCloseUps,
    Realism,
    close_up_features,
    distance,
    probe_accuracy,
)
from blemish.features import FeatureNetwork


@pytest.fixture(scope="module")
def network() -> FeatureNetwork:
    """SqueezeNet with random weights."""
    torch.manual_seed(0)
    return FeatureNetwork("squeezenet")


def scene(seed: int, *, sigma: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A photograph of noise, more or less blurred inside a disc, and the disc."""
    rng = np.random.default_rng(seed)
    picture = cv2.GaussianBlur(rng.normal(128, 40, (200, 240, 3)), (0, 0), 1.0)
    mask = np.zeros((200, 240), np.uint8)
    centre = tuple(int(at) for at in rng.integers(60, 140, 2))
    mask = cv2.circle(mask, centre, 25, [1], cv2.FILLED) > 0
    inside = cv2.GaussianBlur(rng.normal(100, 40, picture.shape), (0, 0), sigma)
    levels = np.where(mask[:, :, None], inside, picture)
    return levels.clip(0, 255).astype(np.uint8), mask


def scenes(n: int, first: int = 0, *, sigma: float = 1.0) -> CloseUps:
    return close_ups(scene(first + k, sigma=sigma) for k in range(n))


def test_each_piece_has_a_close_up_in_native_pixels() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    mask = np.zeros((300, 400), bool)
    mask[10:20, 10:30] = mask[100:220, 200:260] = mask[290, 390] = True
    found = close_ups([(picture, mask)])
    assert len(found) == 2  # a speck has none
    assert [len(square) for square in found.native] == [LEAST_SIDE, int(1.6 * 120)]
    assert np.array_equal(found.native[0], picture[:LEAST_SIDE, :LEAST_SIDE])
    assert found.squares.shape == (2, SIDE, SIDE, 3)


def test_there_may_be_none() -> None:
    picture, mask = scene(0)
    assert len(close_ups([(picture, mask & False)])) == 0


def test_a_set_beside_others_of_its_kind_looks_real(network: FeatureNetwork) -> None:
    known = RealCloseUps.of(network, scenes(24))
    alike, soft = (known.compare(network, scenes(24, 100, sigma=sigma)) for sigma in (1.0, 4.0))
    assert alike is not None and soft is not None
    assert alike.kernel_distance < soft.kernel_distance
    one, other = (
        {k: v for k, v in found.figures.items() if v is not None} for found in (alike, soft)
    )
    assert one["probe"] < other["probe"]
    assert other["sharpness"] < 0.5 < one["sharpness"] < 2


def test_halves_and_few_close_ups(network: FeatureNetwork) -> None:
    known = RealCloseUps.of(network, scenes(12))
    halves = known.halves()
    assert isinstance(halves, Realism) and halves.close_ups == 6
    assert known.compare(network, scenes(3)) is None
    assert RealCloseUps.of(network, scenes(7)).halves() is None


def test_each_block_and_moment_has_length_one(network: FeatureNetwork) -> None:
    rows = close_up_features(network, scenes(3).squares)
    assert rows.square().sum(dim=1) == pytest.approx([2 * len(LAYERS)] * 3)


def test_the_kernel_is_that_of_plain_products() -> None:
    a, b = torch.randn(7, 5).double(), torch.randn(6, 5).double()

    def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x @ y.T + 1) ** 3

    def off(k: torch.Tensor) -> torch.Tensor:
        return (k.sum() - k.trace()) / (len(k) * (len(k) - 1))

    slow = off(kernel(a, a)) + off(kernel(b, b)) - 2 * kernel(a, b).mean()
    assert distance(a, b) == pytest.approx(float(slow))


def test_the_probe_leaves_each_row_out() -> None:
    a, b = torch.randn(8, 20).double(), torch.randn(8, 20).double() + 0.5
    x, y = torch.cat([a, b]), torch.cat([torch.ones(8), -torch.ones(8)]).double()
    x = x - x.mean(dim=0)
    ridge = 0.05 * (x @ x.T).diagonal().mean()
    right = 0
    for k in range(16):
        rest = torch.arange(16) != k
        gram = x[rest].T @ x[rest] + ridge * torch.eye(20).double()
        slope = torch.linalg.solve(gram, x[rest].T @ y[rest])
        right += int((x[k] @ slope).sign() == y[k])
    assert probe_accuracy(a, b) == pytest.approx(100 * right / 16)


def test_sets_far_apart_are_told_apart() -> None:
    a = torch.randn(10, 6).double()
    assert probe_accuracy(a, a + 20) == 100


def moved(pairs: list[tuple[np.ndarray, np.ndarray]]) -> CloseUps:
    """The same defects on the photographs turned by a quarter."""
    return close_ups((np.rot90(p).copy(), np.rot90(m).copy()) for p, m in pairs)


def test_insides_show_the_piece_alone() -> None:
    picture, mask = scene(1)
    other = np.where(mask[:, :, None], picture, 255 - picture)
    one, two = close_ups([(picture, mask)]), close_ups([(other, mask)])
    assert not np.array_equal(one.squares, two.squares)
    assert np.array_equal(one.insides, two.insides)


def test_insides_stay_beside_their_squares() -> None:
    found = scenes(9)
    mixed = found.shuffled(np.random.default_rng(3))
    for square, inside in zip(mixed.squares, mixed.insides, strict=True):
        (k,) = [k for k, known in enumerate(found.squares) if np.array_equal(known, square)]
        assert np.array_equal(found.insides[k], inside)
    assert np.array_equal(mixed[2:5].insides, mixed.insides[2:5])
    joined = CloseUps.joined([found, mixed])
    assert len(joined.insides) == len(joined) == 18


def test_copies_are_found_in_any_position_and_new_ones_are_none(network: FeatureNetwork) -> None:
    pairs = [scene(k) for k in range(16)]
    known = RealCloseUps.of(network, close_ups(pairs))
    copied, new = known.compare(network, moved(pairs)), known.compare(network, scenes(16, 200))
    assert copied is not None and copied.figures["copies"] == 1
    assert new is not None and (new.figures["copies"] or 0) < 0.5


def test_defects_that_are_all_alike_have_no_diversity(network: FeatureNetwork) -> None:
    known = RealCloseUps.of(network, scenes(8))
    same = known.compare(network, close_ups([scene(50)] * 8))
    varied = known.compare(network, scenes(8, 100))
    assert same is not None and varied is not None
    assert same.figures["diversity"] == pytest.approx(0, abs=1e-9)
    assert (varied.figures["diversity"] or 0) > 1e-6
