"""Warm starts."""

from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from blemish.models.generator import Generator, GeneratorConfig
from blemish.training.warmstart import FEWER, Autoencoder, Components, DrawLatents, WarmStep

SHAPE = GeneratorConfig(resolution=64, z_dim=8, w_dim=8, channel_base=128, channel_max=4)


def photographs(side: int, n: int = 40, hidden: int = 4) -> Tensor:
    """Photographs that differ by a few hidden numbers, alike at every side."""
    rng = torch.Generator().manual_seed(0)
    middle = torch.rand(1, 3, 4, 4, generator=rng) - 0.5
    changes = torch.randn(hidden, 3, 4, 4, generator=rng) * 0.05
    coarse = middle + torch.einsum("nk,kchw->nchw", torch.randn(n, hidden, generator=rng), changes)
    return F.interpolate(coarse, size=side, mode="nearest")


def test_pictures_of_components_vary_as_the_photographs_do() -> None:
    real = photographs(32)
    drawn = Components(real, z_dim=4)(torch.randn(4000, 4, generator=torch.Generator()))
    assert drawn.mean(dim=0).allclose(real.mean(dim=0), atol=0.02)
    wanted, found = (torch.cov(x[:, :, ::8, ::8].flatten(1).T) for x in (real, drawn))
    assert (found - wanted).norm() < 0.1 * wanted.norm()


def test_photographs_are_pictures_of_components() -> None:
    real = photographs(32, n=5)
    components = Components(real, z_dim=8)
    away = (real - components.mean).flatten(1)
    solved = torch.linalg.lstsq(components.basis.T, away.T, driver="gelsd").solution
    assert (components.basis.T @ solved).T.allclose(away, atol=1e-4)


def test_a_finer_picture_is_the_coarser_one_enlarged() -> None:
    z = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    coarse, fine = (Components(photographs(side), z_dim=6)(z) for side in (32, 64))
    assert F.avg_pool2d(fine, 2).allclose(coarse, atol=1e-4)


def test_more_components_than_photographs_change_nothing() -> None:
    few = Components(photographs(32, n=3), z_dim=16)
    assert few.basis[:2].abs().sum(dim=1).gt(0.1).all()
    assert few.basis[2:].abs().max() == 0


@pytest.mark.parametrize(
    ("side", "known", "sides"),
    [(16, 0, [16]), (32, 0, [32]), (128, 0, [32, 64, 128]), (128, 64, [128])],
)
def test_coarse_images_come_first(side: int, known: int, sides: list[int]) -> None:
    assert Components(photographs(side), 4, known).sides == sides


def test_a_grown_generator_needs_the_steps_of_the_finer_sides_alone() -> None:
    share = Components(photographs(128), 4, known=64).share
    assert share == pytest.approx(FEWER**2 / (1 + FEWER + FEWER**2))
    assert Components(photographs(128), 4).share == 1
    assert Autoencoder(SHAPE, 1e-3, known=32).share == 0


def test_the_rate_falls_to_nothing_at_the_end() -> None:
    components = Components(photographs(64), 4)
    rates = [components.pace(k / 100)[0] for k in range(101)]
    assert rates[58] > rates[57] > 0  # the second octave begins anew
    assert rates[100] == pytest.approx(0)


def test_the_loss_compares_images_of_the_side_whose_turn_it_is() -> None:
    components, seen = Components(photographs(64), 4), []

    def draw(z: Tensor, side: int | None = None) -> Tensor:
        seen.append(side)
        return F.adaptive_avg_pool2d(components(z), cast(int, side))

    noise = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    for done in (0.0, 0.6, 1.0):  # 1 beside the critic, too
        loss, _ = components.loss(
            WarmStep(cast(DrawLatents, draw), photographs(64, n=2), noise, done)
        )
        assert float(loss) < 1e-6
    assert seen == [32, 64, 64]


def test_a_prepared_generator_draws_nearly_the_same_for_all_codes() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = Generator(SHAPE)
    z = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
    before = generator.draw(generator.codes(z)).image.std(dim=0).mean()
    Components(photographs(64), 8).prepare(generator)
    assert generator.draw(generator.codes(z)).image.std(dim=0).mean() < before / 10
