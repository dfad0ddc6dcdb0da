"""What detectors learn from: the protocol, pasted and synthetic defects, and the arms' batches."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from made import write_made

from blemish.data.folder import DefectFolder
from blemish.data.pairs import read_mask
from blemish.errors import DataError
from blemish.evaluation.synthesis.items import LabelledDefect, read_synthetic
from blemish.evaluation.utility import sources
from blemish.evaluation.utility.arms import GOOD_KIND, Arm, Batches, make_arms
from blemish.evaluation.utility.paste import Pasted, feathered_paste, moved_onto
from blemish.evaluation.utility.plan import ARMS
from blemish.evaluation.utility.protocol import (
    Labelled,
    Protocol,
    read_protocol,
    refuse_leaks,
)
from blemish.evaluation.utility.sources import DefectSource, Pair, Real, SyntheticSource
from blemish.pictures import fit_mask, fit_square, read_picture, write_picture

SIZE = 32
GREEN, RED = (0, 250, 0), (250, 0, 0)


class Plain(DefectSource):
    """Pictures of one colour, marked all over but for a border."""

    def __init__(self, *kinds: str, colour: tuple[int, int, int]) -> None:
        self._kinds, self.colour = kinds, colour

    @property
    def kinds(self) -> tuple[str, ...]:
        return self._kinds

    def draw(self, kind: str, rng: np.random.Generator) -> Pair:
        mask = np.zeros((SIZE, SIZE), np.uint8)
        mask[4:-4, 4:-4] = 1
        return np.full((SIZE, SIZE, 3), self.colour, np.uint8), mask


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # test_files.py sees to that


@pytest.fixture(scope="module")
def real(parts: Path) -> Protocol:
    return read_protocol(parts, SIZE)


def names(photographs: Labelled) -> list[str]:
    return [f"{path.parent.name}/{path.stem}" for path in photographs.paths]


def batches(arm: Arm, real: Protocol, *, steps: int = 6, batch: int = 8, seed: int = 0) -> Batches:
    return Batches(arm=arm, real=real, steps=steps, batch=batch, seed=seed)


def test_a_third_is_learnt_from_and_the_rest_tested_on(real: Protocol, parts: Path) -> None:
    kinds = ("crack", "print")
    assert real.types == kinds
    assert names(real.learnt) == [f"{kind}/{k:03d}" for kind in kinds for k in range(2)]
    held_out = [f"{kind}/{k:03d}" for kind in kinds for k in range(2, 6)]
    assert names(real.tested) == [*held_out, "good/000", "good/001"]
    assert all(path.is_relative_to(parts / "train" / "good") for path in real.good.paths)
    assert len(real.good) == 6 and not real.good.masks.any()


def test_every_photograph_has_one_use(real: Protocol, parts: Path) -> None:
    used = [path for part in (real.good, real.learnt, real.tested) for path in part.paths]
    assert sorted(used) == [photograph.path for photograph in DefectFolder(parts).photographs]
    assert len({*used}) == len(used)


@pytest.mark.parametrize("limit, left", [(1, [0]), (2, [0, 3]), (4, [0, 1, 3, 4]), (9, range(6))])
def test_good_ones_are_limited_evenly(limit: int, left: list[int], parts: Path) -> None:
    assert names(read_protocol(parts, SIZE, limit).good) == [f"good/{k:03d}" for k in left]


def remove(folder: str) -> Callable[[Path], object]:
    return lambda root: shutil.rmtree(root / folder)


def keep_one_of_each(root: Path) -> None:
    for path in root.glob("test/[cp]*/*.png"):
        if path.stem != "000":
            path.unlink()


def mark(level: bool) -> Callable[[Path], None]:
    def redraw(root: Path) -> None:
        for path in root.glob("ground_truth/*/*.png"):
            write_picture(path, np.full((32, 32), level))

    return redraw


def mark_all(root: Path) -> None:
    mark(True)(root)
    shutil.rmtree(root / "test" / "good")


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no good ones": (remove("train"), "no photograph of a good part"),
    "no defects": (remove("test"), "no defects left for tests"),
    "no masks": (remove("ground_truth"), "without a mask"),
    "one of each type": (keep_one_of_each, "no defects left for tests"),
    "empty masks": (mark(False), "000.png, an empty mask"),
    "masks all over": (mark_all, "whose masks mark every pixel"),
}


@pytest.mark.parametrize("case", WRONG)
def test_folders_that_can_not_be_used(case: str, parts: Path, tmp_path: Path) -> None:
    spoil, got = WRONG[case]
    spoil(shutil.copytree(parts, tmp_path / "parts"))
    with pytest.raises(DataError, match=got):
        read_protocol(tmp_path / "parts", SIZE)


def test_what_is_tested_on_may_not_be_learnt_from(real: Protocol, tmp_path: Path) -> None:
    copies = [tmp_path / f"other {k}.png" for k in range(3)]
    for copy, path in zip(copies, real.learnt.paths, strict=False):
        shutil.copy(path, copy)
    refuse_leaks(copies, real.tested.paths)
    shutil.copy(real.tested.paths[3], copies[1])
    with pytest.raises(DataError, match=r"other 1\.png, the same as .*crack/005\.png"):
        refuse_leaks(copies, real.tested.paths)


def test_real_ones_are_drawn_as_they_are(real: Protocol) -> None:
    source, rng = Real(real.learnt), np.random.default_rng(0)
    seen = {source.draw("print", rng)[0].tobytes() for _ in range(20)}
    assert seen == {real.learnt.pictures[k].tobytes() for k in (2, 3)}
    assert source.kinds == real.types


def test_made_ones_are_those_that_were_kept(tmp_path: Path) -> None:
    items = read_synthetic(write_made(tmp_path)).items
    source, rng = SyntheticSource(items, SIZE), np.random.default_rng(0)
    drawn = [source.draw("paint", rng) for _ in range(20)]
    known = {fit_square(read_picture(item.image), SIZE).tobytes(): item for item in items["paint"]}
    assert {picture.tobytes() for picture, _ in drawn} == {*known}
    for picture, mask in drawn:
        label = fit_mask(read_mask(known[picture.tobytes()].mask), SIZE)
        np.testing.assert_array_equal(mask, label)


def test_of_a_large_set_little_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = read_synthetic(write_made(tmp_path)).items
    read: list[Path] = []
    whole = LabelledDefect.read

    def watched(item: LabelledDefect) -> tuple[np.ndarray, np.ndarray]:
        read.append(item.image)
        return whole(item)

    monkeypatch.setattr(LabelledDefect, "read", watched)
    for room in (2**28, 4 * SIZE**2):
        monkeypatch.setattr(sources, "CACHE_BYTES", room)
        source, rng = SyntheticSource(items, SIZE), np.random.default_rng(1)
        read.clear()
        for kind in ("crack", "paint", "crack") * 10:
            source.draw(kind, rng)
        if room == 2**28:
            assert len(read) == len({*read}) == 5, "each is read once"
        else:
            assert len(read) > 15, "only the last is kept"


def test_files_are_missed_before_a_training(tmp_path: Path) -> None:
    items = read_synthetic(write_made(tmp_path)).items
    items["crack"][0].mask.unlink()
    with pytest.raises(DataError, match="which does not exist"):
        SyntheticSource(items, SIZE)


def test_where_nothing_is_labelled_a_good_photograph_stays(real: Protocol) -> None:
    good, defect = real.good.pictures[0], real.learnt.pictures[0]
    empty = np.zeros((SIZE, SIZE), np.uint8)
    np.testing.assert_array_equal(feathered_paste(good, defect, empty), good)
    np.testing.assert_array_equal(feathered_paste(good, defect, empty + np.uint8(1)), defect)


def test_under_the_label_is_the_defect_and_far_from_it_the_part(real: Protocol) -> None:
    good, defect = real.good.pictures[0], 255 - real.good.pictures[0]
    label = np.zeros((SIZE, SIZE), np.uint8)
    label[10:20, 12:20] = 1
    made = feathered_paste(good, defect, label)
    np.testing.assert_array_equal(made[label > 0], defect[label > 0])
    changed = (made != good).any(axis=2)
    assert changed[9, 15], "the edge is feathered"
    near = np.zeros_like(changed)
    near[5:25, 7:25] = True
    assert not changed[~near].any()


@pytest.mark.parametrize("seed", range(10))
def test_moved_defects_lie_on_the_part(seed: int, real: Protocol) -> None:
    part, rng = Pasted(real.learnt, real.good).parts[0], np.random.default_rng(seed)
    picture, label = moved_onto(real.learnt.pictures[1], real.learnt.masks[1], part, rng)
    assert picture.shape == (SIZE, SIZE, 3) and label.any()
    assert not label[~part].any()


def test_a_defect_that_finds_no_part_stays_where_it_was(real: Protocol) -> None:
    nowhere = np.zeros((SIZE, SIZE), bool)
    pair = real.learnt.pictures[0], real.learnt.masks[0]
    for found, given in zip(
        moved_onto(*pair, nowhere, np.random.default_rng(0)), pair, strict=True
    ):
        np.testing.assert_array_equal(found, given)


@pytest.mark.parametrize("kind", ["crack", "print"])
def test_pasted_ones_differ_from_each_other_and_show_the_type(kind: str, real: Protocol) -> None:
    source, rng = Pasted(real.learnt, real.good), np.random.default_rng(0)
    drawn = [source.draw(kind, rng) for _ in range(8)]
    assert len({mask.tobytes() for _, mask in drawn}) > 6
    colours = [picture[mask > 0].mean(axis=0) for picture, mask in drawn]
    expected = real.learnt.pictures[real.learnt.of(kind)][real.learnt.marked[real.learnt.of(kind)]]
    np.testing.assert_allclose(np.mean(colours, axis=0), expected.mean(axis=0), atol=25)


def test_arms_say_where_defects_come_from(real: Protocol) -> None:
    made = Plain("crack", colour=RED)
    arms = make_arms(ARMS, real, made)
    kinds = {arm.name: [type(source) for source in arm.sources] for arm in arms}
    assert kinds == {
        "real": [Real],
        "copy-paste": [Real, Pasted],
        "synthetic": [Plain],
        "real+synthetic": [Real, Plain],
        "copy-paste+synthetic": [Real, Pasted, Plain],
    }


@pytest.mark.parametrize("batch", [2, 3, 5, 8])
@pytest.mark.parametrize("count", [1, 2])
def test_batches_are_half_good_and_sources_share_the_rest(
    batch: int, count: int, real: Protocol
) -> None:
    colours = (GREEN, RED)[:count]
    plain = tuple(Plain("crack", "print", colour=colour) for colour in colours)
    made = batches(Arm(name="real", sources=plain), real, batch=batch, steps=8)
    shares = np.zeros(2)
    for one in made:
        odd = one.kind != GOOD_KIND
        assert len(one.image) == len(one.mask) == batch and int(odd.sum()) == batch // 2
        assert not one.mask[~odd].any() and bool(one.mask[odd].flatten(1).any(dim=1).all())
        middle = one.image[odd][:, :2, SIZE // 2, SIZE // 2] > 0
        shares += np.array([int(middle[:, 1].sum()), int(middle[:, 0].sum())])
    assert shares.sum() == 8 * (batch // 2)
    np.testing.assert_array_equal(shares, [shares.sum() / count, shares.sum() * (1 - 1 / count)])


def test_types_are_drawn_evenly_and_keep_their_order(real: Protocol) -> None:
    made = batches(Arm(name="real", sources=(Real(real.learnt),)), real, steps=50)
    kinds = torch.cat([one.kind for one in made])
    counts = [int((kinds == k).sum()) for k in (GOOD_KIND, 0, 1)]
    assert counts[0] == 200 and min(counts[1:]) > 70
    alone = batches(Arm(name="synthetic", sources=(Plain("print", colour=RED),)), real)
    assert {*torch.cat([one.kind for one in alone]).tolist()} == {GOOD_KIND, 1}


def test_masks_are_binary_and_images_in_range(real: Protocol) -> None:
    (arm,) = make_arms(("copy-paste",), real, None)
    for one in batches(arm, real):
        assert {*one.mask.unique().tolist()} <= {0.0, 1.0}
        assert one.image.isfinite().all() and one.image.abs().max() < 1.3


@pytest.mark.parametrize("name", ["real", "copy-paste"])
def test_a_batch_depends_on_seed_and_step_alone(name: str, real: Protocol) -> None:
    (arm,) = (arm for arm in make_arms(("real", "copy-paste"), real, None) if arm.name == name)
    first = [*batches(arm, real, steps=4)]
    again, longer = batches(arm, real, steps=4), batches(arm, real, steps=9)
    torch.testing.assert_close(again.at(2).image, first[2].image, rtol=0, atol=0)
    torch.testing.assert_close(longer.at(3).mask, first[3].mask, rtol=0, atol=0)
    others = [batches(arm, real, seed=1).at(2), first[1]]
    assert all(not torch.equal(other.image, first[2].image) for other in others)
    assert len(longer) == 9 and len([*longer]) == 9


def test_all_arms_see_the_same_good_photographs(real: Protocol) -> None:
    made = [batches(arm, real) for arm in make_arms(("real", "copy-paste"), real, None)]
    for one, other in zip(*made, strict=True):
        good = one.kind == GOOD_KIND
        assert torch.equal(good, other.kind == GOOD_KIND)
        torch.testing.assert_close(one.image[good], other.image[good], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["real", "copy-paste"])
def test_no_test_photograph_is_ever_drawn(name: str, real: Protocol) -> None:
    blanked = Protocol(
        types=real.types,
        good=real.good,
        learnt=real.learnt,
        tested=Labelled(
            pictures=np.zeros_like(real.tested.pictures),
            masks=np.zeros_like(real.tested.masks),
            kinds=real.tested.kinds,
            paths=real.tested.paths,
        ),
    )
    drawn = []
    for protocol in (real, blanked):
        (arm,) = (a for a in make_arms(("real", "copy-paste"), protocol, None) if a.name == name)
        drawn.append(torch.cat([one.image for one in batches(arm, protocol)]))
    torch.testing.assert_close(*drawn, rtol=0, atol=0)
