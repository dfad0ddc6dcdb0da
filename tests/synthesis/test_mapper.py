"""The mapper: what it begins as, what it heeds, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import CONFIG, TYPES, write_bundle
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.errors import BundleError
from blemish.generator.network import DefectConfig, Generator, GeneratorConfig
from blemish.generator.restore import load_generator
from blemish.inversion.encoder import Encoder, load_encoder
from blemish.synthesis.mapping.mapper import (
    MAPPER,
    Mapper,
    codes_for,
    fresh_mapper,
    load_mapper,
    see,
)

SIDE = CONFIG.resolution
BRANCHES = [
    DefectConfig(first_resolution=8, types=TYPES),
    DefectConfig(first_resolution=16, types=("paint",), conditional=False),
    DefectConfig(first_resolution=8, types=TYPES, takes_mask=False),
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("mapper") / "bundle", mapper=True)


@pytest.fixture(scope="module")
def generator(bundle: Bundle) -> Generator:
    return load_generator(bundle)


@pytest.fixture(scope="module")
def encoder(bundle: Bundle) -> Encoder:
    return load_encoder(bundle)


@pytest.fixture(scope="module")
def mapper(bundle: Bundle) -> Mapper:
    return load_mapper(bundle)


def asked(n: int = 3, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Photographs, masks, types and random codes."""
    rng = torch.Generator().manual_seed(seed)
    photograph = torch.rand(n, 3, SIDE, SIDE, generator=rng) * 2 - 1
    mask = torch.zeros(n, 1, SIDE, SIDE)
    for k in range(n):
        mask[k, 0, 4 + k : 8 + k, 5:9] = 1
    z = torch.randn(n, CONFIG.z_dim, generator=rng)
    return photograph, mask, torch.arange(n) % len(TYPES), z


@torch.no_grad()
def rows(generator: Generator, encoder: Encoder, mapper: Mapper, *of: Tensor) -> Tensor:
    photograph, *rest = of
    codes = codes_for(generator, mapper, see(encoder, photograph), *rest)
    assert codes.w_defect is not None
    return codes.w_defect


@pytest.mark.parametrize("branch", BRANCHES)
def test_untrained_it_draws_what_the_branch_has_learnt(branch: DefectConfig) -> None:
    config = replace(CONFIG, defect=branch)
    generator, encoder = Generator(config).eval(), Encoder(config).eval()
    photograph, mask, kind, z = asked()
    kind = kind % len(branch.types)
    found = rows(generator, encoder, fresh_mapper(generator, seed=0), photograph, mask, kind, z)
    chance = generator.defect_mapping(z, kind if branch.conditional else None)
    torch.testing.assert_close(found, chance[:, None].expand_as(found))


def test_the_part_is_as_the_encoder_reads_it(
    generator: Generator, encoder: Encoder, mapper: Mapper
) -> None:
    photograph, *rest = asked()
    codes = codes_for(generator, mapper, see(encoder, photograph), *rest)
    torch.testing.assert_close(codes.w, encoder(photograph).w)
    assert codes.space == "w+"


@pytest.mark.parametrize("what", range(4), ids=["photograph", "mask", "type", "code"])
def test_it_heeds_whatever_it_is_told(
    generator: Generator, encoder: Encoder, mapper: Mapper, what: int
) -> None:
    one, other = list(asked()), list(asked(seed=1))
    other[1], other[2] = one[1].roll(3, dims=3), 1 - one[2]
    changed = [other[k] if k == what else one[k] for k in range(4)]
    first, second = (
        rows(generator, encoder, mapper, *one),
        rows(generator, encoder, mapper, *changed),
    )
    assert ((first - second).abs().amax(dim=(1, 2)) > 1e-5).all()


def test_a_batch_of_one_is_an_item_of_a_batch(
    generator: Generator, encoder: Encoder, mapper: Mapper
) -> None:
    of = asked()
    together = rows(generator, encoder, mapper, *of)
    for k in range(3):
        alone = rows(generator, encoder, mapper, *(x[k : k + 1] for x in of))
        torch.testing.assert_close(alone, together[k : k + 1], atol=1e-5, rtol=1e-5)


def test_every_weight_gets_a_slope(generator: Generator, encoder: Encoder, mapper: Mapper) -> None:
    photograph, *rest = asked()
    free = Mapper(generator.config)
    free.load_state_dict(mapper.state_dict())
    codes = codes_for(generator, free, see(encoder, photograph), *rest)
    generator.draw(codes, mask=rest[0]).image.square().mean().backward()
    for name, parameter in free.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_what_is_seen_is_repeated_in_place(encoder: Encoder) -> None:
    seen = see(encoder, asked()[0])
    twice = seen.repeated(2)
    torch.testing.assert_close(twice.w[::2], seen.w)
    torch.testing.assert_close(twice.w[1::2], seen.w)
    assert [len(x) for x in twice.features] == [6] * len(seen.features)


def test_a_bundle_without_a_mapper_says_how_to_get_one(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="train mapper"):
        load_mapper(write_bundle(tmp_path / "bundle", encoder=True))


@pytest.mark.parametrize("change", [{"w_dim": 8}, {"z_dim": 8}, {"channel_max": 8}])
def test_a_mapper_of_another_generator_is_refused(
    bundle: Bundle, tmp_path: Path, change: dict[str, int]
) -> None:
    other = Generator(replace(CONFIG, **change))
    mine = write_bundle(tmp_path / "bundle", encoder=True)
    mine.write(MAPPER, fresh_mapper(other, seed=0).state_dict())
    with pytest.raises(BundleError, match="does not fit"):
        load_mapper(mine)


def test_a_torn_mapper_is_refused(tmp_path: Path) -> None:
    mine = write_bundle(tmp_path / "bundle", mapper=True)
    file = mine.path / f"{MAPPER}.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(BundleError, match="safetensors"):
        load_mapper(mine)


def test_a_generator_without_a_branch_has_no_mapper(tmp_path: Path) -> None:
    plain: GeneratorConfig = replace(CONFIG, defect=None)
    bundle = write_bundle(tmp_path / "bundle", plain, encoder=True)
    with pytest.raises(BundleError, match="without a mapper"):
        load_mapper(bundle)
