from collections.abc import Callable
from math import nan
from typing import get_args

import pytest
import torch
from torch import Tensor

from blemish.errors import OptionError
from blemish.inversion.descent import Watch
from blemish.inversion.losses import squared_error
from blemish.inversion.model import Model
from blemish.inversion.project import Projection
from blemish.inversion.search import Search, Terms
from blemish.inversion.space import draws, w_statistics
from blemish.models.critic import Critic
from blemish.models.generator import Generator
from blemish.names import Space
from blemish.types import Codes

SPACES = get_args(Space)


def rngs(n: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed + k) for k in range(n)]


def how(space: Space, steps: int = 8, **options: float) -> Projection:
    return Projection(space=space, search=Search(steps=steps), **options)


def project(
    generator: Generator,
    critic: Critic,
    target: Tensor,
    options: Projection,
    *,
    rngs: list[torch.Generator],
    where: Tensor | None = None,
    watch: Watch | None = None,
) -> tuple[Codes, Terms]:
    model = Model(generator=generator, critic=critic)
    found = options.find(model, target, rngs=rngs, where=where, watch=watch)
    return found.codes, found.terms


def sample_of(generator: Generator, n: int) -> Tensor:
    with torch.no_grad():
        return generator(generator.codes(torch.randn(n, generator.config.z_dim))).image


@pytest.fixture(scope="module")
def target(generator: Generator) -> Tensor:
    torch.manual_seed(1)
    return sample_of(generator, 5)


def drawn(generator: Generator, codes: Codes) -> Tensor:
    with torch.no_grad():
        return generator(codes).image


def test_w_statistics_are_those_of_mapped_latents(generator: Generator) -> None:
    found = w_statistics(generator, n=500, seed=3)
    with torch.no_grad():
        w = generator.mapping(torch.randn(500, 16, generator=torch.Generator().manual_seed(3)))
    torch.testing.assert_close(found.mean, w.mean(dim=0))
    torch.testing.assert_close(found.deviation.square(), w.var(dim=0, unbiased=False).sum())


@pytest.mark.parametrize("space, noise_weight", [("z", 0), ("w", 0), ("w+", 0), ("w", 10)])
def test_a_sample_of_the_generator_is_recovered(
    generator: Generator, critic: Critic, target: Tensor, space: Space, noise_weight: float
) -> None:
    far = []
    for steps in (0, 32):
        options = how(space, steps, noise_weight=noise_weight)
        codes, terms = project(generator, critic, target, options, rngs=rngs(5, seed=100))
        assert codes.space == space
        assert codes.w.shape == (5, generator.config.layers, 16)
        assert codes.w_defect is None
        assert {*terms} == {"pixels", "features"} | ({"noise"} if noise_weight else set())
        far.append(squared_error(drawn(generator, codes), target))
    start, end = far
    assert (end < start).all()
    assert end.mean() < 0.5 * start.mean()


