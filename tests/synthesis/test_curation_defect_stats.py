import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import TYPES, part, spot, write_bundle, write_defects

from blemish.checkpoint import Bundle, pack
from blemish.data.folder import DefectFolder
from blemish.data.masks import silhouette
from blemish.errors import DataError
from blemish.models.projected import pretrained_features
from blemish.pictures import write_picture
from blemish.synthesis.curation.curate import Curator
from blemish.synthesis.curation.defect_features import DefectFeatures, defect_features
from blemish.synthesis.curation.defect_stats import (
    FURTHEST,
    MOST_ON_PART,
    PREFIX,
    UNKNOWN,
    RealDefectStats,
    _limits,
    _measure,
    learn_curation,
    read_defect_stats,
)

STUDENT = {2: 31.821, 3: 6.965, 4: 4.541, 5: 3.747, 10: 2.821, 14: 2.650}  # a table's, by n
PARTS = [f"{PREFIX}{kind}.{what}" for kind in TYPES for what in ("bounds", "features")]


@pytest.fixture
def fresh(tmp_path: Path) -> Bundle:
    """A bundle to write into."""
    return write_bundle(tmp_path / "bundle")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> DefectFolder:
    return DefectFolder(write_defects(tmp_path_factory.mktemp("real"), n=6))


def learnt(bundle: Bundle, folder: DefectFolder, **options: Any) -> dict[str, RealDefectStats]:
    learn_curation(bundle, folder, TYPES, **options)
    return read_defect_stats(bundle)


def seen(*at: float, contrast: float = 9.0, on_part: float = 1.0) -> DefectFeatures:
    """What is seen of a defect whose features are so."""
    return DefectFeatures(
        features=torch.tensor(at, dtype=torch.float),
        inside=torch.tensor(at, dtype=torch.float),
        contrast=contrast,
        on_part=on_part,
    )


@pytest.mark.parametrize("n", STUDENT)
@pytest.mark.parametrize("middle, step", [(0.0, 0.1), (-3.0, 0.5), (40.0, 1.0)])
def test_limits_are_those_of_the_next_value(n: int, middle: float, step: float) -> None:
    values = [middle + step * (k - (n - 1) / 2) for k in range(n)]
    deviation = step * math.sqrt(n * (n + 1) / 12)  # of n steps
    low, high = _limits(values)
    assert (low + high) / 2 == pytest.approx(middle)
    reach = STUDENT[n] * deviation * math.sqrt(1 + 1 / n)
    assert (high - low) / 2 == pytest.approx(reach, rel=1e-3)


@pytest.mark.parametrize("spread", [0.1, 1.0, 2.0])
def test_fewer_know_less(spread: float) -> None:
    reaches = [np.ptp(_limits([-spread, spread] * k)) for k in (1, 2, 3, 5, 50)]
    assert reaches == sorted(reaches, reverse=True)
    assert len({*reaches}) == len(reaches)
    most = STUDENT[14] * 2 * spread
    assert reaches[-1] < most < reaches[1]


@pytest.mark.parametrize("values", [[], [3.0], [-40.0]])
def test_of_one_value_nothing_can_be_said(values: list[float]) -> None:
    assert _limits(values) == (-UNKNOWN, UNKNOWN)


@pytest.mark.parametrize("values", [[-1e6, 1e6], [0.0, 1e30], [5.0, 5.0]])
def test_limits_are_finite(values: list[float]) -> None:
    low, high = _limits(values)
    assert np.isfinite([low, high]).all()
    assert 0 <= high - low <= 2 * UNKNOWN or max(values) > 1e9
    assert low <= np.mean(values) <= high


@pytest.mark.parametrize("n", [2, 4, 9])
def test_the_next_of_many_seldom_lies_beyond(n: int) -> None:
    rng = np.random.default_rng(n)
    beyond = 0
    for *values, following in rng.normal(5, 0.5, (2000, n + 1)).tolist():
        low, _ = _limits(values)
        beyond += following < low
    assert 5 <= beyond <= 40, "one in a hundred"


@pytest.mark.parametrize("at, far", [((0.0, 0.0), 0.0), ((2.0, 0.0), 2.0), ((9.0, 4.0), 0.0)])
def test_distance_is_in_deviations_of_the_nearest(at: Sequence[float], far: float) -> None:
    rule = _measure([[seen(0, 0), seen(9, 4)]], [])
    deviation = torch.tensor([4.5, 2.0])
    unit = deviation + deviation.mean() / 10  # some features hardly vary at all
    wanted = (torch.tensor([far, 0.0]) / unit).square().mean().sqrt().item()
    assert rule.distance(seen(*at)) == pytest.approx(wanted)
    assert rule.likeness(seen(*at)) == pytest.approx(wanted)


