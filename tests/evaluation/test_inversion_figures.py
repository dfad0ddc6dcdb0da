"""What can be said in closed form: ranks, growth, types, recovery, sentences."""

from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import CONFIG, TYPES, write_bundle
from torch import Tensor

from blemish.data.augment import Symmetries
from blemish.data.folder import DefectFolder
from blemish.evaluation.eyes import FeatureExtractor
from blemish.evaluation.figures import (
    auroc,
    mean,
    middle,
    monotone,
    percentiles,
    presentable,
    share,
)
from blemish.evaluation.inversion.answers import NOTHING, QUESTIONS, answers
from blemish.evaluation.inversion.arbitrary import code_distances, recovery, refusal
from blemish.evaluation.inversion.editing import EditReference, editing, verdicts
from blemish.evaluation.inversion.kinds import fit_regression, learn_kinds
from blemish.evaluation.inversion.measures import paired_kernel_distance
from blemish.evaluation.inversion.subjects import Subjects, own_samples
from blemish.evaluation.inversion.trial import MethodTrial
from blemish.evaluation.metrics import kernel_distance
from blemish.inversion.invert import Inversion
from blemish.inversion.model import Model, load_model
from blemish.inversion.space import WStatistics
from blemish.models.critic import Critic
from blemish.models.generator import Generator
from blemish.training.encoder.batches import BatchSource
from blemish.types import Codes


@pytest.mark.parametrize(
    "ordinary, odd, area",
    [
        ([0.0, 1.0], [2.0, 3.0], 1.0),
        ([2.0, 3.0], [0.0, 1.0], 0.0),
        ([1.0, 1.0], [1.0], 0.5),
        ([0.0, 2.0], [1.0], 0.5),
        ([0.0, 1.0, 2.0, 3.0], [2.0, 4.0], (2.5 + 4) / 8),
        ([], [1.0], None),
        ([1.0], [], None),
    ],
)
def test_the_area_under_the_curve(
    ordinary: list[float], odd: list[float], area: float | None
) -> None:
    assert auroc(ordinary, odd) == area


def test_the_area_depends_on_ranks_alone() -> None:
    ordinary, odd = torch.randn(2, 20).tolist()
    bent = [[x**3 for x in side] for side in (ordinary, odd)]
    assert auroc(*bent) == auroc(ordinary, odd)


def test_the_area_turns_over_with_the_sides() -> None:
    ordinary, odd = torch.randn(2, 20).tolist()
    area, turned = auroc(ordinary, odd), auroc(odd, ordinary)
    assert area is not None and turned is not None
    assert area + turned == pytest.approx(1)


@pytest.mark.parametrize(
    "values, one_way",
    [
        ([0.0, 1.0, 2.0], True),
        ([2.0, 1.0, 0.0], True),
        ([0.0, 0.0, 1.0], True),
        ([0.0, 1.0, 0.5], False),
        ([0.0, 1.0, 0.0], False),
        ([1.0, 1.0, 1.0], False),
        ([0.0, nan, 1.0], False),
    ],
)
def test_sequences_that_go_one_way(values: list[float], one_way: bool) -> None:
    assert monotone(torch.tensor([values])).tolist() == [one_way]


def test_percentiles_among_fresh_samples() -> None:
    fresh = torch.arange(100.0)
    assert percentiles(torch.tensor([-1.0, 50.0, 1e9]), fresh) == [0, 50, 100]


def test_nothing_has_no_figures() -> None:
    assert middle([]) is mean([]) is share([]) is None
    assert share([True, False]) == 0.5


def test_figures_are_fit_for_json() -> None:
    made = presentable({"a": (inf, nan, 1 / 3), 2: {"b": True, "c": 5}, "d": None})
    assert made == {"a": [None, None, 0.333333], "2": {"b": True, "c": 5}, "d": None}


def test_a_regression_separates_distinct_kinds() -> None:
    kind = torch.arange(60) % 3
    features = torch.randn(60, 8) + 8 * torch.eye(3, 8)[kind]
    regression = fit_regression(features, kind, 3)
    assert torch.equal(regression(features), kind)


def test_a_regression_is_not_swayed_by_units_or_by_numbers() -> None:
    kind = torch.tensor([0] * 40 + [1] * 4)
    features = torch.randn(44, 2) * 0.1 + kind[:, None]
    predicted = fit_regression(features, kind, 2)(features)
    scaled = features * torch.tensor([1e-3, 1e3]) + 7
    assert torch.equal(predicted, kind)
    assert torch.equal(fit_regression(scaled, kind, 2)(scaled), predicted)


