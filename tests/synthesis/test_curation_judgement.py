import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenery import SIZES, at_size, lighter, painted
from tiny import TYPES, part, spot, write_bundle, write_defects

from blemish.data.folder import DefectFolder
from blemish.evaluation.synthesis.items import read_synthetic
from blemish.pictures import write_picture
from blemish.synthesis.batch.summary import BatchSummary
from blemish.synthesis.curation.curate import Curator, Judgement, drift
from blemish.synthesis.curation.defect_stats import RealDefectStats, learn_curation
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.synthesize import Synthesizer

SIDE, N = 128, 6
PAINT, CRACK = (230, 20, 20), (30, 30, 30)
NOWHERE = np.zeros((SIDE, SIDE), bool)
SCORES = ["drift", "met", "distance", "likeness", "contrast", "on_part"]


@pytest.fixture(scope="module")
def curator(tmp_path_factory: pytest.TempPathFactory) -> Curator:
    """Of a bundle that has learnt from two of six spots of each type.

    All spots of a type are the same, so that each would be a copy: that bound is taken away.
    """
    root = tmp_path_factory.mktemp("curation")
    bundle = write_bundle(root / "bundle")
    learn_curation(bundle, DefectFolder(write_defects(root / "real", n=N, side=SIDE)), TYPES)
    found = Curator.of(bundle)
    assert found is not None
    sticks = {
        kind: replace(rule, bounds=replace(rule.bounds, nearest=0.0))
        for kind, rule in found.stats.items()
    }
    return replace(found, stats=sticks)


def judge(
    curator: Curator,
    picture: np.ndarray,
    good: np.ndarray,
    label: np.ndarray,
    requested: np.ndarray | None = None,
    *,
    kind: str = "paint",
    **options: Any,
) -> Judgement:
    requested = label if requested is None else requested
    return curator.judge(kind, picture, good, label, requested, **options)


def causes(judgement: Judgement) -> list[str]:
    return [reason.split(":")[0] for reason in judgement.reasons]


def held_to(curator: Curator, **bounds: float) -> Curator:
    """The same, with bounds that nothing meets but where it is said."""
    free = {"nearest": 0.0, "furthest": 1e9, "contrast": 0.0, "on_part": 0.0}
    sticks = {
        kind: replace(rule, bounds=replace(rule.bounds, **{**free, **bounds}))
        for kind, rule in curator.stats.items()
    }
    return replace(curator, stats=sticks)


@pytest.mark.parametrize("kind, colour", [("paint", PAINT), ("crack", CRACK)])
@pytest.mark.parametrize("at", [(0.5, 0.5), (0.45, 0.52), (0.52, 0.47)])
@pytest.mark.parametrize("seed", [7, 8])
def test_a_good_one_is_kept(
    curator: Curator, kind: str, colour: tuple[int, int, int], at: tuple[float, float], seed: int
) -> None:
    good, mask = part(SIDE, SIDE, seed=seed), spot(SIDE, SIDE, at=at)
    found = judge(curator, painted(good, mask, colour), good, mask, kind=kind)
    assert found.reasons == ()
    assert [*found.scores] == SCORES
    assert (found.scores["drift"], found.scores["met"], found.scores["on_part"]) == (0, 1, 1)
    assert json.loads(json.dumps(found.scores, allow_nan=False)) == found.scores


@pytest.mark.parametrize("at", [(0.06, 0.06), (0.94, 0.06), (0.9, 0.9)])
def test_off_the_part(curator: Curator, at: tuple[float, float]) -> None:
    good, mask = part(SIDE, SIDE, seed=7), spot(SIDE, SIDE, at=at)
    assert "off the part" in causes(judge(curator, painted(good, mask, PAINT), good, mask))


@pytest.mark.parametrize("levels", [-3, -1, 1, 3])
def test_a_change_that_nobody_sees(curator: Curator, levels: int) -> None:
    good, mask = part(SIDE, SIDE, seed=7), spot(SIDE, SIDE)
    found = causes(judge(curator, lighter(good, mask, levels), good, mask))
    assert found[0] == "mask drift"
    assert "too faint" in found


@pytest.mark.parametrize("shift", [(0, 20), (20, 0), (-20, 0), (14, -14)])
def test_a_label_beside_the_defect(curator: Curator, shift: tuple[int, int]) -> None:
    good, mask = part(SIDE, SIDE, seed=7), spot(SIDE, SIDE)
    label = np.roll(mask, shift, axis=(0, 1))
    found = judge(curator, painted(good, mask, PAINT), good, label)
    assert "mask drift" in causes(found)
    union = (mask | label).sum()
    assert found.scores["drift"] == pytest.approx(1 - (mask & label).sum() / union, abs=0.02)


