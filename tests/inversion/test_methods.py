"""One list: whatever is in METHODS goes through each of these, in every space it takes.

Most look for a defect too: that is the search for a part, with more leaves.
"""

from copy import deepcopy
from dataclasses import replace
from math import nan
from typing import Any, get_args

import pytest
import torch
from tiny import CONFIG
from torch import Tensor

from blemish.errors import BundleError, OptionError
from blemish.inversion.descent import Found
from blemish.inversion.domain import cycle_distance
from blemish.inversion.encode import Encode
from blemish.inversion.indomain import InDomain
from blemish.inversion.losses import squared_error
from blemish.inversion.methods import METHODS, InversionMethod, method_name
from blemish.inversion.model import Model
from blemish.inversion.optimize import Optimize
from blemish.inversion.project import Projection
from blemish.inversion.search import Search
from blemish.inversion.space import w_statistics
from blemish.models.critic import build_critic
from blemish.models.encoder import Encoder
from blemish.models.generator import Generator, GeneratorConfig
from blemish.models.residual import ResidualConfig
from blemish.names import InversionName, SearchStart, Space

SPACES = get_args(Space)
CASES = [(name, space) for name in METHODS for space in SPACES if (name, space) != ("encode", "z")]
SEARCHES = [case for case in CASES if case[0] != "encode"]
every_method = pytest.mark.parametrize("name, space", CASES)
every_search = pytest.mark.parametrize("name, space", SEARCHES)


def method(name: InversionName, space: Space, steps: int = 4, **search: Any) -> InversionMethod:
    if name == "encode":
        return METHODS[name](space=space)
    return METHODS[name](
        space=space, search=Search(steps=steps, **{"learning_rate": 0.05, **search})
    )


def rngs(n: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed + k) for k in range(n)]


def find(
    model: Model, how: InversionMethod, target: Tensor, *, seed: int = 0, defect: bool = False
) -> Found:
    return how.find(model, target, rngs=rngs(len(target), seed), defect=defect)


def drawn(model: Model, found: Found) -> Tensor:
    with torch.no_grad():
        return model.generator.draw(found.codes, mask=found.mask).image


def fresh_model(config: GeneratorConfig) -> Model:
    generator, critic, encoder = (
        Generator(config),
        build_critic(ResidualConfig(), config),
        Encoder(config),
    )
    for network in (generator, critic, encoder):
        network.eval().requires_grad_(False)
    return Model(generator=generator, critic=critic, encoder=encoder)


def assert_equal(a: Found, b: Found) -> None:
    assert torch.equal(a.codes.w, b.codes.w)
    assert (a.codes.w_defect is None) == (b.codes.w_defect is None)
    if a.codes.w_defect is not None and b.codes.w_defect is not None:
        assert torch.equal(a.codes.w_defect, b.codes.w_defect)
    assert all(torch.equal(a.terms[name], b.terms[name]) for name in a.terms)


@pytest.fixture(scope="module")
def target(generator: Generator) -> Tensor:
    """Pictures of the generator's own, with defects."""
    rng = torch.Generator().manual_seed(1)
    z, z_defect = torch.randn(2, 5, CONFIG.z_dim, generator=rng)
    with torch.no_grad():
        return generator(generator.codes(z, z_defect, torch.arange(5) % 2)).image


@pytest.fixture(params=["cpu", "cuda"])
def anywhere(request: pytest.FixtureRequest, model: Model) -> Model:
    """The model on each device that is there."""
    if request.param == "cpu":
        return model
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    assert model.encoder is not None
    assert model.domain is not None
    return Model(
        generator=deepcopy(model.generator).cuda(),
        critic=deepcopy(model.critic).cuda(),
        encoder=deepcopy(model.encoder).cuda(),
        domain=model.domain.to("cuda"),
    )


