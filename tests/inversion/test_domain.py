from dataclasses import fields, replace
from math import inf, nan, sqrt
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tiny import CONFIG
from torch import Tensor

from blemish.checkpoint import Bundle, pack
from blemish.errors import BundleError
from blemish.inversion.domain import (
    GRID,
    PREFIX,
    Domain,
    DomainPercentiles,
    cycle_distance,
    fit_domain,
    percentile,
    read_again,
    straighten,
)
from blemish.models.encoder import Encoder, Encoding
from blemish.models.generator import Generator
from blemish.models.mixing import fresh_rows


class Reader:
    """Rows that follow the mean colour of the picture, which is enough to have a cycle."""

    def __init__(self, generator: Generator) -> None:
        self.shape = (generator.config.layers, generator.config.w_dim)

    def __call__(self, image: Tensor) -> Encoding:
        return Encoding(w=image.mean(dim=(1, 2, 3))[:, None, None].expand(-1, *self.shape))


@pytest.fixture(scope="module")
def domain(generator: Generator) -> Domain:
    return fit_domain(generator, Reader(generator), n=2000, batch=500)


@pytest.fixture(scope="module")
def blind(generator: Generator) -> Domain:
    return fit_domain(generator, n=2000, batch=500)


def rows(generator: Generator, n: int, *, seed: int = 1, mixing: float = 0.9) -> Tensor:
    with torch.no_grad():
        return fresh_rows(generator, n, torch.Generator().manual_seed(seed), mixing)


def percentiles(domain: Domain, generator: Generator, w: Tensor) -> DomainPercentiles:
    with torch.no_grad():
        again = read_again(generator, Reader(generator), w)
    return domain.percentiles(w, cycle_distance(w, again, domain.deviation))


def plain(d: int = 8) -> Domain:
    """Codes that are standard normal before the last leaky ReLU."""
    names: list[str] = ["mahalanobis", "spread", "worst"]
    return Domain(
        mean=torch.zeros(d),
        deviation=torch.ones([]),
        centre=torch.zeros(d),
        basis=torch.eye(d),
        deviations=torch.ones(d),
        tables=dict.fromkeys(names, GRID / 50),
    )


def test_straightening_undoes_the_last_leaky_relu() -> None:
    x = torch.randn(3, 4, 8)
    torch.testing.assert_close(straighten(F.leaky_relu(x, 0.2)), x)


@pytest.mark.parametrize("distance", [0.0, 0.5, 3.0])
def test_mahalanobis_of_a_point_at_so_many_deviations(distance: float) -> None:
    x = F.normalize(torch.randn(4, 1, 8), dim=2) * distance * sqrt(8)
    w = F.leaky_relu(x, 0.2).expand(-1, 6, -1)
    torch.testing.assert_close(plain().mahalanobis(w), torch.full((4,), distance))


def test_mahalanobis_is_the_root_mean_square_over_rows() -> None:
    w = torch.randn(2, 1, 8)
    near, far = plain().mahalanobis(w)
    both = plain().mahalanobis(w.view(1, 2, 8))
    torch.testing.assert_close(both.square(), (near.square() + far.square())[None] / 2)


@pytest.mark.parametrize("apart", [0.0, 1.0, 4.0])
def test_spread_of_two_rows_is_a_quarter_of_their_squared_distance(apart: float) -> None:
    w = torch.stack([torch.zeros(3, 8), torch.full((3, 8), apart)], dim=1)
    found = replace(plain(), deviation=torch.tensor(2.0)).spread(w)
    torch.testing.assert_close(found, torch.full((3,), apart**2 / 4 / 4))


@pytest.mark.parametrize("deviation", [0.5, 1.0, 3.0])
def test_cycle_distance_of_a_constant_offset(deviation: float) -> None:
    w = torch.randn(3, 4, 8)
    expected = torch.full((3,), (0.3 / deviation) ** 2)
    torch.testing.assert_close(cycle_distance(w, w + 0.3, deviation), expected)
    torch.testing.assert_close(cycle_distance(w, w + 0.3, torch.tensor(deviation)), expected)


def test_cycle_distance_has_a_gradient_on_both_sides() -> None:
    w, again = torch.randn(2, 4, 8, requires_grad=True), torch.randn(2, 4, 8, requires_grad=True)
    gradients = torch.autograd.grad(cycle_distance(w, again, 1.0).sum(), [w, again])
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)


