"""Latents of the warm start."""

import torch

from blemish.training.warmstart import standardised


def test_standardised_latents_fill_the_prior_wherever_the_encoder_puts_them() -> None:
    rng = torch.Generator().manual_seed(0)
    mean = torch.randn(4000, 3, generator=rng) * 1e-2 + torch.tensor([4.0, -7.0, 0.0])
    z = standardised(mean, torch.randn(4000, 3, generator=rng))
    deviation, centre = torch.std_mean(z, dim=0)
    assert centre.allclose(torch.zeros(3), atol=0.05)
    assert deviation.allclose(torch.ones(3), atol=0.05)


def test_standardised_latents_tell_photographs_apart() -> None:
    rng = torch.Generator().manual_seed(0)
    mean = torch.randn(500, 1, generator=rng)
    z = standardised(mean, torch.randn(500, 1, generator=rng))
    assert torch.corrcoef(torch.cat([mean, z], dim=1).T)[0, 1] > 0.6
