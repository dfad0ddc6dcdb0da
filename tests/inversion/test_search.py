from collections.abc import Callable
from math import cos, inf, nan, pi

import pytest
import torch
from torch import Tensor

from blemish.errors import OptionError
from blemish.inversion.search import (
    Outcome,
    Search,
    Terms,
    search,
)
from blemish.limits import refuse_weights


def bowl(point: Tensor, bottom: Tensor) -> Callable[[float], Terms]:
    return lambda _: {"far": (point - bottom).square().sum(dim=1)}


def descend(start: Tensor, bottom: Tensor, how: Search) -> Tensor:
    point = start.clone().requires_grad_()
    search([point], bowl(point, bottom), {"far": 1}, how)
    return point.detach()


@pytest.mark.parametrize(
    "time, share",
    [
        (0.0, 0.0),
        (0.025, 0.5),
        (0.05, 1.0),
        (0.5, 1.0),
        (0.75, 1.0),
        (0.875, 0.5),
        (1 - 0.25 / 3, 0.5 - 0.5 * cos(pi / 3)),
        (1.0, 0.0),
    ],
)
@pytest.mark.parametrize("height", [0.1, 3])
def test_the_rate_has_two_ramps(time: float, share: float, height: float) -> None:
    assert Search(learning_rate=height).rate(time) == pytest.approx(share * height)


def test_the_rate_rises_then_falls() -> None:
    how = Search(ramp_up=0.3, ramp_down=0.4)
    rates = [how.rate(k / 100) for k in range(101)]
    assert rates[:30] == sorted(rates[:30])
    assert {*rates[30:61]} == {how.learning_rate}
    assert rates[60:] == sorted(rates[60:], reverse=True)


def test_a_bowl_is_descended_to_its_bottom() -> None:
    bottom = torch.randn(3, 4)
    found = descend(torch.zeros(3, 4), bottom, Search(steps=250))
    torch.testing.assert_close(found, bottom, atol=1e-2, rtol=0)


def test_a_batch_is_its_items() -> None:
    start, bottom, how = torch.randn(5, 3), torch.randn(5, 3), Search(steps=30)
    together = descend(start, bottom, how)
    apart = [descend(start[k : k + 1], bottom[k : k + 1], how) for k in range(5)]
    torch.testing.assert_close(together, torch.cat(apart))


def test_weights_choose_between_terms() -> None:
    point = torch.zeros(1, 2, requires_grad=True)

    def terms(_: float) -> Terms:
        return {"left": (point + 1).square().sum(dim=1), "right": (point - 1).square().sum(dim=1)}

    outcome = search([point], terms, {"left": 0, "right": 2}, Search(steps=150))
    found = outcome.terms
    assert found["right"].item() < 1e-3
    assert found["left"].item() == pytest.approx(8, rel=0.05), "terms come back unweighted"


def test_after_and_tell_are_called_behind_each_step() -> None:
    point, heard = torch.ones(1, 1, requires_grad=True), []

    def hold() -> None:
        with torch.no_grad():
            point.clamp_(min=0.9)
        heard.append("after")

    terms = bowl(point, torch.zeros(1, 1))
    outcome = search(
        [point], terms, {"far": 1}, Search(steps=20), after=hold, on_progress=heard.append
    )
    found = outcome.terms
    assert heard == [word for k in range(20) for word in ("after", k)]
    assert found["far"].item() == pytest.approx(0.81)


def test_terms_hear_of_the_time() -> None:
    point, times = torch.ones(1, 1, requires_grad=True), []

    def terms(time: float) -> Terms:
        times.append(time)
        return {"far": point.square().sum(dim=1)}

    search([point], terms, {"far": 1}, Search(steps=4))
    assert times == [0, 0.25, 0.5, 0.75, 1]


def test_no_step_moves_nothing() -> None:
    start, bottom = torch.randn(2, 3), torch.randn(2, 3)
    assert torch.equal(descend(start, bottom, Search(steps=0)), start)


def test_what_comes_back_tracks_no_gradient() -> None:
    point = torch.ones(2, 1, requires_grad=True)
    outcome = search([point], bowl(point, torch.zeros(2, 1)), {"far": 1}, Search(steps=1))
    found = outcome.terms
    assert found["far"].shape == (2,)
    assert not found["far"].requires_grad


@pytest.mark.parametrize(
    "options",
    [
        {"steps": -1},
        {"learning_rate": 0},
        {"learning_rate": -1},
        {"learning_rate": 100},
        {"learning_rate": nan},
        {"ramp_up": 0},
        {"ramp_up": 1.1},
        {"ramp_down": 0},
        {"ramp_down": nan},
        {"patience": -1},
        {"tolerance": -0.1},
        {"tolerance": 1},
        {"tolerance": nan},
        {"seconds": 0},
        {"seconds": -1},
        {"seconds": nan},
    ],
)
def test_bad_options_are_refused(options: dict) -> None:
    with pytest.raises(OptionError):
        Search(**options)


def walk(start: Tensor, bottom: Tensor, how: Search) -> tuple[Tensor, Outcome]:
    point = start.clone().requires_grad_()
    outcome = search([point], bowl(point, bottom), {"far": 1}, how)
    return point.detach(), outcome


def test_a_whole_schedule_converges() -> None:
    _, outcome = walk(torch.zeros(3, 2), torch.ones(3, 2), Search(steps=40))
    assert outcome.steps.tolist() == [40] * 3
    assert outcome.converged.all()