@pytest.mark.parametrize("at", [0.0, 12.5, 50.0, 99.5, 99.9, 100.0])
def test_a_quantile_stands_at_its_own_percentile(at: float) -> None:
    table = GRID.square()
    torch.testing.assert_close(percentile(torch.tensor([at**2]), table), torch.tensor([at]))


def test_percentiles_never_fall() -> None:
    table = torch.randn(len(GRID)).sort().values
    found = percentile(torch.linspace(-5, 5, 1000), table)
    assert (found.diff() >= 0).all() and found[0] == 0 and found[-1] == 100


def test_what_many_samples_share_stands_at_its_lower_end() -> None:
    table = (GRID - 30).clamp(0, 40)
    found = percentile(torch.tensor([0.0, 1e-9, 20.0, 40.0]), table)
    torch.testing.assert_close(found, torch.tensor([0.0, 30.0, 50.0, 70.0]))


@pytest.mark.parametrize("value", [101.0, 1e30, inf, nan])
def test_beyond_all_fresh_samples_is_a_hundred(value: float) -> None:
    assert percentile(torch.tensor([value]), GRID).item() == 100


def test_axes_of_a_known_covariance(generator: Generator) -> None:
    domain = fit_domain(generator, n=10_000, batch=10_000)
    z = torch.randn(10_000, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        w = generator.mapping(z)
    torch.testing.assert_close(domain.mean, w.mean(dim=0), atol=0.08, rtol=0)
    torch.testing.assert_close(domain.deviation, w.var(dim=0).mean().sqrt(), rtol=0.02, atol=0)
    x = straighten(w) - domain.centre
    covariance = torch.cov((x @ domain.basis / domain.deviations).T)
    variances = covariance.diag()
    assert (covariance - variances.diag()).abs().max() < 0.05
    assert variances.max() < 1.3 and variances.mean().item() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("mixing", [0.0, 0.5, 0.9, 1.0])
def test_fresh_codes_are_at_a_mahalanobis_of_one(
    domain: Domain, generator: Generator, mixing: float
) -> None:
    far = domain.mahalanobis(rows(generator, 2000, mixing=mixing))
    assert far.square().mean().item() == pytest.approx(1, abs=0.06)


def test_dimensions_without_variance_do_not_count_without_bounds() -> None:
    generator = Generator(CONFIG).requires_grad_(False)
    weight = generator.mapping.get_parameter("fc1.weight")
    weight[8:] = 0
    domain = fit_domain(generator, n=2000, batch=500)
    assert domain.deviations.min() > 0
    assert domain.mahalanobis(rows(generator, 500)).max() < 3


def test_a_mapping_that_says_one_thing_only_has_a_domain() -> None:
    generator = Generator(CONFIG).requires_grad_(False)
    generator.mapping.get_parameter("fc1.weight").zero_()
    domain = fit_domain(generator, n=100)
    found = domain.percentiles(rows(generator, 4))
    assert found.mahalanobis.isfinite().all() and not found.spread.any()
    assert Domain.read(domain.tensors()) is not None


@pytest.mark.parametrize("name", ["cycle", "mahalanobis", "spread", ""])
def test_percentiles_of_fresh_codes_are_uniform(
    domain: Domain, generator: Generator, name: str
) -> None:
    found = percentiles(domain, generator, rows(generator, 2000))
    shares = getattr(found, f"{name}_percentile".removeprefix("_"))
    for level in (25, 50, 75, 90, 95):  # below a quarter unmixed samples share one spread
        assert (shares <= level).float().mean().item() == pytest.approx(level / 100, abs=0.05)


@pytest.mark.parametrize("known", ["with encoder", "without", "without its value"])
def test_one_fresh_code_in_twenty_is_beyond_95(
    domain: Domain, blind: Domain, generator: Generator, known: str
) -> None:
    w = rows(generator, 2000, seed=2)
    if known == "with encoder":
        found = percentiles(domain, generator, w)
    else:
        found = (blind if known == "without" else domain).percentiles(w)
    assert (found.percentile > 95).float().mean().item() == pytest.approx(0.05, abs=0.025)


def test_a_code_without_spread_is_not_extreme(domain: Domain, generator: Generator) -> None:
    found = percentiles(domain, generator, rows(generator, 500, mixing=0))
    assert found.spread_percentile.max() < 15
    assert (found.percentile > 99).float().mean() < 0.03


def test_rows_that_do_not_belong_together_are_found_out(
    domain: Domain, generator: Generator
) -> None:
    layers = generator.config.layers
    found = domain.percentiles(rows(generator, 500 * layers, mixing=0)[:, 0].view(500, layers, -1))
    assert found.spread.mean().item() == pytest.approx(1 - 1 / layers, abs=0.05)
    assert found.spread_percentile.median() > 75 and found.percentile.median() > 75


def test_far_away_is_a_hundred_and_still_says_how_far(domain: Domain, generator: Generator) -> None:
    w = (
        domain.mean
        + (rows(generator, 1) - domain.mean) * torch.tensor([50.0, 500.0])[:, None, None]
    )
    found = percentiles(domain, generator, w)
    assert (found.percentile == 100).all() and (found.mahalanobis_percentile == 100).all()
    assert found.mahalanobis[1] > 5 * found.mahalanobis[0] > 5
    assert found.cycle is not None and found.cycle[1] > found.cycle[0]


def test_the_mean_is_in_the_domain(domain: Domain, generator: Generator) -> None:
    found = domain.percentiles(domain.mean.expand(1, generator.config.layers, -1))
    assert found.percentile < 50


@pytest.mark.parametrize("value", [nan, inf])
def test_a_code_that_is_not_finite_stands_at_a_hundred(
    domain: Domain, generator: Generator, value: float
) -> None:
    w = rows(generator, 2).clone()
    w[0, 0, 0] = value
    found, alone = domain.percentiles(w), domain.percentiles(w[1:])
    assert found.percentile[0] == 100
    torch.testing.assert_close(found.percentile[1:], alone.percentile)


def test_without_an_encoder_there_is_no_cycle(blind: Domain, generator: Generator) -> None:
    found = blind.percentiles(rows(generator, 3))
    assert found.cycle is None and found.cycle_percentile is None
    assert blind.tables.keys() == {"mahalanobis", "spread", "worst"}


def test_a_cycle_that_can_not_be_ranked_is_handed_on(blind: Domain, generator: Generator) -> None:
    w = rows(generator, 3)
    found = blind.percentiles(w, torch.full((3,), 1e6))
    assert found.cycle is not None and found.cycle_percentile is None
    torch.testing.assert_close(found.percentile, blind.percentiles(w).percentile)


def test_an_encoder_of_ours_will_do(generator: Generator) -> None:
    encoder = Encoder(generator.config).eval().requires_grad_(False)
    domain, w = fit_domain(generator, encoder, n=60, batch=30), rows(generator, 4)
    cycle = cycle_distance(w, read_again(generator, encoder, w), domain.deviation)
    assert domain.percentiles(w, cycle).cycle_percentile is not None


def test_a_batch_of_one_is_an_item_of_a_batch(domain: Domain, generator: Generator) -> None:
    w = rows(generator, 5)
    whole = percentiles(domain, generator, w)
    parts = [percentiles(domain, generator, item) for item in w.split(1)]
    for field in fields(DomainPercentiles):
        alone = torch.cat([getattr(part, field.name) for part in parts])
        torch.testing.assert_close(getattr(whole, field.name), alone, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("batch", [1, 7, 64, 1000])
def test_the_size_of_the_batch_changes_nothing_but_rounding(
    generator: Generator, batch: int
) -> None:
    one = fit_domain(generator, Reader(generator), n=100, batch=50).tensors()
    other = fit_domain(generator, Reader(generator), n=100, batch=batch).tensors()
    for name, tensor in one.items():
        torch.testing.assert_close(
            other[name], tensor, rtol=2e-3, atol=0.1 if "worst" in name else 1e-5
        )


@pytest.mark.parametrize("seed", [0, 5])
def test_the_same_seed_gives_the_same_domain(generator: Generator, seed: int) -> None:
    one, again = (fit_domain(generator, n=50, seed=seed).tensors() for _ in range(2))
    other = fit_domain(generator, n=50, seed=seed + 1).tensors()
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one[PREFIX + "basis"], other[PREFIX + "basis"])


@pytest.mark.parametrize(("n", "batch", "heard"), [(10, 4, [4, 8, 10]), (4, 50, [4])])
def test_progress_counts_samples(
    generator: Generator, n: int, batch: int, heard: list[int]
) -> None:
    reported: list[int] = []
    fit_domain(generator, n=n, batch=batch, on_progress=reported.append)
    assert reported == heard


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("sighted", [False, True])
def test_written_and_read_it_is_the_same(
    domain: Domain, blind: Domain, tmp_path: Path, half: bool, sighted: bool
) -> None:
    mine = domain if sighted else blind
    bundle = Bundle(tmp_path)
    bundle.write("statistics", {"other": torch.ones(2), **mine.tensors()}, half=half)
    again = Domain.read(bundle.tensors("statistics"))
    assert again is not None and again.tables.keys() == mine.tables.keys()
    assert all(torch.equal(again.tensors()[k], tensor) for k, tensor in mine.tensors().items())


def test_a_packed_bundle_gives_the_same_percentiles(
    domain: Domain, generator: Generator, tmp_path: Path
) -> None:
    bundle = Bundle(tmp_path / "whole")
    bundle.path.mkdir()
    bundle.write("statistics", domain.tensors())
    bundle.write_config({})
    again = Domain.read(pack(bundle, tmp_path / "packed").tensors("statistics"))
    assert again is not None
    w = rows(generator, 50)
    one, other = percentiles(domain, generator, w), percentiles(again, generator, w)
    assert torch.equal(one.percentile, other.percentile)


def test_an_encoder_that_is_far_off_can_still_be_kept(generator: Generator) -> None:
    def lost(image: Tensor) -> Encoding:
        return Encoding(w=Reader(generator)(image).w + 1e6)

    tensors = fit_domain(generator, lost, n=50).tensors()
    halves = {name: tensor.half().float() for name, tensor in tensors.items()}
    assert Domain.read(halves) is not None


def test_a_bundle_without_a_domain_has_none() -> None:
    assert Domain.read({"distil.crack.mean": torch.ones(3)}) is None


@pytest.mark.parametrize(
    "name",
    ["mean", "deviation", "centre", "basis", "deviations"]
    + [f"quantiles.{kind}" for kind in ("cycle", "mahalanobis", "spread", "worst")],
)
@pytest.mark.parametrize("harm", ["absent", "short", "nan"])
def test_a_torn_domain_is_refused(domain: Domain, name: str, harm: str) -> None:
    tensors = domain.tensors()
    torn = tensors.pop(PREFIX + name)
    if harm == "short":
        tensors[PREFIX + name] = torn[:-1] if torn.ndim else torn[None]
    elif harm == "nan":
        tensors[PREFIX + name] = torn * nan
    with pytest.raises(BundleError, match="damaged or outdated domain of codes"):
        Domain.read(tensors)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("deviation", torch.zeros([])),
        ("deviations", -torch.ones(16)),
        ("quantiles.spread", -GRID),
        ("quantiles.colour", GRID),
        ("kurtosis", torch.ones(16)),
    ],
)
def test_what_is_no_domain_is_refused(domain: Domain, name: str, tensor: Tensor) -> None:
    with pytest.raises(BundleError, match=r"Got .* Expected .* train its encoder"):
        Domain.read({**domain.tensors(), PREFIX + name: tensor})