def test_types_are_learnt_from_the_first_third_and_good_parts(parts: Path, critic: Critic) -> None:
    reader = learn_kinds(DefectFolder(parts), FeatureExtractor.of_critic(critic), 16)
    assert reader is not None
    assert reader.seen == {"good": 6, "crack": 2, "print": 2}
    assert {*reader.read(torch.rand(3, 3, 16, 16))} <= {*reader.kinds}


def test_types_are_not_learnt_without_good_parts(
    tmp_path: Path, parts: Path, critic: Critic
) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "crack").symlink_to(parts / "test" / "crack")
    (tmp_path / "ground_truth").symlink_to(parts / "ground_truth")
    assert learn_kinds(DefectFolder(tmp_path), FeatureExtractor.of_critic(critic), 16) is None


def test_the_kernel_distance_of_pairs() -> None:
    x = torch.randn(12, 16)
    assert paired_kernel_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert paired_kernel_distance(x, x + 3) > 1
    assert kernel_distance(x, x) < -0.1, "what it is there for"


def test_eyes_see_no_distance_between_equal_pictures(critic: Critic) -> None:
    image, eyes = torch.rand(3, 3, 16, 16), FeatureExtractor.of_critic(critic)
    assert eyes.distance(image, image).tolist() == [0, 0, 0]
    assert (eyes.distance(image, image.flip(0))[[0, 2]] > 0).all()
    torch.testing.assert_close(
        eyes.pooled(image).square().mean(dim=1), torch.ones(3), atol=1e-4, rtol=1e-4
    )


def nothing_to_move() -> BatchSource:
    pictures, still = np.zeros((0, 16, 16, 3), np.uint8), Symmetries()
    return BatchSource(photographs=pictures, defects=None, symmetries=still, placements=still)


@pytest.fixture(scope="module")
def own(generator: Generator) -> list[Subjects]:
    return own_samples(generator, nothing_to_move(), 6)


def test_half_of_the_own_samples_have_defects(own: list[Subjects]) -> None:
    good, flawed = own
    assert [good.group, flawed.group] == ["own", "own defective"]
    assert (len(good), len(flawed)) == (3, 3)
    assert good.codes is not None and good.codes.w_defect is None and not good.defect
    assert flawed.codes is not None and flawed.codes.w_defect is not None and flawed.defect
    assert flawed.mask is not None and flawed.kinds is not None
    for mask, kind in zip(flawed.mask, flawed.kinds, strict=True):
        assert kind in (TYPES if mask.any() else ["good"])


def test_own_samples_are_what_their_codes_draw(own: list[Subjects], generator: Generator) -> None:
    for group in own:
        assert group.codes is not None
        with torch.no_grad():
            again = generator(group.codes, mask=group.mask).image
        torch.testing.assert_close(again, group.image, atol=1e-4, rtol=1e-4)


def perfect(group: Subjects, *, shift: float = 0.0, mask: Tensor | None = None) -> MethodTrial:
    """As if codes had been found exactly, or `shift` away from it."""
    assert group.codes is not None
    inversions = []
    for k in range(len(group)):
        here = slice(k, k + 1)
        w_defect = None if group.codes.w_defect is None else group.codes.w_defect[here]
        inversions.append(
            Inversion(
                outcome="ok",
                reason="",
                method="project",
                codes=Codes(w=group.codes.w[here] + shift, w_defect=w_defect),
                mask=None,
                target=group.image[here],
                image=group.image[here],
                terms={},
                steps=1,
                domain_scores={"percentile": float(k)},
                strangeness=float(k),
            )
        )
    found = group.mask if mask is None else mask
    return MethodTrial(
        subjects=group,
        inversions=inversions,
        mask=found if group.defect else None,
        seconds=1.0,
    )


@pytest.mark.parametrize("shift", [0.0, 0.5, -2.0])
def test_the_distance_to_the_true_code_is_in_variances_of_w(
    own: list[Subjects], shift: float
) -> None:
    # The deviation is the length of a vector of 16 elements; each has a quarter of it.
    statistics = WStatistics(mean=torch.zeros(16), deviation=torch.tensor(8.0))
    far = code_distances(perfect(own[0], shift=shift), statistics)
    assert far == pytest.approx([(shift / 2) ** 2] * 3, abs=1e-5)


def test_own_samples_are_recovered_when_both_picture_and_mask_are(own: list[Subjects]) -> None:
    good, flawed = own
    assert flawed.mask is not None
    statistics = WStatistics(mean=torch.zeros(16), deviation=torch.tensor(4.0))
    found = recovery({"own": perfect(good), "own defective": perfect(flawed)}, statistics)
    assert found is not None
    assert (found["n"], found["share_recovered"], found["code_distance"]) == (6, 1, 0)
    missed = perfect(flawed, mask=1 - flawed.mask)
    found = recovery({"own": perfect(good), "own defective": missed}, statistics)
    assert found is not None
    assert (found["share_psnr"], found["share_iou"], found["share_recovered"]) == (1, 0, 0.5)