def test_an_item_stops_at_its_own_plateau() -> None:
    start, how = torch.tensor([[0.0], [-0.4]]), Search(steps=400, patience=10, tolerance=0.01)

    def floor(point: Tensor) -> Callable[[float], Terms]:
        return lambda _: {"far": point.square().sum(dim=1).clamp(min=0.04) + 1}

    point = (start - 1).requires_grad_()
    outcome = search([point], floor(point), {"far": 1}, how)
    assert outcome.converged.all()
    assert outcome.steps[0] < outcome.steps[1] < 400
    for k in range(2):
        alone = (start[k : k + 1] - 1).requires_grad_()
        one = search([alone], floor(alone), {"far": 1}, how)
        assert torch.equal(alone, point[k : k + 1]), "the other's steps do not move it"
        assert one.steps[0] == outcome.steps[k]


def test_who_has_stopped_is_not_pulled_either() -> None:
    point, heard = torch.tensor([[0.0], [5.0]], requires_grad=True), []

    def halve() -> None:
        with torch.no_grad():
            point.mul_(0.5)

    terms = lambda _: {"far": point.square().sum(dim=1) * torch.tensor([0.0, 1.0]) + 1}  # noqa: E731
    point.data[0] = 3
    outcome = search(
        [point],
        terms,
        {"far": 1},
        Search(steps=12, patience=2),
        after=halve,
        on_progress=heard.append,
    )
    assert outcome.steps[0] == 2
    assert point[0].item() == 3 * 0.5**2
    assert outcome.steps[1] > 2
    assert heard == list(range(int(outcome.steps.max())))


@pytest.mark.parametrize("bad", [nan, inf])
@pytest.mark.parametrize("when", [0.0, 0.5])
def test_numbers_that_are_not_finite_stop_one_item(bad: float, when: float) -> None:
    start, bottom, how = torch.zeros(3, 2), torch.ones(3, 2), Search(steps=20)
    point = start.clone().requires_grad_()

    def terms(time: float) -> Terms:
        far = (point - bottom).square().sum(dim=1)
        return {"far": far * torch.tensor([1, bad if time >= when else 1, 1])}

    outcome = search([point], terms, {"far": 1}, how)
    whole, _ = walk(start, bottom, how)
    assert torch.equal(point[[0, 2]], whole[[0, 2]])
    assert point.isfinite().all()
    assert outcome.converged.tolist() == [True, False, True]
    assert outcome.steps.tolist() == [20, 20 * when, 20]


def test_an_item_goes_back_to_where_its_loss_was_a_number() -> None:
    point = torch.tensor([[1.0], [1.0]], requires_grad=True)

    def terms(_: float) -> Terms:
        root = (point[:, 0] - torch.tensor([-9.0, 0.9])).sqrt()  # no number below
        return {"far": root + 1}

    outcome = search([point], terms, {"far": 1}, Search(steps=30))
    assert outcome.converged.tolist() == [True, False]
    assert 0.9 <= point[1].item() < 1
    assert outcome.terms["far"].isfinite().all()


def test_a_gradient_that_is_not_finite_stops_an_item_where_it_is() -> None:
    point = torch.tensor([[0.0], [1.0]], requires_grad=True)
    terms = lambda _: {"far": point.sqrt().sum(dim=1)}  # noqa: E731
    outcome = search([point], terms, {"far": 1}, Search(steps=3))
    assert point[0].item() == 0
    assert outcome.converged.tolist() == [False, True]


def test_getting_worse_is_not_converging() -> None:
    point = torch.full((2, 1), 1e-3, requires_grad=True)
    terms = lambda _: {"far": point.square().sum(dim=1)}  # noqa: E731
    outcome = search([point], terms, {"far": 1}, Search(steps=2, learning_rate=50, ramp_down=1))
    assert not outcome.converged.any()
    assert outcome.steps.tolist() == [2, 2]


def test_out_of_time_is_not_converged() -> None:
    start = torch.zeros(2, 1)
    point, outcome = walk(start, torch.ones(2, 1), Search(steps=50, seconds=1e-9))
    assert torch.equal(point, start)
    assert outcome.steps.tolist() == [0, 0]
    assert not outcome.converged.any()
    _, outcome = walk(start, torch.ones(2, 1), Search(steps=50, seconds=600))
    assert outcome.converged.all()


@pytest.mark.parametrize("weight", [-1, -1e-9, nan, inf, 1e10])
def test_bad_weights_are_refused_by_name(weight: float) -> None:
    with pytest.raises(OptionError, match="mask weight"):
        refuse_weights(image_weight=1, mask_weight=weight)


@pytest.mark.parametrize("weight", [0, 1e5, 1e9])
def test_good_weights_pass(weight: float) -> None:
    refuse_weights(image_weight=weight)


def test_steps_may_be_reduced_and_the_end_is_not() -> None:
    point = torch.ones(2, 4).requires_grad_()
    weight, formats = torch.full((4, 4), 1 / 3), []

    def terms(time: float) -> Terms:
        seen = point @ weight
        formats.append((time < 1, seen.dtype))
        return {"far": seen.float().square().sum(dim=1)}

    end = search([point], terms, {"far": 1}, Search(steps=3), reduced=True)
    assert formats == [(True, torch.bfloat16)] * 3 + [(False, torch.float32)]
    torch.testing.assert_close(end.terms["far"], (point @ weight).square().sum(dim=1).detach())
    assert point.dtype == torch.float32 and end.converged.all()


@pytest.mark.parametrize(
    "side, known, reduced", [(64, True, False), (128, True, True), (256, False, False)]
)
def test_bfloat16_is_for_fine_images_where_the_processor_has_it(
    side: int, known: bool, reduced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blemish.inversion.search.has_bfloat16", lambda: known)
    assert Search().reduced(side) == reduced
    assert Search(precision="bf16-mixed").reduced(side)
    assert not Search(precision="32-true").reduced(side)
