"""Statistics of an object: distances, the scale of scores, and what a bundle keeps of them."""

import math

import pytest
import torch
from tiny import object_statistics

from blemish.errors import BundleError
from blemish.recognition.statistics import PREFIX, Gaussian, ObjectStatistics

LIMIT = f"{PREFIX}limit"


def vectors(n: int = 4000, seed: int = 0) -> torch.Tensor:
    """Two axes, much correlated, far from zero."""
    a, b = torch.randn(2, n, generator=torch.Generator().manual_seed(seed))
    return torch.stack([3 + a, -1 + a + 0.5 * b], dim=1)


def test_a_usual_distance_of_uncorrelated_numbers_is_one() -> None:
    one, another = (torch.randn(4000, 3, generator=torch.manual_seed(k)) for k in range(2))
    squares = (2 * Gaussian.fit(one).log_distance(another)).exp()
    assert squares.mean() == pytest.approx(1, abs=0.05)


def test_a_distance_is_measured_along_the_axes_of_the_vectors() -> None:
    fitted = Gaussian.fit(vectors())
    near, far = fitted.log_distance(torch.tensor([[4.0, 0.0], [4.0, -2.0]]))
    assert far > near + math.log(1.5)


def test_a_constant_number_does_not_divide_by_zero() -> None:
    constant = torch.cat([vectors(), torch.ones(4000, 1)], dim=1)
    assert Gaussian.fit(constant).log_distance(constant).isfinite().all()


def test_unseen_distances_set_the_scale() -> None:
    unseen = torch.tensor([0.5, 1.0, 1.5])
    scores = Gaussian.fit(vectors()).scaled(unseen).score(unseen)
    assert scores.mean() == pytest.approx(0, abs=1e-3)
    assert scores.std() == pytest.approx(1, abs=1e-2)


def test_the_largest_score_decides() -> None:
    one = Gaussian.fit(vectors())
    both = ObjectStatistics(gaussians={"a": one, "b": one}, limit=2.0)
    usual, odd = vectors(5, seed=2), vectors(5, seed=2) + 50
    scores = both.score({"a": usual, "b": odd})
    assert torch.equal(scores, both.score({"a": odd, "b": usual}))
    assert torch.equal(scores, one.score(one.log_distance(odd)))
    assert torch.equal(both.strangeness({"a": usual, "b": odd}), scores / 2)


def test_what_is_written_is_read_the_same_in_half_precision_too() -> None:
    known = object_statistics()
    for tensors in (known.tensors(), {k: v.half().float() for k, v in known.tensors().items()}):
        again = ObjectStatistics.read({**tensors, "other": torch.ones(1)})
        assert again is not None
        assert again.limit == pytest.approx(known.limit, rel=1e-3)
        for name, gaussian in known.gaussians.items():
            assert torch.equal(again.gaussians[name].whitening, gaussian.whitening)
            assert torch.equal(again.gaussians[name].mean, gaussian.mean)


def test_a_bundle_may_know_nothing() -> None:
    assert ObjectStatistics.read({"domain.mean": torch.ones(3)}) is None


@pytest.mark.parametrize(
    "name, damaged",
    [
        (LIMIT, torch.tensor(0.0)),
        (LIMIT, torch.ones(2)),
        (LIMIT, None),
        (f"{PREFIX}colours.usual", torch.tensor([0.0, 0.0])),
        (f"{PREFIX}colours.mean", torch.ones(3)),
        (f"{PREFIX}colours.mean", None),
        (f"{PREFIX}colours.whitening", torch.ones(3, 4)),
        (f"{PREFIX}shapes.mean", torch.ones(3)),
    ],
)
def test_damaged_statistics_are_refused(name: str, damaged: torch.Tensor | None) -> None:
    tensors = {k: v for k, v in object_statistics().tensors().items() if k != name}
    if damaged is not None:
        tensors[name] = damaged
    with pytest.raises(BundleError, match="damaged or outdated"):
        ObjectStatistics.read(tensors)