def test_nobody_is_refused_where_nobody_strange_was_tried(own: list[Subjects]) -> None:
    assert refusal({"good": perfect(own[0])}) is None
    assert recovery({}, WStatistics(mean=torch.zeros(16), deviation=torch.tensor(4.0))) is None


def test_refusal_goes_by_strangeness(own: list[Subjects]) -> None:
    good, foreign = perfect(own[0]), perfect(own[0])
    odd = [replace(i, strangeness=9.0, outcome="out of domain") for i in foreign.inversions]
    found = refusal({"good": good, "foreign": replace(foreign, inversions=odd)})
    assert found is not None
    assert found["auroc_strangeness"] == 1
    assert found["auroc_percentile"] == found["auroc_psnr"] == 0.5
    assert (found["foreign_refused"], found["good_refused"]) == (1, 0)


def test_the_critic_judges_each_picture_by_itself(critic: Critic) -> None:
    image = torch.rand(4, 3, 16, 16)
    whole = verdicts(critic, image)
    torch.testing.assert_close(verdicts(critic, image[2:3]), whole[2:3])


def test_edits_of_own_codes(own: list[Subjects], able_model: Model) -> None:
    good, flawed = own
    assert good.codes is not None
    reference = EditReference.of(able_model, flawed, fresh=20)
    found = editing(good.codes, reference)
    assert (found["pairs"], found["moved"]) == (2, 3)
    assert found["growth_of"] == "strength in the given mask"
    for name in ("moved_iou", "share_monotone"):
        assert 0 <= found[name] <= 1
    for name in ("midpoint_realism", "midpoint_percentile"):
        assert 0 <= found[name] <= 100
    assert found["changed_outside"] >= 0


def test_a_branch_that_takes_no_mask_is_measured_by_its_own(tmp_path: Path) -> None:
    assert CONFIG.defect is not None
    branch = replace(CONFIG.defect, takes_mask=False)
    model = load_model(write_bundle(tmp_path / "bundle", replace(CONFIG, defect=branch)))
    good, flawed = own_samples(model.generator, nothing_to_move(), 4)
    assert good.codes is not None and flawed.codes is not None and flawed.mask is not None
    with torch.no_grad():
        drawn = model.generator(flawed.codes)
    torch.testing.assert_close(drawn.mask, flawed.mask)
    found = editing(good.codes, EditReference.of(model, flawed, fresh=20))
    assert found["growth_of"] == "mask area"
    assert 0 <= found["share_monotone"] <= 1


def test_without_a_branch_only_midpoints_are_judged(own: list[Subjects], able_model: Model) -> None:
    assert own[0].codes is not None
    reference = EditReference.of(able_model, None, fresh=20)
    found = editing(own[0].codes, reference)
    assert {*found} == {"pairs", "midpoint_realism", "midpoint_percentile"}


def test_a_single_photograph_has_no_midpoint(own: list[Subjects], able_model: Model) -> None:
    assert own[0].codes is not None
    alone = Codes(w=own[0].codes.w[:1])
    found = editing(alone, EditReference.of(able_model, None, fresh=20))
    assert (found["pairs"], found["midpoint_realism"]) == (0, None)


def row(method: str, in_domain: float | None, psnr: float) -> dict[str, Any]:
    figures = {"in_domain": {"share_in_domain": in_domain}, "meaning": {"psnr_db": psnr}}
    about = {"method": method, "space": "w+", "groups": {"good": figures}}
    return {**about, "editing": None, "refusal": None, "recovery": None}


def test_answers_name_what_the_figures_say() -> None:
    reported = answers([row("encode", 0.9, 20.0), row("optimize", 0.1, 30.0)])
    assert "encode in w+, 90 %" in reported["in_domain"]
    assert "optimize in w+, 10 %" in reported["in_domain"]
    assert "optimize in w+, 30.00 dB" in reported["meaning"]
    turned = answers([row("encode", 0.1, 30.0), row("optimize", 0.9, 20.0)])
    assert "optimize in w+, 90 %" in turned["in_domain"]
    assert "encode in w+, 30.00 dB" in turned["meaning"]


def test_answers_to_what_was_not_measured() -> None:
    reported = answers([row("encode", None, 20.0)])
    assert reported["in_domain"] == reported["editing"] == reported["arbitrary"] == NOTHING
    assert list(reported) == list(QUESTIONS)