def test_what_is_held_out_sets_the_bounds() -> None:
    known = [[seen(0, 0, contrast=9)], [seen(1, 1, contrast=9), seen(2, 0, contrast=9)]]
    held_out = [[seen(0, 1, contrast=1)], [], [seen(3, 3, contrast=2), seen(1, 2, contrast=3)]]
    found = _measure(known, held_out)
    assert found.features.tolist() == [[0, 0], [1, 1], [2, 0]]
    assert found.held_out == 3
    wanted = math.exp(_limits([math.log(k) for k in (1, 2, 3)])[0])
    assert found.bounds.contrast == pytest.approx(wanted)
    far = [found.distance(s) for some in held_out for s in some]
    low, high = _limits([math.log(d) for d in far])
    assert found.bounds.nearest == pytest.approx(min(math.exp(low), min(far) / 2))
    assert found.bounds.furthest == pytest.approx(math.exp(high))
    assert found.bounds.nearest < min(far) <= max(far) < found.bounds.furthest


def test_where_none_is_held_out_each_is_held_against_the_rest() -> None:
    known = [[seen(0, 0), seen(0, 0.1)], [], [seen(5, 5)], [seen(9, 0)]]
    found = _measure(known, [[], []])
    assert found.held_out == 0
    scale = found.features.std(dim=0, unbiased=False)
    scale = scale + scale.mean() / 10
    far = [
        min(
            float(((a.features - b.features) / scale).square().mean().sqrt())
            for other in known
            if other is not one
            for b in other
        )
        for one in known
        for a in one
    ]
    low, _ = _limits([math.log(d) for d in far])
    assert found.bounds.nearest == pytest.approx(min(math.exp(low), min(far) / 2), rel=1e-4)
    assert found.distance(seen(0, 0.1)) == 0, "it stays among those that are known"


@pytest.mark.parametrize("lowest, bound", [(1.0, MOST_ON_PART), (0.95, MOST_ON_PART), (0.3, 0.3)])
def test_as_much_beside_the_part_as_a_real_one(lowest: float, bound: float) -> None:
    found = _measure([[seen(0, 0)]], [[seen(1, 1, on_part=lowest)], [seen(1, 0)]])
    assert found.bounds.on_part == bound


@pytest.mark.parametrize("known", [1, 2, 5])
@pytest.mark.parametrize("held_out", [0, 1, 2, 5])
@pytest.mark.parametrize("alike", [False, True])
def test_bounds_are_finite_however_few(known: int, held_out: int, alike: bool) -> None:
    rng = np.random.default_rng(0)
    draw = [[seen(*(rng.normal(size=3) * (not alike)).tolist())] for _ in range(known + held_out)]
    found = _measure(draw[:known], draw[known:])
    assert np.isfinite([*asdict(found.bounds).values()]).all()
    assert 0 < found.bounds.nearest <= found.bounds.furthest <= FURTHEST
    assert np.isfinite([found.distance(seen(1, 1, 1)), found.likeness(seen(1, 1, 1))]).all()


@pytest.mark.parametrize("everything", [False, True])
def test_a_bundle_learns_and_keeps(fresh: Bundle, folder: DefectFolder, everything: bool) -> None:
    before, digest = fresh.tensors("statistics"), fresh.digest
    heard: list[int] = []
    found = learnt(fresh, folder, everything=everything, on_progress=heard.append)
    assert heard == [*range(1, 13)]
    assert {*found} == {*TYPES}
    for rule in found.values():
        assert len(rule.features) == (6 if everything else 2)
        assert rule.held_out == (0 if everything else 4)
    after = fresh.tensors("statistics")
    assert {name for name in after if name not in before} >= {*PARTS}
    assert all(torch.equal(after[name], known) for name, known in before.items())
    assert fresh.digest != digest


def test_real_defects_are_looked_at_as_made_ones(fresh: Bundle, folder: DefectFolder) -> None:
    found, critic = learnt(fresh, folder), pretrained_features()
    picture, mask = part(48, 48, seed=0), spot(48, 48, at=(0.4, 0.5))
    picture[mask] = (230, 20, 20)
    made = defect_features(critic, picture, mask, silhouette(part(48, 48, seed=0)))
    assert found["paint"].distance(made) == found["paint"].likeness(made) == 0
    assert found["crack"].distance(made) > 0


def test_what_is_learnt_again_takes_the_place(fresh: Bundle, folder: DefectFolder) -> None:
    learnt(fresh, folder)
    once = fresh.tensors("statistics")
    kept = {**once, f"{PREFIX}rust.bounds": torch.zeros(4), "other.bounds": torch.ones(2)}
    fresh.write("statistics", kept)
    assert {*learnt(fresh, folder)} == {*TYPES}
    again = fresh.tensors("statistics")
    assert torch.equal(again.pop("other.bounds"), torch.ones(2))
    assert again.keys() == once.keys()
    assert all(torch.equal(again[name], once[name]) for name in once)


