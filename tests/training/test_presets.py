"""Every preset that ships builds and draws."""

import pytest
import torch

from blemish.errors import OptionError
from blemish.models.critic import build_critic
from blemish.models.generator import Generator
from blemish.training.presets import PRESETS, find_preset


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_draws_a_part_that_its_critic_judges(name: str) -> None:
    preset = find_preset(name)
    generator = Generator(preset.shape)
    with torch.no_grad():
        image = generator(generator.codes(torch.randn(1, preset.shape.z_dim))).image
        logits = build_critic(preset.training.critic, preset.shape)(image)
    side = preset.shape.resolution
    assert image.shape == (1, 3, side, side)
    assert logits.isfinite().all()


def test_an_unknown_preset_is_reported_with_those_that_are_known() -> None:
    with pytest.raises(OptionError, match="nut-64"):
        find_preset("nut-65")