@pytest.mark.parametrize("defect", [False, True])
@every_method
def test_what_is_found_is_finite_and_of_the_right_shape(
    anywhere: Model, target: Tensor, name: InversionName, space: Space, defect: bool
) -> None:
    target = target[:2].to(anywhere.device)
    found = find(anywhere, method(name, space), target, defect=defect)
    assert found.codes.space == space
    assert found.codes.w.shape == (2, CONFIG.layers, CONFIG.w_dim)
    assert found.codes.w.device.type == anywhere.device.type
    assert found.codes.w.isfinite().all()
    assert not found.codes.w.requires_grad
    assert {"pixels", "features"} <= {*found.terms}
    assert all(values.isfinite().all() for values in found.terms.values())
    assert found.steps.tolist() == [0 if name == "encode" else 4] * 2
    if not defect:
        assert found.codes.w_defect is None and found.mask is None
        return
    assert found.codes.w_defect is not None and found.mask is not None
    assert found.codes.w_defect.shape == (2, CONFIG.defect_layers, CONFIG.w_dim)
    assert found.codes.w_defect.isfinite().all()
    assert not found.codes.w_defect.requires_grad
    assert found.mask.shape == (2, 1, 16, 16)
    assert {*found.mask.unique().tolist()} <= {0.0, 1.0}


@every_method
def test_the_terms_are_those_of_what_is_handed_on(
    model: Model, target: Tensor, name: InversionName, space: Space
) -> None:
    found = find(model, method(name, space), target[:2], defect=True)
    expected = squared_error(drawn(model, found), target[:2])
    torch.testing.assert_close(found.terms["pixels"], expected)


@every_method
def test_the_same_seed_gives_the_same_codes(
    model: Model, target: Tensor, name: InversionName, space: Space
) -> None:
    first, again = (find(model, method(name, space), target[:2], defect=True) for _ in range(2))
    assert_equal(first, again)


@every_method
def test_five_at_once_are_five_one_by_one(
    model: Model, target: Tensor, name: InversionName, space: Space
) -> None:
    how = method(name, space, 3, learning_rate=0.01)
    together = find(model, how, target, defect=True)
    for k in range(5):
        alone = find(model, how, target[k : k + 1], seed=k, defect=True)
        here = slice(k, k + 1)
        torch.testing.assert_close(together.codes.w[here], alone.codes.w, atol=1e-3, rtol=1e-3)
        assert together.codes.w_defect is not None and together.mask is not None
        rows, mask = together.codes.w_defect[here], together.mask[here]
        torch.testing.assert_close(rows, alone.codes.w_defect, atol=1e-3, rtol=1e-3)
        assert (mask != alone.mask).float().mean() < 0.02, "but for logits next to the cut"


@every_search
def test_no_step_leaves_the_start(
    model: Model, target: Tensor, name: InversionName, space: Space
) -> None:
    found = find(model, method(name, space, 0), target[:2], defect=True)
    other = find(model, method(name, space, 0), target[2:4], defect=True)
    assert found.steps.tolist() == [0, 0]
    assert found.converged.all()
    if name == "in-domain" and space != "z":
        encoded = find(model, Encode(space=space), target[:2], defect=True)
        torch.testing.assert_close(found.codes.w, encoded.codes.w)
    elif space != "z":
        mean = w_statistics(model.generator).mean
        torch.testing.assert_close(found.codes.w, mean.expand_as(found.codes.w))
        assert torch.equal(found.codes.w, other.codes.w)


@every_search
def test_searching_comes_nearer(
    model: Model, target: Tensor, name: InversionName, space: Space
) -> None:
    start, end = (find(model, method(name, space, steps), target, defect=True) for steps in (0, 12))
    assert end.terms["pixels"].mean() < 0.9 * start.terms["pixels"].mean()
    assert end.converged.any()


@every_method
def test_pixels_that_do_not_count_change_nothing(
    model: Model, target: Tensor, name: InversionName, space: Space
) -> None:
    where = torch.ones(2, 1, 16, 16)
    where[:, :, 3:9, 5:13] = 0
    spoilt = torch.where(where > 0, target[:2], torch.randn(2, 3, 16, 16))
    how = method(name, space)
    kept, found = (
        how.find(model, picture, rngs=rngs(2), where=where, defect=True)
        for picture in (target[:2], spoilt)
    )
    assert_equal(kept, found)
    if name != "encode" or space == "w+":
        assert not torch.equal(kept.codes.w, find(model, how, spoilt, defect=True).codes.w)