def test_what_is_forgotten_disturbs_nothing(fresh: Bundle, folder: DefectFolder) -> None:
    before = fresh.tensors("statistics")
    learnt(fresh, folder)
    assert Curator.of(fresh) is not None
    fresh.forget(PREFIX)
    assert Curator.of(fresh) is None
    after = fresh.tensors("statistics")
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_bundle_without_statistics(fresh: Bundle, folder: DefectFolder) -> None:
    fresh.drop("statistics")
    assert read_defect_stats(fresh) == {}
    assert Curator.of(fresh) is None
    assert {*learnt(fresh, folder)} == {*TYPES}
    fresh.forget(PREFIX)
    assert not fresh.has("statistics")


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("n", [1, 2, 6])
def test_a_bundle_that_is_sent_still_knows(
    fresh: Bundle, tmp_path: Path, everything: bool, n: int
) -> None:
    folder = DefectFolder(write_defects(tmp_path / "real", n=n))
    found = learnt(fresh, folder, everything=everything)
    for kind, rule in read_defect_stats(pack(fresh, tmp_path / "sent")).items():
        torch.testing.assert_close(rule.features, found[kind].features, rtol=1e-3, atol=1e-4)
        sent, known = asdict(rule.bounds), asdict(found[kind].bounds)
        assert sent == {k: pytest.approx(v, rel=1e-3, abs=1e-4) for k, v in known.items()}
        assert rule.held_out == found[kind].held_out


@pytest.mark.parametrize("name", ["paint.red", "bounds", "a bounds.b", "features"])
def test_types_of_any_name(fresh: Bundle, name: str) -> None:
    rule = _measure([[seen(0, 0)]], [[seen(1, 1)]])
    start = f"{PREFIX}{name}."
    fresh.write(
        "statistics",
        {
            f"{start}features": rule.features,
            f"{start}inside": rule.inside,
            f"{start}bounds": torch.arange(4.0),
            f"{start}held_out": torch.tensor(1.0),
        },
    )
    found = read_defect_stats(fresh)
    assert {*found} == {name}
    assert [*asdict(found[name].bounds).values()] == [0, 1, 2, 3]


def test_pieces_count_for_themselves_and_together(fresh: Bundle, tmp_path: Path) -> None:
    root = write_defects(tmp_path / "real", n=3)
    two = spot(48, 48, at=(0.3, 0.5)) | spot(48, 48, at=(0.7, 0.5))
    write_picture(root / "ground_truth" / "paint" / "0.png", two)
    found = learnt(fresh, DefectFolder(root))
    assert {kind: len(rule.features) for kind, rule in found.items()} == {"crack": 1, "paint": 3}


@pytest.mark.parametrize("broken", ["no type", "no mask", "other size", "nothing marked", "torn"])
def test_what_cannot_be_learnt_from(fresh: Bundle, tmp_path: Path, broken: str) -> None:
    root = write_defects(tmp_path / "real")
    masks = root / "ground_truth" / "paint"
    if broken == "no type":
        shutil.rmtree(root / "test" / "paint")
    elif broken == "no mask":
        (masks / "2.png").unlink()
    elif broken == "other size":
        write_picture(masks / "1.png", spot(48, 47))
    elif broken == "nothing marked":
        write_picture(masks / "0.png", spot(48, 48) & False)
    else:
        (root / "test" / "paint" / "1.png").write_text("hello")
    before = fresh.digest
    with pytest.raises(DataError, match="paint"):
        learn_curation(fresh, DefectFolder(root), TYPES)
    assert Bundle(fresh.path).digest == before
    assert Curator.of(fresh) is None


def test_a_photograph_that_shows_nothing_is_passed_over(fresh: Bundle, tmp_path: Path) -> None:
    root = write_defects(tmp_path / "real", n=6)
    for k in (1, 3, 4):
        write_picture(root / "ground_truth" / "paint" / f"{k}.png", spot(48, 48) & False)
    found = learnt(fresh, DefectFolder(root))["paint"]
    assert (len(found.features), found.held_out) == (1, 2)


def test_bounds_of_an_earlier_release_give_way(fresh: Bundle, folder: DefectFolder) -> None:
    known = fresh.tensors("statistics")
    fresh.write("statistics", {**known, "curation.paint.bounds": torch.zeros(5)})
    assert Curator.of(fresh) is None, "they belong to a critic that bundles no longer have"
    learnt(fresh, folder)
    assert not any(name.startswith("curation.") for name in fresh.tensors("statistics"))
