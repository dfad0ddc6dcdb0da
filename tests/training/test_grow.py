"""A finer generator begins as the coarser one, and says so where it can't."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import exit_code
from tiny import CONFIG, write_bundle

from blemish.checkpoint import Bundle
from blemish.errors import OptionError
from blemish.models.critic import build_critic
from blemish.models.generator import Generator, GeneratorConfig
from blemish.models.layers import binomial_filter, blur, upsample
from blemish.models.residual import ResidualConfig
from blemish.training.grow import grow, refuse_unlike
from blemish.training.presets import PRESETS
from blemish.types import Codes

FINE = replace(CONFIG, resolution=32)


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("coarse") / "bundle")


def drawn(generator: Generator, n: int = 2) -> torch.Tensor:
    """Pictures of codes that every resolution shares, without noise."""
    rng = torch.Generator().manual_seed(0)
    w = torch.randn(n, 1, 16, generator=rng).expand(-1, generator.config.layers, -1)
    return generator.draw(Codes(w=w), noise="none").image


def small(coarse: Bundle) -> Generator:
    generator = Generator(replace(CONFIG, defect=None))
    known = coarse.tensors("generator")
    generator.load_state_dict({k: known[k] for k in generator.state_dict()})
    return generator


@torch.no_grad()
def test_at_first_it_draws_the_coarser_picture_enlarged(coarse: Bundle) -> None:
    config = replace(FINE, defect=None)
    generator, critic = Generator(config), build_critic(ResidualConfig(), config)
    grow(generator, critic, coarse)
    expected, found = drawn(small(coarse)), drawn(generator)
    torch.testing.assert_close(found, upsample(expected, binomial_filter()))


@torch.no_grad()
@pytest.mark.parametrize("side", [32, 64])
def test_at_first_the_critic_judges_the_picture_at_a_lower_resolution(
    side: int, tmp_path: Path
) -> None:
    config = replace(CONFIG, channel_base=512, defect=None)
    coarse, critic = (
        write_bundle(tmp_path / "coarse", config),
        build_critic(ResidualConfig(), config),
    )
    critic.load_state_dict(coarse.tensors("critic"))
    critic.get_parameter("b16.fromrgb.bias").uniform_(-1, 1)
    coarse.write("critic", critic.state_dict())
    fine = replace(config, resolution=side)
    finer = build_critic(ResidualConfig(), fine)
    grow(Generator(fine), finer, coarse)
    picture = torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(2))
    small = picture
    while small.shape[-1] > config.resolution:
        small = blur(small, binomial_filter(), padding=1, stride=2)
    torch.testing.assert_close(finer(picture), critic(small), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_critic_without_channels_for_colours_keeps_all_but_its_first_block(
    tmp_path: Path,
) -> None:
    config = replace(CONFIG, channel_base=128, defect=None)
    coarse = write_bundle(tmp_path / "coarse", config)
    critic, known = (
        build_critic(ResidualConfig(), replace(config, resolution=32)),
        coarse.tensors("critic"),
    )
    before = {k: v.clone() for k, v in critic.state_dict().items()}
    grow(Generator(replace(config, resolution=32)), critic, coarse)
    after = critic.state_dict()
    shared = [k for k in after if k in known and ".fromrgb." not in k]
    assert len(shared) > 10 and all(torch.equal(after[k], known[k]) for k in shared)
    own = [k for k in after if k.startswith("b32.")]
    assert own and all(torch.equal(after[k], before[k]) for k in own)


def test_the_new_blocks_can_learn(coarse: Bundle) -> None:
    config = replace(FINE, defect=None)
    generator = Generator(config)
    grow(generator, build_critic(ResidualConfig(), config), coarse)
    drawn(generator).square().mean().backward()
    for name in ("b32.torgb.weight", "b32.torgb.bias"):
        gradient = generator.synthesis.get_parameter(name).grad
        assert gradient is not None and gradient.abs().max() > 0


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        replace(CONFIG, resolution=8, defect=None),
        replace(FINE, z_dim=8),
        replace(FINE, w_dim=32),
        replace(FINE, channel_base=512),
        replace(FINE, channel_max=8),
    ],
)
def test_another_shape_is_refused(coarse: Bundle, config: GeneratorConfig) -> None:
    with pytest.raises(OptionError, match="a generator of 16"):
        refuse_unlike(config, coarse)


def test_presets_that_say_so_are_finer_forms(tmp_path: Path) -> None:
    for coarse, fine in (
        ("tiny-16", "tiny-32"),
        ("bottle-64", "bottle-128"),
        ("nut-64", "nut-128-slim"),
    ):
        bundle = write_bundle(tmp_path / coarse, PRESETS[coarse].shape)
        refuse_unlike(PRESETS[fine].shape, bundle)


def test_the_commands_grow_a_bundle(parts: Path, tmp_path: Path) -> None:
    data, fine = parts, tmp_path / "fine"
    brief = "--kimg 0.02 --batch 4 --device cpu"
    start = write_bundle(tmp_path / "start", replace(PRESETS["tiny-16"].shape, defect=None))
    growing = f"train generator {data} --out {fine} --preset tiny-32 --grow {start.path}"
    assert exit_code(f"{growing} {brief}") == 0
    found = Bundle(fine)
    assert found.config["grown_from"] == start.digest
    assert found.tensors("generator")["synthesis.b32.torgb.weight"].isfinite().all()
    assert exit_code(f"{growing} --kimg 0.03 --batch 4 --device cpu --resume") == 0
    assert found.config["grown_from"] == start.digest
    assert exit_code(growing.split(" --grow")[0] + " --kimg 0.04 --resume") == 0
    assert found.config["grown_from"] == start.digest
