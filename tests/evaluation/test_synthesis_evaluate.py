"""Synthetic items compared with real ones: neighbours, copies and other figures."""

import shutil
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made import NAMES, edit, shapes, write_made
from tiny import part, spot, write_defects
from torch import Tensor

from blemish.evaluation.eyes import FeatureExtractor
from blemish.evaluation.synthesis import drift, items
from blemish.evaluation.synthesis.evaluate import NEIGHBOURS, Subject, compare
from blemish.evaluation.synthesis.items import read_real_defects, read_synthetic
from blemish.pictures import read_picture, write_picture

REAL = 9
LINES = {name: len(NAMES) - 1 - k for k, name in enumerate(NAMES)}  # of the manifest


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Weights that a machine may have must change nothing, and nobody waits for its disk."""
    monkeypatch.setenv("BLEMISH_WEIGHTS", str(tmp_path / "nowhere"))
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    monkeypatch.setattr("os.fsync", lambda _: None)  # test_files.py sees to that


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_defects(tmp_path_factory.mktemp("real"), n=REAL)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_made(tmp_path_factory.mktemp("untouched") / "made")


@pytest.fixture
def synthetic(untouched: Path, tmp_path: Path) -> Path:
    return shutil.copytree(untouched, tmp_path / "made")


def thumbnails(image: Tensor) -> list[Tensor]:
    return [F.adaptive_avg_pool2d(image, 8).flatten(1)[:, :, None, None]]


def apart(a: list[Tensor], b: list[Tensor]) -> Tensor:
    return (a[0] - b[0]).square().mean(dim=(1, 2, 3))


EYES = FeatureExtractor(name="thumbnails", look=thumbnails, compare=apart)


def subjects(synthetic: Path, real: Path, *, everything: bool = False) -> dict[str, Subject]:
    found = read_synthetic(synthetic)
    known = read_real_defects(real, tuple(found.items))
    return {s.kind: s for s in compare(EYES, found, known, everything=everything)}


def test_only_what_was_kept_is_looked_at(synthetic: Path, real: Path) -> None:
    before = subjects(synthetic, real)["crack"]
    edit(synthetic, LINES["bolt_2"], outcome="refused", reasons=["odd"])
    after = subjects(synthetic, real)["crack"]
    kept = [k for k, item in enumerate(before.items) if item.image.stem != "bolt_2"]
    assert len(kept) == len(after.synthetic) == len(before.synthetic) - 1
    torch.testing.assert_close(after.synthetic.around, before.synthetic.around[kept])


def far_off(views: Tensor, others: Tensor) -> Tensor:
    return (views[:, None] - others[None]).double().norm(dim=2)


def test_neighbours_are_the_nearest(synthetic: Path, real: Path) -> None:
    for subject in subjects(synthetic, real).values():
        distance, index = far_off(subject.synthetic.around, subject.real.around).sort(dim=1)
        np.testing.assert_array_equal(subject.neighbours, index[:, :NEIGHBOURS])
        np.testing.assert_allclose(subject.distances, distance[:, :NEIGHBOURS], atol=1e-4)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_there_are_as_many_neighbours_as_real_ones(n: int, synthetic: Path, tmp_path: Path) -> None:
    for subject in subjects(synthetic, write_defects(tmp_path / "real", n=n)).values():
        assert subject.neighbours.shape == (len(subject.synthetic), min(n, NEIGHBOURS))
        assert all(len({*row}) == len(row) for row in subject.neighbours.tolist())


@pytest.mark.parametrize(
    "n, everything, learnt, compared",
    [(1, False, 1, 0), (2, False, 1, 1), (5, False, 1, 4), (6, False, 2, 4), (4, True, 4, 4)],
)
def test_the_first_third_is_what_is_learnt_from(
    n: int, everything: bool, learnt: int, compared: int, synthetic: Path, tmp_path: Path
) -> None:
    real = write_defects(tmp_path / "real", n=n)
    for subject in subjects(synthetic, real, everything=everything).values():
        assert (len(subject.learnt), len(subject.compared)) == (learnt, compared)
        assert len(subject.real) == n
        torch.testing.assert_close(subject.learnt.around, subject.real.around[:learnt])
        torch.testing.assert_close(subject.compared.around, subject.real.around[-compared or n :])


def test_that_everything_was_learnt_from_makes_real_ones_no_less_diverse(
    synthetic: Path, real: Path
) -> None:
    some, every = (
        subjects(synthetic, real, everything=e)["crack"].figures(EYES) for e in (False, True)
    )
    assert every["diversity"] == some["diversity"]


TURNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it was": lambda a: a,
    "mirrored": np.fliplr,
    "upside down": np.flipud,
    "a quarter": lambda a: np.rot90(a, 1),
    "a half": lambda a: np.rot90(a, 2),
    "three quarters": lambda a: np.rot90(a, 3),
    "over the diagonal": lambda a: a.swapaxes(0, 1),
}


def write_textured(
    root: Path, n: int, *, turn: Callable[[np.ndarray], np.ndarray], seed: int = 0
) -> Path:
    """Defects of one type that look like nothing else, turned with their pictures."""
    rng, mask = np.random.default_rng(seed), np.zeros((41, 41), bool)
    mask[14:27, 12:25] = True
    for k in range(n):
        coarse = rng.integers(0, 256, (6, 6, 3), np.uint8)
        picture = coarse.repeat(7, axis=0).repeat(7, axis=1)[:41, :41]
        for folder, array in (("test", picture), ("ground_truth", mask)):
            (root / folder / "crack").mkdir(parents=True, exist_ok=True)
            write_picture(root / folder / "crack" / f"{k}.png", turn(array).copy())
    return root


@pytest.mark.parametrize("turn", TURNS)
def test_copies_are_found_however_they_are_turned(turn: str, tmp_path: Path) -> None:
    real = write_textured(tmp_path / "real", 9, turn=TURNS["as it was"])
    copies = write_textured(tmp_path / "copies", 3, turn=TURNS[turn])
    found = subjects(copies, real)["crack"]
    assert found.figures(EYES)["memorised"] == 1
    if turn == "as it was":
        assert found.neighbours[:, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("everything, share", [(False, 1 / 3), (True, 1)])
def test_only_of_those_that_were_learnt_from_it_is_a_copy(
    everything: bool, share: float, tmp_path: Path
) -> None:
    real, copies = (
        write_textured(tmp_path / turn, 6, turn=TURNS[turn]) for turn in ("as it was", "mirrored")
    )
    for k in range(2, 6):  # nothing like the first two, which may have been learnt from
        picture = np.full((41, 41, 3), 255 - k, np.uint8)
        write_picture(real / "test" / "crack" / f"{k}.png", picture)
        write_picture(copies / "test" / "crack" / f"{k}.png", np.fliplr(picture).copy())
    found = subjects(copies, real, everything=everything)["crack"]
    assert found.figures(EYES)["memorised"] == share


def write_pasted(root: Path, n: int, *, parts: int) -> Path:
    """Spots of some pattern, the same each time, on parts that differ with their seed."""
    mask = spot(64, 64)
    for k in range(n):
        levels = np.random.default_rng(k).integers(0, 256, (16, 16, 3), np.uint8)
        pattern = levels.repeat(4, axis=0).repeat(4, axis=1)
        picture = np.where(mask[:, :, None], pattern, part(seed=parts + k))
        for folder, array in (("test", picture), ("ground_truth", mask)):
            (root / folder / "crack").mkdir(parents=True, exist_ok=True)
            write_picture(root / folder / "crack" / f"{k}.png", array)
    return root


@pytest.mark.parametrize("parts", [0, 30, 60])
def test_a_copy_is_one_whatever_the_part(parts: int, tmp_path: Path) -> None:
    real = write_pasted(tmp_path / "real", 9, parts=0)
    synthetic = write_pasted(tmp_path / "made", 3, parts=parts)
    assert subjects(synthetic, real)["crack"].figures(EYES)["memorised"] == 1


def test_items_and_their_neighbours_are_named(synthetic: Path, real: Path) -> None:
    subject = subjects(synthetic, real)["crack"]
    files = subject.files(real)
    assert files["learnt"] == [f"test/crack/{k}.png" for k in range(3)]
    assert files["compared"] == [f"test/crack/{k}.png" for k in range(3, REAL)]
    for line, item in zip(subject.lines(), subject.items, strict=True):
        far = [near["distance"] for near in line["nearest"]]
        assert line["name"] == item.image.stem and far == sorted(far)
        assert line["drift"]["changed"] == 1


def test_where_all_differ_there_are_no_copies(tmp_path: Path) -> None:
    real = write_defects(tmp_path / "real", n=6)
    others = write_textured(tmp_path / "others", 5, turn=TURNS["as it was"], seed=1)
    assert subjects(others, real)["crack"].figures(EYES)["memorised"] == 0


def test_the_real_ones_themselves_are_nearer_than_others(tmp_path: Path) -> None:
    real = write_textured(tmp_path / "real", 12, turn=TURNS["as it was"])
    same = write_textured(tmp_path / "same", 12, turn=TURNS["as it was"])
    others = write_defects(tmp_path / "others", n=12)
    found = [subjects(root, real)["crack"].figures(EYES)["distances"] for root in (same, others)]
    for look in ("whole", "around", "inside"):
        same_ones, other_ones = (one[look]["made"] for one in found)
        assert same_ones["kernel"] < 0.1 < other_ones["kernel"]
        assert same_ones["frechet"] < other_ones["frechet"]


@pytest.mark.parametrize("shared", [True, False])
def test_diversity_under_one_mask_is_of_items_that_share_it(
    shared: bool, synthetic: Path, real: Path
) -> None:
    edit(synthetic, LINES["Nuß_6"], type="paint")  # on the photograph of Nuß_5
    if not shared:
        write_picture(synthetic / "requested" / "Nuß_6.png", shapes()["line"])
    found = subjects(synthetic, real)["paint"]
    assert len({*found.groups}) == (2 if shared else 3)
    assert (found.figures(EYES)["diversity"]["under_one_mask"] is not None) == shared


def test_what_was_changed_on_the_way_is_seen(synthetic: Path, real: Path) -> None:
    edit(synthetic, LINES["bolt_1"], scores={"reach_px": 0})
    picture = read_picture(synthetic / "test" / "crack" / "bolt_1.png")
    picture[:2, :5] = 255 - picture[:2, :5]
    write_picture(synthetic / "test" / "crack" / "bolt_1.png", picture)
    found = subjects(synthetic, real)["crack"].figures(EYES)["drift"]
    assert found["pixels_changed_outside_label"] == 10
    assert found["pixels_changed_beyond_reach"] >= 10
    assert found["iou_changed_least"] < found["iou_changed_median"] == 1


def test_of_the_pictures_none_is_held(
    synthetic: Path, tmp_path: Path, real: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def watched(path: Path) -> np.ndarray:
        nonlocal most
        picture = read_picture(path)
        alive.append(weakref.ref(picture))
        most = max(most, sum(found() is not None for found in alive))
        return picture

    for room in (items, drift):
        monkeypatch.setattr(room, "read_picture", watched)
    subjects(synthetic, real)
    write_textured(tmp_path / "many", 40, turn=TURNS["as it was"])
    subjects(tmp_path / "many", real)
    assert len(alive) == 5 + 5 + 2 * REAL + 40 + REAL, "items, their twins, and real ones"
    assert most <= 3, "that of an item, of its twin, and of the item before"