@pytest.mark.parametrize("space, noise_weight", [("z", 0), ("w", 0), ("w+", 0), ("w+", 10)])
def test_five_at_once_are_five_one_by_one(
    generator: Generator, critic: Critic, target: Tensor, space: Space, noise_weight: float
) -> None:
    options = how(space, 4, noise_weight=noise_weight)
    together, terms = project(generator, critic, target, options, rngs=rngs(5))
    for k in range(5):
        codes, alone = project(generator, critic, target[k : k + 1], options, rngs=rngs(1, seed=k))
        torch.testing.assert_close(together.w[k : k + 1], codes.w, atol=2e-3, rtol=1e-3)
        for name, values in terms.items():
            torch.testing.assert_close(values[k : k + 1], alone[name], atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("space", SPACES)
def test_the_same_seed_gives_the_same_codes(
    generator: Generator, critic: Critic, target: Tensor, space: Space
) -> None:
    options = how(space, 5, noise_weight=1)
    first, again, other = (
        project(generator, critic, target[:1], options, rngs=rngs(1, seed))[0] for seed in (0, 0, 1)
    )
    assert torch.equal(first.w, again.w)
    assert not torch.equal(first.w, other.w)
    assert first.noise and again.noise
    assert all(torch.equal(first.noise[name], again.noise[name]) for name in first.noise)


def test_codes_stay_in_their_space(generator: Generator, critic: Critic, target: Tensor) -> None:
    rows = {
        space: project(generator, critic, target[:1], how(space), rngs=rngs(1))[0].w[0]
        for space in SPACES
    }
    assert torch.equal(rows["w"], rows["w"][:1].expand_as(rows["w"]))
    assert torch.equal(rows["z"], rows["z"][:1].expand_as(rows["z"]))
    assert rows["w+"].std(dim=0).max() > 0.01


def test_noise_maps_belong_to_the_backbone_and_are_normal(
    generator: Generator, critic: Critic, target: Tensor
) -> None:
    codes, _ = project(generator, critic, target, how("w", noise_weight=1), rngs=rngs(5))
    assert codes.noise
    backbone = {n for n, _ in generator.synthesis.layers() if not n.startswith("res_")}
    assert {*codes.noise} == backbone
    for noise in codes.noise.values():
        assert not noise.requires_grad
        torch.testing.assert_close(noise.mean(dim=(1, 2, 3)), torch.zeros(5), atol=1e-5, rtol=0)
        torch.testing.assert_close(noise.square().mean(dim=(1, 2, 3)), torch.ones(5))


def test_without_noise_weight_the_constants_stay(
    generator: Generator, critic: Critic, target: Tensor
) -> None:
    codes, _ = project(generator, critic, target[:1], how("w", 2), rngs=rngs(1))
    assert codes.noise is None


@pytest.mark.parametrize("space", SPACES)
def test_pixels_that_do_not_count_change_nothing(
    generator: Generator, critic: Critic, target: Tensor, space: Space
) -> None:
    where = torch.ones(2, 1, 16, 16)
    where[:, :, 3:9, 5:13] = 0
    spoilt = torch.where(where > 0, target[:2], torch.randn(2, 3, 16, 16))
    kept, terms = project(generator, critic, target[:2], how(space), rngs=rngs(2), where=where)
    found, terms_spoilt = project(generator, critic, spoilt, how(space), rngs=rngs(2), where=where)
    assert torch.equal(kept.w, found.w)
    assert all(torch.equal(terms[name], terms_spoilt[name]) for name in terms)
    everywhere, _ = project(generator, critic, spoilt, how(space), rngs=rngs(2))
    assert not torch.equal(kept.w, everywhere.w)


def test_the_terms_are_those_of_the_codes(
    generator: Generator, critic: Critic, target: Tensor
) -> None:
    codes, terms = project(generator, critic, target, how("w+"), rngs=rngs(5))
    with torch.no_grad():
        image = generator.draw(codes).image
    torch.testing.assert_close(terms["pixels"], squared_error(image, target))


def test_no_step_leaves_the_mean_of_w(generator: Generator, critic: Critic, target: Tensor) -> None:
    heard: list[float] = []
    mean = w_statistics(generator).mean

    def listen(time: float, *_: object) -> None:
        if time < 1:  # the end is reported too
            heard.append(time)

    for space in ("w", "w+"):
        codes, terms = project(
            generator, critic, target[:2], how(space, 0), rngs=rngs(2), watch=listen
        )
        torch.testing.assert_close(codes.w, mean.expand_as(codes.w))
        assert terms["pixels"].isfinite().all()
    assert not heard


def test_the_networks_are_left_alone(generator: Generator, critic: Critic, target: Tensor) -> None:
    weights = [*generator.parameters(), *critic.parameters()]
    before = [w.clone() for w in weights]
    project(generator, critic, target[:1], how("w+", 3, noise_weight=1), rngs=rngs(1))
    assert all(w.grad is None and torch.equal(w, b) for w, b in zip(weights, before, strict=True))


def test_draws_are_each_item_s_own() -> None:
    together = draws((3, 4), rngs(3))
    assert together.shape == (3, 3, 4)
    torch.testing.assert_close(together[1:2], draws((3, 4), rngs(1, seed=1)))


@pytest.mark.parametrize("value", [-1.0, nan])
@pytest.mark.parametrize(
    "options, name",
    [
        (lambda x: Projection(pixel_weight=x), "pixel weight"),
        (lambda x: Projection(feature_weight=x), "feature weight"),
        (lambda x: Projection(noise_weight=x), "noise weight"),
    ],
)
def test_bad_options_are_refused(
    options: Callable[[float], Projection], name: str, value: float
) -> None:
    with pytest.raises(OptionError, match=f"the {name} {value}"):
        options(value)
