from dataclasses import replace
from typing import get_args

import pytest
import torch
from tiny import CONFIG
from torch import Tensor

from blemish.inversion.space import (
    FAINT,
    code_rows,
    draws,
    start_point,
    w_defect_statistics,
    w_statistics,
)
from blemish.models.encoder import Encoder, Encoding
from blemish.models.generator import Generator
from blemish.names import SearchStart, Space

SPACES, STARTS = get_args(Space), get_args(SearchStart)


def rngs(n: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed + k) for k in range(n)]


@pytest.fixture(scope="module")
def encoding(encoder: Encoder) -> Encoding:
    image = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        return encoder(image)


def read_for(start: SearchStart, encoding: Encoding) -> Encoding | None:
    return encoding if start == "encoder" else None


def shape_in(space: Space, layers: int) -> tuple[int, ...]:
    if space in ("w+", "f/w+"):
        return (layers, CONFIG.w_dim)
    return {"z": (CONFIG.z_dim,), "w": (CONFIG.w_dim,)}[space]


def test_the_unit_is_the_deviation_of_an_element(generator: Generator) -> None:
    with torch.no_grad():
        w = generator.mapping(torch.randn(500, 16, generator=torch.Generator().manual_seed(3)))
    expected = (w - w.mean(dim=0)).square().mean().sqrt().item()
    assert w_statistics(generator, n=500, seed=3).unit == pytest.approx(expected, rel=1e-5)


def test_defect_statistics_are_over_all_types(generator: Generator) -> None:
    z, kind = (
        torch.randn(500, 16, generator=torch.Generator().manual_seed(3)),
        torch.arange(500) % 2,
    )
    with torch.no_grad():
        w = generator.defect_mapping(z, kind)
    torch.testing.assert_close(w_defect_statistics(generator, n=500, seed=3).mean, w.mean(dim=0))


@pytest.mark.parametrize("space", SPACES)
def test_rows_are_those_of_the_generator(generator: Generator, space: Space) -> None:
    z = torch.randn(2, CONFIG.z_dim)
    with torch.no_grad():
        expected = generator.codes(z).w
        code = {"z": z, "w": expected[:, 0]}.get(space, expected)
        found = code_rows(generator.mapping, code, CONFIG.layers, space)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("defect", [False, True])
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("space", SPACES)
def test_a_point_has_its_leaves(
    generator: Generator, encoding: Encoding, space: Space, start: SearchStart, defect: bool
) -> None:
    read = read_for(start, encoding)
    point = start_point(generator, space, start, read, rngs(3), defect=defect)
    assert point.code.shape == (3, *shape_in(space, CONFIG.layers))
    assert (point.features is not None) == (space == "f/w+")
    assert len(point.leaves()) == (3 if defect else 1) + (space == "f/w+")
    assert all(leaf.is_leaf and leaf.requires_grad for leaf in point.leaves())
    assert (point.mask(binary=True) is not None) == defect
    codes = point.codes(generator)
    assert codes.space == space
    assert (codes.w_defect is not None) == defect
    if point.defect is not None:
        assert point.defect.shape == (3, *shape_in(space, CONFIG.defect_layers))


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("space", SPACES)
def test_a_start_is_a_function_of_the_item(
    generator: Generator, encoding: Encoding, space: Space, start: SearchStart
) -> None:
    read = read_for(start, encoding)
    together = start_point(generator, space, start, read, rngs(3), defect=True)
    one = None
    if read is not None:
        assert read.w_defect is not None and read.mask_logits is not None
        assert read.kind_logits is not None
        one = Encoding(
            w=read.w[2:],
            w_defect=read.w_defect[2:],
            mask_logits=read.mask_logits[2:],
            kind_logits=read.kind_logits[2:],
        )
    alone = start_point(generator, space, start, one, rngs(1, seed=2), defect=True)
    for a, b in zip(together.leaves(), alone.leaves(), strict=True):
        torch.testing.assert_close(a[2:], b)


def test_the_encoder_s_word_is_taken(generator: Generator, encoding: Encoding) -> None:
    point = start_point(generator, "w+", "encoder", encoding, rngs(3), defect=True)
    assert torch.equal(point.code, encoding.w)
    assert point.defect is not None and encoding.w_defect is not None
    assert torch.equal(point.defect, encoding.w_defect)
    torch.testing.assert_close(point.mask_logits(), encoding.mask_logits)
    assert encoding.kind_logits is not None and point.kind is not None
    assert torch.equal(point.kind, encoding.kind_logits.argmax(dim=1))
    mean = start_point(generator, "w", "encoder", encoding, rngs(3), defect=False)
    torch.testing.assert_close(mean.code, encoding.w.mean(dim=1))


def test_in_z_the_nearest_latent_is_taken(generator: Generator) -> None:
    def far(z: Tensor) -> Tensor:
        return (generator.mapping(z) - goal).square().sum(dim=1)

    with torch.no_grad():
        goal = generator.mapping(torch.randn(3, CONFIG.z_dim))
        rows = goal[:, None].expand(-1, CONFIG.layers, -1).contiguous()
        point = start_point(
            generator, "z", "encoder", Encoding(w=rows), rngs(3, seed=50), defect=False
        )
        assert (far(point.code) < far(draws((CONFIG.z_dim,), rngs(3, seed=50)))).all()


@pytest.mark.parametrize("start", ["mean", "random"])
def test_without_the_encoder_a_mask_begins_faint(generator: Generator, start: SearchStart) -> None:
    point = start_point(generator, "w", start, None, rngs(3), defect=True)
    logits, soft, binary = point.mask_logits(), point.mask(binary=False), point.mask(binary=True)
    assert logits is not None and soft is not None and binary is not None
    torch.testing.assert_close(logits, torch.full((3, 1, 16, 16), FAINT))
    torch.testing.assert_close(soft, logits.sigmoid())
    assert not binary.any()


def test_the_mean_is_the_mean_and_chance_is_not(generator: Generator) -> None:
    mean, chance = (
        start_point(generator, "w", start, None, rngs(3), defect=False).code
        for start in ("mean", "random")
    )
    torch.testing.assert_close(mean, w_statistics(generator).mean.expand(3, -1))
    with torch.no_grad():
        torch.testing.assert_close(chance, generator.mapping(draws((CONFIG.z_dim,), rngs(3))))


def test_a_change_of_features_moves_what_the_rows_draw(generator: Generator) -> None:
    point = start_point(generator, "f/w+", "random", None, rngs(2), defect=False)
    assert point.features is not None
    codes = point.codes(generator)
    with torch.no_grad():
        plain = generator.draw(replace(codes, features=None)).image
        torch.testing.assert_close(generator.draw(codes).image, plain)
        point.features[1] += torch.randn_like(point.features[1])
        moved = generator.draw(point.codes(generator)).image
    torch.testing.assert_close(moved[0], plain[0])
    assert not torch.allclose(moved[1], plain[1])
