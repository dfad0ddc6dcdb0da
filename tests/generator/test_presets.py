"""Every preset that ships builds and draws."""

from dataclasses import replace

import pytest
import torch

from blemish.errors import OptionError
from blemish.generator.critic import build_critic
from blemish.generator.network import Generator
from blemish.generator.presets import PRESETS, find_preset


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_draws_a_part_with_its_mask(name: str) -> None:
    preset = find_preset(name)
    branch = replace(preset.branch, types=("dent", "rust"))
    generator = Generator(replace(preset.shape, defect=branch))
    z = torch.randn(1, preset.shape.z_dim)
    with torch.no_grad():
        sample = generator(generator.codes(z, z, torch.tensor([1])))
        critic = build_critic(preset.defects.critic, preset.shape, image_channels=4)
        logits = critic(torch.cat([sample.image, 2 * sample.mask - 1], dim=1))
    side = preset.shape.resolution
    assert sample.image.shape == (1, 3, side, side)
    assert sample.mask.unique().tolist() in ([0.0], [1.0], [0.0, 1.0])
    assert logits.isfinite().all()


def test_an_unknown_preset_is_told_with_those_that_are_known() -> None:
    with pytest.raises(OptionError, match="nut-64"):
        find_preset("nut-65")
