import pytest
import torch
from torch import Tensor, nn

from blemish.training.adapt import (
    AdaptiveAugmentation,
    PathLength,
    average_of,
    ema_decay,
    follow,
)


class Layer(nn.Linear):
    seen: Tensor

    def __init__(self) -> None:
        super().__init__(3, 2)
        self.register_buffer("seen", torch.zeros(2))


def test_an_average_is_a_frozen_copy_of_its_own() -> None:
    layer = Layer()
    average = average_of(layer)
    assert not average.training and not any(p.requires_grad for p in average.parameters())
    assert all(p.requires_grad for p in layer.parameters())
    before = average.weight.clone()
    layer.weight.data.add_(1)
    assert torch.equal(average.weight, before)


@pytest.mark.parametrize("decay", [0.0, 0.25, 1.0])
def test_an_average_follows_by_what_does_not_decay(decay: float) -> None:
    layer = Layer()
    average, old = average_of(layer), layer.weight.detach().clone()
    layer.weight.data.normal_()
    layer.seen.fill_(3)
    follow(average, layer, decay=decay)
    torch.testing.assert_close(average.weight, decay * old + (1 - decay) * layer.weight)
    assert torch.equal(average.seen, layer.seen)


def test_what_stands_still_is_followed_to_the_bit() -> None:
    layer = Layer()
    average = average_of(layer)
    for decay in (0.1, 0.5, 0.9, 0.999):
        follow(average, layer, decay=decay)
    assert torch.equal(average.weight, layer.weight)


@pytest.mark.parametrize("batch", [1, 16, 250])
def test_after_a_half_life_half_is_left(batch: int) -> None:
    decay = ema_decay(10**9, batch=batch, half_life_nimg=1000, ramp=0.05)
    assert decay ** (1000 / batch) == pytest.approx(0.5)


def test_the_half_life_grows_with_the_images_seen() -> None:
    early = ema_decay(2000, batch=10, half_life_nimg=10_000, ramp=0.05)
    assert early == ema_decay(10**9, batch=10, half_life_nimg=100, ramp=0.05)
    assert ema_decay(0, batch=10, half_life_nimg=10_000, ramp=0.05) == 0


def ada(**options: float) -> AdaptiveAugmentation:
    return AdaptiveAugmentation(**{"target": 0.6, "speed_nimg": 1000, "cap": 0.8, **options})


def test_a_critic_that_memorises_is_shown_more_augmentation() -> None:
    augmentation = ada()
    for k in range(1, 4):
        augmentation.update(torch.ones(4), nimg=100)
        torch.testing.assert_close(augmentation.probability, torch.tensor(0.1 * k))
    augmentation.update(torch.tensor([1.0, 1, -1, -1]), nimg=200)
    torch.testing.assert_close(augmentation.probability, torch.tensor(0.1))


def test_the_probability_stays_between_nothing_and_its_cap() -> None:
    augmentation = ada()
    augmentation.update(-torch.ones(4), nimg=100)
    assert augmentation.probability == 0
    augmentation.update(torch.ones(4), nimg=10_000)
    torch.testing.assert_close(augmentation.probability, torch.tensor(0.8))


def test_at_the_target_nothing_changes() -> None:
    augmentation = ada(target=0.5)
    augmentation.probability.fill_(0.3)
    augmentation.update(torch.tensor([1.0, 1, 1, -1]), nimg=100)
    torch.testing.assert_close(augmentation.probability, torch.tensor(0.3))


def test_the_probability_is_part_of_the_state() -> None:
    assert set(ada().state_dict()) == {"probability"}
    assert set(PathLength().state_dict()) == {"mean"}


def test_path_lengths_are_pulled_towards_their_running_mean() -> None:
    path, lengths = PathLength(decay=0.25), torch.tensor([1.0, 3.0], requires_grad=True)
    penalty = path.penalty(lengths, lengths.detach())
    torch.testing.assert_close(path.mean, torch.tensor(2.0))  # at first there is no other
    torch.testing.assert_close(penalty, torch.tensor([1.0, 1.0]))
    penalty.sum().backward()
    torch.testing.assert_close(lengths.grad, torch.tensor([-2.0, 2.0]))
    path.penalty(lengths.detach(), torch.tensor([4.0, 8.0]))
    torch.testing.assert_close(path.mean, torch.tensor(3.0))


def test_the_running_mean_settles() -> None:
    path = PathLength(decay=0.1)
    path.penalty(torch.ones(2), torch.ones(2))
    lengths = torch.full((2,), 7.0)
    for _ in range(200):
        path.penalty(lengths, lengths)
    torch.testing.assert_close(path.penalty(lengths, lengths), torch.zeros(2), rtol=0, atol=1e-6)