@pytest.mark.parametrize("n", [0, 1, 30])
def test_fresh_rows_change_at_most_once(generator: Generator, n: int) -> None:
    w = rows(generator, n, mixing=1)
    changes = (w[:, 1:] != w[:, :-1]).any(dim=2).sum(dim=1)
    assert w.shape == (n, generator.config.layers, generator.config.w_dim)
    assert (changes == 1).all()


@pytest.mark.parametrize("mixing", [0.0, 0.3, 0.9])
def test_so_many_fresh_rows_are_mixed(generator: Generator, mixing: float) -> None:
    w = rows(generator, 2000, mixing=mixing)
    mixed = (w != w[:, :1]).flatten(1).any(dim=1).float().mean()
    assert mixed.item() == pytest.approx(mixing, abs=0.04)


def test_every_cut_comes_up(generator: Generator) -> None:
    w = rows(generator, 300, mixing=1)
    cuts = (w[:, 1:] != w[:, :-1]).any(dim=2).long().argmax(dim=1) + 1
    assert set(cuts.tolist()) == set(range(1, generator.config.layers))


def test_moving_keeps_everything(domain: Domain) -> None:
    moved = domain.to("cpu")
    assert all(torch.equal(moved.tensors()[k], tensor) for k, tensor in domain.tensors().items())
