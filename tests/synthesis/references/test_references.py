from itertools import pairwise

import numpy as np
import pytest
import torch
from tiny import part, spot, write_bundle

from blemish.models.critic import Critic
from blemish.models.load import load_matching_critic
from blemish.models.projected import ProjectedConfig
from blemish.models.residual import ResidualConfig
from blemish.synthesis.placement.search import Reference
from blemish.synthesis.references.distil import Distilled, distil
from blemish.synthesis.references.stitch import Stitched, stitch_defect

SIDE = 16


@pytest.fixture(scope="module", params=[ResidualConfig(), ProjectedConfig()])
def matching(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Critic:
    folder = tmp_path_factory.mktemp("matching") / "bundle"
    return load_matching_critic(write_bundle(folder, critic=request.param))


def bar(angle: float, *, side: int = 64, length: float = 14, width: float = 3) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    return (np.abs(along) <= length) & (np.abs(across) <= width)


def pair(n: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.zeros(n, 1, SIDE, SIDE)
    mask[:, :, 5:12, 4:10] = 1
    return torch.rand(n, 3, SIDE, SIDE) * 2 - 1, mask


def test_a_stitched_target_is_met_by_itself() -> None:
    target, mask = pair()
    assert not Stitched(target).error(target, mask).any()


def test_a_stitched_error_is_of_the_inside_alone() -> None:
    target, mask = pair()
    image = torch.where(mask > 0, target, torch.randn_like(target))
    assert not Stitched(target).error(image, mask).any()
    assert (Stitched(target).error(target + 0.1 * mask, mask) > 0).all()


@pytest.mark.parametrize("kind", ["stitched", "distilled"])
def test_the_nearer_the_less(kind: str, matching: Critic) -> None:
    target, mask = pair()
    reference = Stitched(target) if kind == "stitched" else distil(matching, target[:1], mask[:1])
    target = target if kind == "stitched" else target[:1].expand(2, -1, -1, -1)
    assert isinstance(reference, Reference)
    stray = torch.randn_like(target)
    errors = [reference.error(target.lerp(stray, t), mask) for t in (0, 0.1, 0.3, 1)]
    assert torch.allclose(errors[0], torch.zeros(2), atol=1e-6)
    for near, far in pairwise(errors):
        assert (near < far).all()


def test_distilled_statistics_are_those_of_the_real_ones(matching: Critic) -> None:
    image, mask = pair(6)
    found = distil(matching, image, mask)
    error = found.error(image, mask)
    assert error.shape == (6,)
    # In units of the deviation real ones are one from their mean; the summand keeps it below.
    expected = (found.deviation / (found.deviation + 1e-2)).square().mean()
    torch.testing.assert_close(error.mean(), expected)
    strangers = found.error(3 * torch.ones(6, 3, SIDE, SIDE), mask)
    assert (strangers > error.max()).all()


def test_distilled_errors_are_each_item_s_own(matching: Critic) -> None:
    image, mask = pair(4)
    found = distil(matching, *pair(3))
    apart = [found.error(image[k : k + 1], mask[k : k + 1]) for k in range(4)]
    torch.testing.assert_close(found.error(image, mask), torch.cat(apart))


def test_one_real_defect_is_enough(matching: Critic) -> None:
    found = distil(matching, *pair(1))
    assert isinstance(found, Distilled)
    assert not found.deviation.any()
    assert found.error(*pair(2)).isfinite().all()


def test_references_pull(matching: Critic) -> None:
    (target, mask), (image, _) = pair(), pair()
    for reference in (Stitched(target), distil(matching, target, mask)):
        image = image.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(reference.error(image, mask).sum(), image)
        assert gradient.isfinite().all()
        assert (gradient * mask).any()


def test_a_defect_stitched_onto_its_own_place_stays() -> None:
    source = part()
    source[bar(0.3)] = (10, 200, 30)
    found = stitch_defect(part(), bar(0.3), source, bar(0.3), blend=False)
    assert np.array_equal(found, source)
    blended = stitch_defect(part(), bar(0.3), source, bar(0.3))
    assert np.abs(blended.astype(int) - source).max() <= 4, "its light is that of the place"


@pytest.mark.parametrize("light", [-40, 30])
@pytest.mark.parametrize("shift", [(0, 0), (8, -6), (22, 20)])
def test_a_blended_defect_takes_on_the_light_of_its_place(
    light: int, shift: tuple[int, int]
) -> None:
    source = np.full((64, 64, 3), 140, np.uint8)
    source[spot()] = (100, 60, 70)
    target, photograph = np.roll(spot(), shift, (0, 1)), np.full((64, 64, 3), 140 + light, np.uint8)
    found = stitch_defect(photograph, target, source, spot())
    assert np.array_equal(found[~target], photograph[~target])
    inside = np.median(found[target].reshape(-1, 3), axis=0)
    assert np.abs(inside - (100 + light, 60 + light, 70 + light)).max() <= 12


@pytest.mark.parametrize("angle", [0, 0.5, 1.2, 2, 3])
@pytest.mark.parametrize("shift", [(0, 0), (-9, 7)])
def test_a_moved_defect_fills_the_target(angle: float, shift: tuple[int, int]) -> None:
    source = np.full((64, 64, 3), 200, np.uint8)
    source[bar(1)] = (20, 40, 60)
    target, photograph = np.roll(bar(angle), shift, (0, 1)), np.full((64, 64, 3), 90, np.uint8)
    found = stitch_defect(photograph, target, source, bar(1), blend=False)
    assert np.array_equal(found[~target], photograph[~target]), "outside is the photograph's"
    near = np.abs(found[target].astype(int) - (20, 40, 60)).max(axis=1) <= 60
    assert near.mean() > 0.85, "the ellipse was laid over the other"


def test_a_defect_is_scaled_to_the_target() -> None:
    y = np.mgrid[:64, :64][0]
    source = np.repeat((4 * y[:, :, None]).astype(np.uint8), 3, axis=2)
    small, large = bar(0, length=8, width=8), bar(0, length=16, width=16)
    found = stitch_defect(part(), large, source, small, blend=False)
    column = found[large.any(axis=1), 32, 0].astype(int)
    assert np.abs(np.diff(column)).mean() == pytest.approx(2, abs=0.3), "half the slope at twice"


def test_thin_and_tiny_masks_do_no_harm() -> None:
    dot = np.zeros((64, 64), bool)
    dot[30, 30] = True
    source, photograph = np.full((64, 64, 3), 7, np.uint8), part()
    for target, mask in ((spot(), dot), (dot, spot()), (dot, dot), (bar(1, width=0.6), spot())):
        for blend in (False, True):
            found = stitch_defect(photograph, target, source, mask, blend=blend)
            assert found.shape == photograph.shape
            assert np.array_equal(found[~target], photograph[~target])
