"""Figures of maps: closed forms, slow references, and what must not change them."""

import numpy as np
import pytest

from blemish.evaluation.figures import auroc
from blemish.evaluation.utility.scores import PixelScores, pixel_scores, region_shares

FIGURES = ("auroc", "ap", "f1_max", "pro")


def maps(n: int = 2, side: int = 12, *, levels: int | None = None, seed: int = 0) -> np.ndarray:
    """Random scores, of so many different ones if told."""
    scores = np.random.default_rng(seed).random((n, side, side))
    return scores if levels is None else np.floor(scores * levels) / levels


def masks(n: int = 2, side: int = 12) -> np.ndarray:
    """Two regions of different sizes in the first, none in the others."""
    marked = np.zeros((n, side, side), bool)
    marked[0, 1:4, 1:4] = marked[0, 7:9, 6:11] = True
    return marked


def slow(scores: np.ndarray, marked: np.ndarray, limit: float = 0.3) -> PixelScores:
    """The same from a loop over thresholds, by the definitions of the module."""
    shares = region_shares(marked)
    points, total = [(0.0, 0.0, 1.0, 0.0, 0.0)], marked.sum()
    for threshold in np.unique(scores)[::-1]:
        found = scores >= threshold
        tp, fp = (found & marked).sum(), (found & ~marked).sum()
        overlap = float(shares[found].sum())
        f1 = 2 * tp / (total + found.sum())
        points.append((fp / (~marked).sum(), tp / total, tp / (tp + fp), f1, overlap))
    fpr, recall, precision, f1, overlap = np.array(points).T
    fine = np.linspace(0, limit, 200_001)
    return PixelScores(
        auroc=float((np.diff(fpr) * (recall[1:] + recall[:-1]) / 2).sum()),
        ap=float((np.diff(recall) * precision[1:]).sum()),
        f1_max=float(f1.max()),
        pro=float(np.interp(fine, fpr, overlap).mean()),
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("levels", [None, 2, 7])
def test_as_by_the_definitions(seed: int, levels: int | None) -> None:
    scores, marked = maps(levels=levels, seed=seed), masks()
    fast, reference = pixel_scores(scores, marked), slow(scores, marked)
    for name in FIGURES:
        assert getattr(fast, name) == pytest.approx(getattr(reference, name), abs=2e-3), name
    for name in ("auroc", "ap", "f1_max"):
        assert getattr(fast, name) == pytest.approx(getattr(reference, name), abs=1e-12), name


@pytest.mark.parametrize("levels", [None, 3])
def test_the_area_is_the_chance_that_a_defect_is_above(levels: int | None) -> None:
    scores, marked = maps(levels=levels), masks()
    chance = auroc(scores[~marked].tolist(), scores[marked].tolist())
    assert pixel_scores(scores, marked).auroc == pytest.approx(chance)


@pytest.mark.parametrize("levels", [None, 3])
def test_as_scikit_learn(levels: int | None) -> None:
    learn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not here")
    scores, marked = maps(levels=levels), masks()
    found, flat = pixel_scores(scores, marked), (marked.ravel(), scores.ravel())
    precision, recall, _ = learn.precision_recall_curve(*flat)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    assert found.auroc == pytest.approx(learn.roc_auc_score(*flat))
    assert found.ap == pytest.approx(learn.average_precision_score(*flat))
    assert found.f1_max == pytest.approx(f1.max())


def test_of_a_perfect_map_all_is_one() -> None:
    found = pixel_scores(masks().astype(np.float64), masks())
    assert [getattr(found, name) for name in FIGURES] == pytest.approx([1, 1, 1, 1])


def test_of_the_worst_map_nothing_is_found_in_time() -> None:
    found, share = pixel_scores(-masks().astype(np.float64), masks()), masks().mean()
    assert (found.auroc, found.pro) == (0, 0)
    assert found.ap == pytest.approx(share)
    assert found.f1_max == pytest.approx(2 * share / (1 + share))


def test_of_an_even_map_it_is_chance() -> None:
    found, share = pixel_scores(np.full(masks().shape, 0.4), masks()), masks().mean()
    assert found.auroc == pytest.approx(0.5)
    assert found.ap == pytest.approx(share)
    assert found.pro == pytest.approx(0.15), "the mean of a diagonal up to 0.3"


def test_one_region_of_two_is_half_of_the_overlap_however_small() -> None:
    scores = np.zeros(masks().shape)
    scores[0, 1:4, 1:4] = 1
    found = pixel_scores(scores, masks())
    # From one half at no false alarm along a line to all at all.
    assert found.pro == pytest.approx(0.5 + 0.5 * 0.15)
    assert found.auroc == pytest.approx(9 / 19 + 10 / 19 / 2)
    assert found.f1_max == pytest.approx(2 * 9 / (19 + 9))


@pytest.mark.parametrize("fpr", [0.1, 0.25, 0.4])
def test_only_few_false_alarms_are_of_interest(fpr: float) -> None:
    marked, scores = np.zeros((1, 1, 101), bool), np.zeros((1, 1, 101))
    marked[0, 0, 0], scores[0, 0, 0] = True, 0.5
    scores[0, 0, 1 : 1 + round(100 * fpr)] = 1
    assert pixel_scores(scores, marked).pro == pytest.approx(max(0, 0.3 - fpr) / 0.3)


@pytest.mark.parametrize("levels", [None, 5])
def test_only_the_order_counts(levels: int | None) -> None:
    scores = maps(levels=levels)
    assert pixel_scores(scores, masks()) == pixel_scores(np.exp(9 * scores) - 70, masks())


@pytest.mark.parametrize("levels", [None, 5])
def test_the_order_of_pictures_does_not_count(levels: int | None) -> None:
    scores, order = maps(4, levels=levels), [2, 0, 3, 1]
    one, other = pixel_scores(scores, masks(4)), pixel_scores(scores[order], masks(4)[order])
    for name in FIGURES:
        assert getattr(one, name) == pytest.approx(getattr(other, name))


def test_half_precision_of_a_network_is_taken() -> None:
    scores = maps().astype(np.float32)
    assert pixel_scores(scores, masks()) == pixel_scores(scores.astype(np.float64), masks())


def test_each_region_has_an_even_share() -> None:
    marked = masks(3)
    marked[2, 0, 0] = marked[2, 1, 1] = True  # one region, by its corner
    shares = region_shares(marked)
    assert shares.sum() == pytest.approx(1)
    for region in (shares[0, 1:4, 1:4], shares[0, 7:9, 6:11], shares[2]):
        assert region.sum() == pytest.approx(1 / 3)
    assert not shares[~marked].any()
    assert not region_shares(np.zeros((1, 4, 4), bool)).any()