@pytest.mark.parametrize("kind, colour", [("paint", PAINT), ("crack", CRACK)])
@pytest.mark.parametrize("k", range(N // 3))
def test_a_training_defect_again(
    curator: Curator, kind: str, colour: tuple[int, int, int], k: int
) -> None:
    good, mask = part(SIDE, SIDE, seed=k), spot(SIDE, SIDE, at=(0.4 + 0.05 * k, 0.5))
    copied = judge(curator, painted(good, mask, colour), good, mask, kind=kind)
    assert copied.scores["likeness"] == pytest.approx(0, abs=1e-3)
    strict = held_to(curator, nearest=copied.scores["likeness"] + 0.01)
    found = judge(strict, painted(good, mask, colour), good, mask, kind=kind)
    assert causes(found) == ["a training defect again"]
    assert found.scores["distance"] == 0


@pytest.mark.parametrize("kind", ["paint", "crack", "rust"])
def test_an_empty_label(curator: Curator, kind: str) -> None:
    good = part(SIDE, SIDE)
    found = judge(curator, good, good, NOWHERE, spot(SIDE, SIDE), kind=kind)
    assert found == Judgement(scores={}, reasons=("nothing changed",))


def test_a_type_that_was_not_learnt_is_not_judged(curator: Curator) -> None:
    good, mask = part(SIDE, SIDE), spot(SIDE, SIDE)
    found = judge(curator, lighter(good, mask, 1), good, mask, kind="rust")
    assert found == Judgement(scores={}, reasons=())


@pytest.mark.parametrize("share, refused", [(0.0, True), (0.2, True), (0.4, False), (1.0, False)])
def test_a_mask_that_is_hardly_met(curator: Curator, share: float, refused: bool) -> None:
    good, requested = part(SIDE, SIDE, seed=7), spot(SIDE, SIDE)
    rows = np.flatnonzero(requested.any(axis=1))
    label = requested.copy()
    label[rows[0] + round(share * len(rows)) :] = False
    label |= spot(SIDE, SIDE, at=(0.3, 0.5)) & ~requested
    found = judge(curator, painted(good, label, PAINT), good, label, requested)
    assert ("mask not met" in causes(found)) == refused
    assert found.scores["met"] == pytest.approx(
        (label & requested).sum() / requested.sum(), abs=1e-3
    )


BOUNDS = [
    ("furthest", "distance", "unlike real ones", -1),
    ("nearest", "likeness", "a training defect again", 1),
    ("contrast", "contrast", "too faint", 1),
    ("on_part", "on_part", "off the part", 1),
]


@pytest.mark.parametrize("bound, score, cause, side", BOUNDS)
@pytest.mark.parametrize("off", [-0.01, 0.01])
def test_each_bound_for_itself(
    curator: Curator, bound: str, score: str, cause: str, side: int, off: float
) -> None:
    good, mask = part(SIDE, SIDE, seed=7), spot(SIDE, SIDE, at=(0.2, 0.5))
    item = painted(good, mask, PAINT), good, mask
    free = judge(held_to(curator), *item)
    assert free.reasons == ()
    found = judge(held_to(curator, **{bound: free.scores[score] + off}), *item)
    assert causes(found) == ([cause] if off * side > 0 else [])
    assert found.scores == free.scores


@pytest.mark.parametrize("strength", [0.1, 0.25, 0.5, 1.0])
def test_what_was_asked_to_be_weak_may_be(curator: Curator, strength: float) -> None:
    good, mask = part(SIDE, SIDE, seed=7), spot(SIDE, SIDE)
    item = lighter(good, mask, 40), good, mask
    contrast = judge(held_to(curator), *item).scores["contrast"]
    for slack, expected in ((0.99, []), (1.01, ["too faint"])):
        strict = held_to(curator, contrast=contrast / strength * slack)
        assert causes(judge(strict, *item, strength=strength)) == expected


def test_what_was_asked_to_fade_away_need_not_be_seen(curator: Curator) -> None:
    good, mask = part(SIDE, SIDE, seed=7), spot(SIDE, SIDE)
    left = np.arange(SIDE)[None] < SIDE / 2
    picture = np.where((mask & left)[:, :, None], painted(good, mask, PAINT), good)
    share = np.where(left, 1.0, 0.1) + np.zeros(mask.shape)
    even, fading = (judge(held_to(curator), picture, good, mask, strength=s) for s in (0.55, share))
    assert "mask drift" in causes(even)
    assert fading.scores["drift"] == 0
    assert fading.reasons == ()
    hidden = judge(held_to(curator), picture, good, mask, strength=1.1 - share)
    assert "mask drift" in causes(hidden), "where it is strong it must be seen"
    contrast = fading.scores["contrast"] / share[mask].mean()
    for slack, expected in ((0.99, []), (1.01, ["too faint"])):
        strict = held_to(curator, contrast=contrast * slack)
        assert causes(judge(strict, picture, good, mask, strength=share)) == expected


@pytest.mark.parametrize("kind, colour", [("paint", PAINT), ("crack", CRACK)])
@pytest.mark.parametrize("size", SIZES)
def test_the_verdict_does_not_depend_on_size(
    curator: Curator, kind: str, colour: tuple[int, int, int], size: tuple[int, int]
) -> None:
    good = part(SIDE, SIDE, seed=7)
    scenes = [(at_size(good, s), spot(*s)) for s in ((SIDE, SIDE), size)]
    known, found = (judge(curator, painted(g, m, colour), g, m, kind=kind) for g, m in scenes)
    close = {"contrast": 2}
    for name in SCORES:
        if name in ("likeness", "distance"):
            continue  # flat colours hardly spread, so what they count in is noise
        assert found.scores[name] == pytest.approx(known.scores[name], abs=close.get(name, 0.05))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pixels", [1, 2])
def test_specks_have_finite_scores(curator: Curator, size: tuple[int, int], pixels: int) -> None:
    good, mask = part(*size), np.zeros(size, bool)
    mask[size[0] // 2, size[1] // 2 : size[1] // 2 + pixels] = True
    found = judge(curator, painted(good, mask, PAINT), good, mask)
    assert np.isfinite([*found.scores.values()]).all()


@pytest.mark.parametrize("picture", [part(SIDE, SIDE), np.zeros((SIDE, SIDE, 3), np.uint8)])
@pytest.mark.parametrize("label", [~NOWHERE, spot(SIDE, SIDE), spot(SIDE, SIDE, at=(0, 0))])
def test_strange_items_have_finite_scores(
    curator: Curator, picture: np.ndarray, label: np.ndarray
) -> None:
    found = judge(curator, picture, picture, label, NOWHERE)
    assert np.isfinite([*found.scores.values()]).all()
    assert causes(found)[:2] == ["mask drift", "mask not met"]


def test_an_item_is_judged_alone(curator: Curator) -> None:
    good, mask = part(SIDE, SIDE, seed=7), spot(SIDE, SIDE)
    item = painted(good, mask, PAINT), good, mask
    first = judge(curator, *item)
    judge(curator, lighter(good, mask, 90), good, mask, kind="crack")
    assert judge(curator, *item) == first


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("change, far", [(0, 1.0), (40, 0.0)])
def test_drift_of_a_label(size: tuple[int, int], change: int, far: float) -> None:
    good, mask = part(*size), spot(*size)
    assert drift(lighter(good, mask, change), good, mask) == pytest.approx(far, abs=0.05)


def test_drift_counts_what_is_not_marked() -> None:
    good = part(SIDE, SIDE)
    half = spot(SIDE, SIDE)
    half[: SIDE // 2] = False
    assert drift(lighter(good, spot(SIDE, SIDE), 40), good, half) == pytest.approx(0.5, abs=0.02)
    assert drift(good, good, NOWHERE) == 0


def test_the_distance_is_the_yardstick_s(curator: Curator) -> None:
    rule: RealDefectStats = curator.stats["paint"]
    assert rule.held_out == N - N // 3
    assert len(rule.features) == len(rule.inside) > 0
    assert rule.bounds.furthest > 0


def test_a_bundle_that_was_not_calibrated_judges_nothing(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    assert Curator.of(bundle) is None
    assert Synthesizer(bundle, SynthesisOptions()).curator is None


def test_every_reason_is_counted_by_its_cause(curator: Curator, tmp_path: Path) -> None:
    good, mask = part(SIDE, SIDE, seed=7), spot(SIDE, SIDE, at=(0.06, 0.06))
    worst = {"nearest": 1e9, "furthest": -1.0, "contrast": 1e9, "on_part": 2.0}
    found = judge(held_to(curator, **worst), good, good, mask, spot(SIDE, SIDE))
    others = ("nothing changed", "near-duplicate: like 000001_a")
    tally, rows = BatchSummary(), []
    for k, reasons in enumerate([found.reasons, found.reasons, others, ()]):
        outcome = "refused" if reasons else "kept"
        about = {"name": f"{k}", "type": "paint", "outcome": outcome, "reasons": [*reasons]}
        rows.append({**about, "files": {} if reasons else {"image": "a.png", "mask": "b.png"}})
        tally.add(rows[-1])
    known = {cause: 2 for _, _, cause, _ in BOUNDS} | {"mask drift": 2, "mask not met": 2}
    known |= {"nothing changed": 1, "near-duplicate": 1}
    assert tally.figures()["reasons"] == known
    for name in ("a.png", "b.png"):
        write_picture(tmp_path / name, good)
    (tmp_path / "manifest.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert read_synthetic(tmp_path).reasons == known


@pytest.mark.parametrize("to", [(0.4, 0.5), (0.55, 0.45)])
def test_a_training_defect_on_another_part_is_nearer_than_another(
    curator: Curator, to: tuple[float, float]
) -> None:
    good, mask = part(SIDE, SIDE, seed=11), spot(SIDE, SIDE, at=to)
    copied, other = (
        judge(curator, painted(good, mask, colour), good, mask).scores["likeness"]
        for colour in (PAINT, (20, 40, 230))
    )
    assert copied < 0.2 * other