@every_method
def test_a_broken_photograph_does_not_hurt_the_others(
    model: Model, target: Tensor, name: InversionName, space: Space
) -> None:
    broken = target[:3].clone()
    broken[1, :, 4, 4] = nan
    whole, found = (find(model, method(name, space), x, defect=True) for x in (target[:3], broken))
    assert torch.equal(found.codes.w[[0, 2]], whole.codes.w[[0, 2]])
    assert not found.converged[1]
    assert torch.equal(found.converged[[0, 2]], whole.converged[[0, 2]])
    if name in ("optimize", "project"):
        assert found.codes.w[1].isfinite().all()
        assert found.steps.tolist() == [4 * (k != 1) for k in range(3)]


@every_search
def test_a_plateau_ends_a_search(
    model: Model, target: Tensor, name: InversionName, space: Space
) -> None:
    how = method(name, space, 60, patience=3, tolerance=0.5)
    found = find(model, how, target[:2])
    assert (found.steps < 30).all()


@every_search
def test_out_of_time_is_said(
    model: Model, target: Tensor, name: InversionName, space: Space
) -> None:
    found = find(model, method(name, space, 60, seconds=1e-9), target[:2])
    assert found.steps.tolist() == [0, 0]
    assert not found.converged.any()


@every_method
def test_a_watcher_sees_the_way(
    model: Model, target: Tensor, name: InversionName, space: Space
) -> None:
    seen: list[tuple[float, dict[str, Tensor], Tensor]] = []
    how = method(name, space)
    found = how.find(
        model, target[:2], rngs=rngs(2), defect=True, watch=lambda *heard: seen.append(heard)
    )
    times = [time for time, _, _ in seen]
    assert times == ([1] if name == "encode" else [0, 0.25, 0.5, 0.75, 1])
    _, terms, image = seen[-1]
    assert all(torch.equal(terms[key], found.terms[key]) for key in found.terms)
    torch.testing.assert_close(image, drawn(model, found))
    assert not any(image.requires_grad for _, _, image in seen)
    assert_equal(found, find(model, how, target[:2], defect=True))


@every_method
def test_networks_are_left_alone(
    model: Model, target: Tensor, name: InversionName, space: Space
) -> None:
    assert model.encoder is not None
    networks = (model.generator, model.critic, model.encoder)
    weights = [tensor for network in networks for tensor in network.state_dict().values()]
    before = [weight.clone() for weight in weights]
    find(model, method(name, space), target[:2], defect=True)
    assert all(torch.equal(weight, old) for weight, old in zip(weights, before, strict=True))


@pytest.mark.parametrize("start", get_args(SearchStart))
@pytest.mark.parametrize("space", SPACES)
def test_optimisation_may_begin_anywhere(
    model: Model, target: Tensor, space: Space, start: SearchStart
) -> None:
    still, moved = (
        find(model, Optimize(space=space, start=start, search=Search(steps=steps)), target[:2])
        for steps in (0, 8)
    )
    assert (moved.terms["pixels"] < still.terms["pixels"]).all()
    same = torch.equal(still.codes.w[0], still.codes.w[1])
    assert same == (start == "mean" and space != "z")


@pytest.mark.parametrize("defect", [False, True])
def test_the_domain_term_keeps_codes_near_what_the_encoder_reads(
    model: Model, target: Tensor, defect: bool
) -> None:
    assert model.encoder is not None
    search = Search(steps=16, learning_rate=0.1)
    plain = find(model, Optimize(start="encoder", search=search), target[:2], defect=defect)
    how = InDomain(search=search, domain_weight=0.5)
    held = find(model, how, target[:2], defect=defect)
    unit, far = w_statistics(model.generator).unit, []
    for found in (held, plain):
        again = model.encoder(drawn(model, found).clamp(-1, 1))
        far.append(cycle_distance(found.codes.w, again.w, unit))
    assert (far[0] < 0.8 * far[1]).all()
    torch.testing.assert_close(held.terms["cycle"], far[0])
    cycles = {"cycle"} | ({"cycle_defect", "cycle_mask"} if defect else set())
    assert {*held.terms} == {"pixels", "features", "prior"} | cycles


