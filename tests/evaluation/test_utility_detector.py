"""The detector: shapes, gradients, the rate, and that it learns what can be learnt."""

from pathlib import Path

import numpy as np
import pytest
import torch

from blemish.errors import TrainingError
from blemish.evaluation.utility.arms import Batches, TrainingBatch, make_arms
from blemish.evaluation.utility.detector import STRIDE, Classifier, UNet, fresh_detector
from blemish.evaluation.utility.protocol import Protocol, read_protocol
from blemish.evaluation.utility.scores import pixel_scores
from blemish.evaluation.utility.training import (
    VIEWS,
    QuarterTurn,
    loss_of,
    maps_of,
    overlap_loss,
    rate_at,
    train_detector,
    types_of,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def real(parts: Path) -> Protocol:
    return read_protocol(parts, 32)


def of_real(real: Protocol, steps: int, seed: int = 0) -> Batches:
    (arm,) = make_arms(("real",), real, None)
    return Batches(arm=arm, real=real, steps=steps, batch=4, seed=seed)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("side", [(32, 32), (40, 64)])
def test_shapes(n: int, side: tuple[int, int]) -> None:
    image = torch.randn(n, 3, *side)
    assert UNet()(image).shape == (n, 1, *side)
    assert Classifier(3)(image).shape == (n, 3)


def test_the_segmenter_has_half_a_million_parameters() -> None:
    assert sum(p.numel() for p in UNet().parameters()) == pytest.approx(5e5, rel=0.1)
    assert STRIDE == 8


def test_an_item_does_not_depend_on_its_batch() -> None:
    detector, image = fresh_detector(2, seed=0).train(False), torch.randn(3, 3, 32, 32)
    for network in (detector.segmenter, detector.classifier):
        alone = torch.cat([network(one[None]) for one in image])
        torch.testing.assert_close(network(image), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("view", VIEWS)
def test_what_is_seen_otherwise_is_brought_back(view: QuarterTurn) -> None:
    picture = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(view.back(view.of(picture)), picture)
    seen = {tuple(one.of(picture).flatten().tolist()) for one in VIEWS}
    assert len(seen) == len(VIEWS) == 8


def test_a_picture_is_marked_alike_however_it_lies(real: Protocol) -> None:
    detector = fresh_detector(2, seed=0).train(False)
    pictures = real.tested.pictures
    maps = maps_of(detector, pictures, CPU)
    for turned, lies in (
        (pictures[:, ::-1], maps[:, ::-1]),
        (pictures[:, :, ::-1], maps[:, :, ::-1]),
        (np.rot90(pictures, 1, (1, 2)), np.rot90(maps, 1, (1, 2))),
    ):
        np.testing.assert_allclose(maps_of(detector, turned.copy(), CPU), lies, atol=1e-4)
        assert (types_of(detector, turned.copy(), CPU) == types_of(detector, pictures, CPU)).all()


def test_sure_answers_have_finite_logits(real: Protocol) -> None:
    detector = fresh_detector(2, seed=0).train(False)
    assert detector.segmenter.head.bias is not None
    for bias in (1e3, -1e3):
        torch.nn.init.constant_(detector.segmenter.head.bias, bias)
        maps = maps_of(detector, real.tested.pictures, CPU)
        assert np.isfinite(maps).all() and (np.sign(maps) == np.sign(bias)).all()


def test_every_parameter_has_a_gradient(real: Protocol) -> None:
    detector = fresh_detector(2, seed=0)
    loss_of(detector, of_real(real, 1).at(0), CPU).backward()
    for parameter in detector.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all()
        assert parameter.grad.abs().max() > 0


@pytest.mark.parametrize("seed", [0, 7])
def test_a_seed_gives_the_same_networks_and_leaves_others_alone(seed: int) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    one, same = fresh_detector(2, seed=seed), fresh_detector(2, seed=seed)
    torch.testing.assert_close(torch.rand(3), expected)
    other = fresh_detector(2, seed=seed + 1)
    for a, b in zip(one.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.segmenter.head.weight, other.segmenter.head.weight)


@pytest.mark.parametrize("steps", [1, 2, 16, 800])
def test_the_rate_rises_then_falls_to_nothing(steps: int) -> None:
    rates = [rate_at(index, steps) for index in range(steps)]
    top = rates.index(max(rates))
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert top <= 0.1 * steps and rates[top] > 0.7
    if steps == 800:
        assert max(rates) == 1 and rates[-1] < 1e-3 and rates[0] < 0.02


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_the_overlap_loss_is_none_where_all_is_found_and_one_where_nothing_is(
    share: float,
) -> None:
    mask = (torch.rand(2, 1, 64, 64) < share).float()
    assert overlap_loss(200 * mask - 100, mask).item() == pytest.approx(0, abs=1e-6)
    assert overlap_loss(100 - 200 * mask, mask).item() > 0.999
    everything = overlap_loss(torch.full_like(mask, 100), mask).item()
    marked, total = mask.sum().item(), mask.numel()
    assert everything == pytest.approx(1 - (2 * marked + 1) / (total + marked + 1), rel=1e-5)


def test_the_same_seed_trains_the_same_detector(real: Protocol) -> None:
    trained = []
    for chatter in (1, 2):
        torch.manual_seed(chatter)
        detector = fresh_detector(2, seed=3)
        train_detector(detector, of_real(real, 3, seed=3), device=CPU)
        trained.append(detector)
    for a, b in zip(*(detector.parameters() for detector in trained), strict=True):
        assert torch.equal(a, b)


def test_progress_is_reported_step_by_step(real: Protocol) -> None:
    heard: list[int] = []
    train_detector(
        fresh_detector(2, seed=0), of_real(real, 3), device=CPU, on_progress=heard.append
    )
    assert heard == [1, 2, 3]


def test_what_can_be_learnt_is_learnt(real: Protocol) -> None:
    detector = fresh_detector(2, seed=0)
    train_detector(detector, of_real(real, 60), device=CPU)
    maps = maps_of(detector, real.tested.pictures, CPU)
    assert maps.shape == real.tested.masks.shape
    assert pixel_scores(maps, real.tested.marked).ap > 0.8
    odd = [k for k, kind in enumerate(real.tested.kinds) if kind in real.types]
    predicted = types_of(detector, real.tested.pictures[odd], CPU)
    right = [real.types[t] == real.tested.kinds[k] for t, k in zip(predicted, odd, strict=True)]
    assert np.mean(right) > 0.8


def test_a_detector_that_diverges_stops(real: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    batches, good = of_real(real, 4), Batches.at

    def spoilt(self: Batches, index: int) -> TrainingBatch:
        batch = good(self, index)
        return (
            batch
            if index < 2
            else TrainingBatch(image=batch.image * torch.nan, mask=batch.mask, kind=batch.kind)
        )

    monkeypatch.setattr(Batches, "at", spoilt)
    with pytest.raises(TrainingError, match="diverged at step 3"):
        train_detector(fresh_detector(2, seed=0), batches, device=CPU)
