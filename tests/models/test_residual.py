import pytest
import torch
from torch import Tensor

from blemish.models.critic import inside_statistics
from blemish.models.generator import GeneratorConfig
from blemish.models.losses import r1_penalty
from blemish.models.residual import ResidualCritic, minibatch_deviation

TINY = GeneratorConfig(resolution=16, z_dim=8, w_dim=8, channel_base=128, channel_max=8)


def stack(n: int = 4, channels: int = 3, side: int = 16) -> Tensor:
    return torch.rand(n, channels, side, side) * 2 - 1


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("resolution", [8, 16, 32])
def test_a_verdict_for_each_picture(resolution: int, channels: int) -> None:
    config = GeneratorConfig(resolution=resolution, channel_base=128, channel_max=8)
    critic = ResidualCritic(config, image_channels=channels)
    logits = critic(stack(5, channels, resolution))
    assert logits.shape == (5,) and logits.dtype == torch.float32


def test_features_halve_from_block_to_block() -> None:
    config = GeneratorConfig(resolution=32, channel_base=128, channel_max=8)
    sizes = [tuple(f.shape[1:]) for f in ResidualCritic(config).features(stack(2, side=32))]
    assert sizes == [(8, 16, 16), (8, 8, 8), (8, 4, 4)]


def test_every_parameter_gets_a_gradient() -> None:
    critic = ResidualCritic(TINY)
    critic(stack()).square().sum().backward()
    for name, parameter in critic.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_the_penalty_on_gradients_has_gradients_of_its_own() -> None:
    critic, real = ResidualCritic(TINY), stack().requires_grad_()
    r1_penalty(critic(real), real).mean().backward()
    for name, parameter in critic.named_parameters():
        if name.endswith("weight"):
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


def test_samples_are_judged_alone_in_groups_of_one() -> None:
    critic, pictures = ResidualCritic(TINY, group=1), stack(3)
    alone = torch.cat([critic(pictures[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(critic(pictures), alone, rtol=1e-4, atol=1e-5)


def test_a_group_is_judged_by_its_spread() -> None:
    critic, pictures = ResidualCritic(TINY), stack(4)
    alike = pictures[:1].repeat(4, 1, 1, 1)
    assert not torch.allclose(critic(pictures)[0], critic(alike)[0])
    torch.testing.assert_close(critic(alike), critic(alike)[:1].expand(4))


def test_the_order_of_a_group_does_not_matter() -> None:
    critic, pictures = ResidualCritic(TINY), stack(4)
    torch.testing.assert_close(critic(pictures.flip(0)), critic(pictures).flip(0))


def test_the_deviation_of_a_pair_is_half_its_distance() -> None:
    x = torch.randn(2, 3, 4, 4)
    deviation = minibatch_deviation(x, group=2)
    expected = ((x[0] - x[1]).square() / 4 + 1e-8).sqrt().mean()
    torch.testing.assert_close(deviation, expected.expand(2, 1, 4, 4))


@pytest.mark.parametrize(
    "n, group, groups", [(4, 4, 1), (8, 4, 2), (6, 4, 2), (6, 2, 3), (7, 7, 1)]
)
def test_groups_share_a_deviation_and_none_is_left_over(n: int, group: int, groups: int) -> None:
    deviation = minibatch_deviation(torch.randn(n, 3, 4, 4), group)
    assert deviation.shape == (n, 1, 4, 4)
    assert len(deviation[:, 0, 0, 0].unique()) == groups


@pytest.mark.parametrize("n, group", [(1, 4), (4, 1), (5, 4)])
def test_who_is_alone_deviates_from_nobody(n: int, group: int) -> None:
    deviation = minibatch_deviation(torch.randn(n, 3, 4, 4), group)
    torch.testing.assert_close(deviation, torch.full((n, 1, 4, 4), 1e-4))


def test_the_deviation_of_equal_samples_is_next_to_nothing() -> None:
    x = torch.randn(1, 3, 4, 4).repeat(4, 1, 1, 1).requires_grad_()
    deviation = minibatch_deviation(x, group=4)
    torch.testing.assert_close(deviation, torch.full((4, 1, 4, 4), 1e-4))
    deviation.sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


class Echo(ResidualCritic):
    """Its features are what it is shown, at three sizes."""

    def features(self, stack: Tensor) -> list[Tensor]:
        return [torch.nn.functional.avg_pool2d(stack, k) for k in (1, 2, 4)]


def test_statistics_look_at_fine_features_inside_the_mask_only() -> None:
    critic, mask = Echo(TINY, image_channels=4), torch.zeros(2, 1, 16, 16)
    mask[:, :, 4:8, 4:12] = 1
    image, other = stack(2), stack(2)
    found = inside_statistics(critic, image, mask)
    assert found.shape == (2, 2 * 2 * 4)  # mean and deviation, at 16² and 8², of four channels
    elsewhere = inside_statistics(critic, torch.where(mask > 0, image, other), mask)
    torch.testing.assert_close(elsewhere, found)
    inside = image[:, :, 4:8, 4:12]
    torch.testing.assert_close(found[:, :3], inside.mean(dim=(2, 3)))
    spread = (inside.var(dim=(2, 3), unbiased=False) + 1e-6).sqrt()
    torch.testing.assert_close(found[:, 4:7], spread)


def test_statistics_of_an_empty_mask_are_finite() -> None:
    found = inside_statistics(
        ResidualCritic(TINY, image_channels=4), stack(2), torch.zeros(2, 1, 16, 16)
    )
    assert found.isfinite().all()