def test_without_weight_the_domain_term_does_nothing(model: Model, target: Tensor) -> None:
    search = Search(steps=6)
    plain = find(model, Optimize(start="encoder", search=search), target[:2])
    held = find(model, InDomain(search=search, domain_weight=0, prior_weight=0), target[:2])
    torch.testing.assert_close(held.codes.w, plain.codes.w, atol=1e-4, rtol=1e-4)


def test_the_prior_keeps_codes_as_near_as_fresh_ones(model: Model, target: Tensor) -> None:
    assert model.domain is not None
    search = Search(steps=40, learning_rate=0.1)
    free, held = (
        find(model, InDomain(search=search, domain_weight=0, prior_weight=weight), target[:2])
        for weight in (0, 10)
    )
    far, near = (model.domain.mahalanobis(found.codes.w) for found in (free, held))
    assert (far > 1.2).all() and (near < 1.1).all()
    torch.testing.assert_close(held.terms["prior"], (near.square() - 1).clamp(min=0))


def test_without_a_domain_there_is_no_prior(model: Model, target: Tensor) -> None:
    found = find(replace(model, domain=None), InDomain(search=Search(steps=1)), target[:1])
    assert "prior" not in found.terms


@pytest.mark.parametrize("how", [Encode(), InDomain(), Optimize(start="encoder")])
def test_a_method_that_needs_an_encoder_says_so(
    model: Model, target: Tensor, how: InversionMethod
) -> None:
    with pytest.raises(BundleError, match="Run 'blemish train encoder DATA --bundle BUNDLE'"):
        find(replace(model, encoder=None), how, target[:1])


@pytest.mark.parametrize(
    "how", [Projection(search=Search(steps=1)), Optimize(search=Search(steps=1))]
)
def test_others_do_without(model: Model, target: Tensor, how: InversionMethod) -> None:
    found = find(replace(model, encoder=None, domain=None), how, target[:1])
    assert found.codes.w.isfinite().all()


@pytest.mark.parametrize("name", METHODS)
def test_no_defect_is_found_without_a_branch(target: Tensor, name: InversionName) -> None:
    bare = fresh_model(replace(CONFIG, defect=None))
    with pytest.raises(BundleError, match="has no defect branch"):
        find(bare, method(name, "w"), target[:1], defect=True)
    assert find(bare, method(name, "w"), target[:1]).codes.w_defect is None


@pytest.mark.parametrize("name", METHODS)
def test_a_branch_that_takes_no_mask_draws_its_own(target: Tensor, name: InversionName) -> None:
    assert CONFIG.defect is not None
    deaf = fresh_model(replace(CONFIG, defect=replace(CONFIG.defect, takes_mask=False)))
    found = find(deaf, method(name, "w"), target[:1], defect=True)
    assert found.mask is None
    assert found.codes.w_defect is not None


def test_the_encoder_alone_has_no_z() -> None:
    with pytest.raises(OptionError, match="Expected w or w\\+"):
        Encode(space="z")


@pytest.mark.parametrize(
    "name, weight",
    [
        ("in-domain", "pixel_weight"),
        ("in-domain", "feature_weight"),
        ("in-domain", "domain_weight"),
        ("optimize", "pixel_weight"),
        ("optimize", "feature_weight"),
    ],
)
def test_bad_weights_are_refused(name: InversionName, weight: str) -> None:
    with pytest.raises(OptionError, match=weight.replace("_", " ")):
        METHODS[name](**{weight: nan})


@pytest.mark.parametrize("name", METHODS)
def test_a_method_knows_its_name(name: InversionName) -> None:
    assert method_name(METHODS[name]()) == name


@every_search
def test_bfloat16_comes_as_near_as_float32(
    model: Model, target: Tensor, name: InversionName, space: Space
) -> None:
    ends = []
    for precision in ("32-true", "bf16-mixed"):
        found = find(model, method(name, space, steps=12, precision=precision), target)
        assert found.codes.w.dtype == torch.float32 and found.converged.all()
        ends.append(squared_error(drawn(model, found), target))
    start = squared_error(drawn(model, find(model, method(name, space, steps=0), target)), target)
    gain = (start - ends[0]).mean()
    assert gain > 0 and ((start - ends[1]).mean() / gain - 1).abs() < 0.1
