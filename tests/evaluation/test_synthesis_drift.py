"""Whether labels are true: squares whose overlaps and counts are known in closed form."""

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from made import SIZE, shapes
from tiny import part, spot

from blemish.errors import DataError
from blemish.evaluation.synthesis.drift import Drift, drift_of, drift_summary
from blemish.evaluation.synthesis.items import LabelledDefect
from blemish.pictures import write_picture

SIDE = 12
Judge = Callable[..., Drift | None]


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # test_files.py sees to that


def square(grown: int = 0, down: int = 0, right: int = 0) -> np.ndarray:
    """A square of 12 pixels, grown on every side, or moved."""
    mask = np.zeros(SIZE, bool)
    top, left = 12 - grown + down, 16 - grown + right
    mask[top : top + SIDE + 2 * grown, left : left + SIDE + 2 * grown] = True
    return mask


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """The drift of an item on a part that has changed somewhere, by files."""

    def judged(
        label: np.ndarray,
        changed: np.ndarray,
        *,
        by: tuple[int, int, int] = (60, 60, 60),
        requested: np.ndarray | None = None,
        reach: int | None = None,
        twin: np.ndarray | None = None,
    ) -> Drift | None:
        good = part(*SIZE) // 2
        picture = good.copy()
        picture[changed] += np.array(by, np.uint8)
        files = {"image": picture, "mask": label, "twin": good if twin is None else twin}
        if requested is not None:
            files["requested"] = requested
        paths = {name: tmp_path / f"{name}.png" for name in files}
        for name, levels in files.items():
            write_picture(paths[name], levels)
        item = LabelledDefect(kind="crack", **paths, reach_px=reach)
        return drift_of(item, *item.read())

    return judged


@pytest.mark.parametrize("name", shapes())
def test_a_true_label(name: str, judge: Judge) -> None:
    label = shapes()[name]
    drift = judge(label, label, requested=label, reach=0)
    assert drift == Drift(changed=1, visible=1, requested=1, outside_label=0, outside_reach=0)


@pytest.mark.parametrize("shift", [1, 2, 6, 11, 12, 14])
@pytest.mark.parametrize("axis", ["down", "right"])
def test_a_shifted_label(shift: int, axis: str, judge: Judge) -> None:
    drift = judge(square(**{axis: shift}), square())
    shared = max(0, SIDE - shift)
    assert drift is not None
    assert drift.changed == drift.visible == shared / (2 * SIDE - shared)
    assert drift.outside_label == SIDE * (SIDE - shared)
    assert drift.requested is None and drift.outside_reach is None


@pytest.mark.parametrize("margin", [1, 2, 4])
def test_a_label_that_is_too_large_covers_every_change(margin: int, judge: Judge) -> None:
    drift = judge(square(margin), square())
    assert drift is not None
    assert drift.changed == drift.visible == SIDE**2 / (SIDE + 2 * margin) ** 2
    assert drift.outside_label == 0


@pytest.mark.parametrize("margin", [1, 2, 4])
def test_a_label_that_is_too_small_leaves_changes_outside(margin: int, judge: Judge) -> None:
    drift, within = judge(square(-margin), square()), (SIDE - 2 * margin) ** 2
    assert drift is not None
    assert drift.changed == within / SIDE**2
    assert drift.outside_label == SIDE**2 - within


@pytest.mark.parametrize("by", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)])
def test_a_change_that_nobody_sees_is_a_change(by: tuple[int, int, int], judge: Judge) -> None:
    drift = judge(square(), square(1), by=by)
    assert drift is not None
    assert (drift.changed, drift.visible) == (SIDE**2 / (SIDE + 2) ** 2, 0)
    assert drift.outside_label == (SIDE + 2) ** 2 - SIDE**2


@pytest.mark.parametrize("by", [(60, 0, 0), (0, 60, 0), (0, 0, 60), (60, 60, 60)])
def test_a_change_of_any_colour_is_seen(by: tuple[int, int, int], judge: Judge) -> None:
    drift = judge(square(), square(), by=by)
    assert drift is not None and drift.visible == 1


def test_nothing_changed(judge: Judge) -> None:
    drift = judge(square(), np.zeros(SIZE, bool), requested=square(), reach=0)
    assert drift == Drift(changed=0, visible=0, requested=1, outside_label=0, outside_reach=0)


def beyond(changed: np.ndarray, requested: np.ndarray, reach: int) -> int:
    """How many changes are farther from every pixel that was asked for."""
    asked = np.argwhere(requested)
    far = [np.hypot(*(asked - at).T).min(initial=np.inf) for at in np.argwhere(changed)]
    return int((np.array(far) > reach).sum())


@pytest.mark.parametrize("reach", [0, 1, 2, 5, 9, 60])
@pytest.mark.parametrize("name", ["ring", "line", "corner", "spot"])
def test_changes_beyond_the_reach_are_counted_one_by_one(
    name: str, reach: int, judge: Judge
) -> None:
    changed, requested = square(2), shapes()[name]
    drift = judge(changed, changed, requested=requested, reach=reach)
    assert drift is not None
    assert drift.outside_reach == beyond(changed, requested, reach)
    assert drift.requested == (changed & requested).sum() / (changed | requested).sum()


@pytest.mark.parametrize("reach", [0, 3, 60])
def test_where_nothing_was_asked_for_every_change_is_beyond(reach: int, judge: Judge) -> None:
    drift = judge(square(), square(), requested=np.zeros(SIZE, bool), reach=reach)
    assert drift is not None
    assert (drift.requested, drift.outside_reach) == (0, SIDE**2)


def test_nobody_knows_the_reach(judge: Judge) -> None:
    drift = judge(square(), square(), requested=spot(*SIZE), reach=None)
    assert drift is not None
    assert drift.requested is not None and drift.outside_reach is None


@pytest.mark.parametrize("size", [(41, 52), (40, 51), (52, 40), (1, 1)])
def test_a_request_or_a_twin_of_another_size(size: tuple[int, int], judge: Judge) -> None:
    drift = judge(square(), square(), requested=spot(*size), reach=3)
    assert drift is not None and drift.changed == 1
    assert drift.requested is None and drift.outside_reach is None
    assert judge(square(), square(), twin=part(*size)) is None


def filed(folder: Path) -> LabelledDefect:
    """The item whose files the judge has written."""
    return LabelledDefect(
        kind="crack",
        image=folder / "image.png",
        mask=folder / "mask.png",
        twin=folder / "twin.png",
        requested=folder / "requested.png",
        reach_px=0,
    )


@pytest.mark.parametrize("lost", ["twin", "requested"])
def test_a_file_that_is_gone(lost: str, judge: Judge, tmp_path: Path) -> None:
    assert judge(square(), square(), requested=square(), reach=0) is not None
    (tmp_path / f"{lost}.png").unlink()
    item = filed(tmp_path)
    drift = drift_of(item, *item.read())
    assert (drift is None) == (lost == "twin")
    assert drift is None or (drift.changed, drift.requested, drift.outside_reach) == (1, None, None)


def test_an_item_of_which_nobody_has_a_twin(tmp_path: Path) -> None:
    item = LabelledDefect(kind="crack", image=tmp_path / "a.png", mask=tmp_path / "mask.png")
    assert drift_of(item, part(*SIZE), square()) is None


@pytest.mark.parametrize("torn", ["twin", "requested"])
def test_a_file_that_can_not_be_read(torn: str, judge: Judge, tmp_path: Path) -> None:
    assert judge(square(), square(), requested=square()) is not None
    (tmp_path / f"{torn}.png").write_text("hello")
    item = filed(tmp_path)
    with pytest.raises(DataError, match=f"{torn}.png"):
        drift_of(item, *item.read())


def known(changed: float, requested: float | None = None, reach: int | None = None) -> Drift:
    return Drift(
        changed=changed,
        visible=changed / 2,
        requested=requested,
        outside_label=round(10 * changed),
        outside_reach=reach,
    )


@pytest.mark.parametrize("drifts", [[], [None], [None] * 3])
def test_without_a_twin_there_is_no_summary(drifts: list[None]) -> None:
    assert drift_summary(drifts) is None


@pytest.mark.parametrize(
    "order", [*permutations([known(0.2), None, known(0.4, 0.5, 0), known(0.9, 0.7, 3)])]
)
def test_a_summary_in_any_order(order: tuple[Drift | None, ...]) -> None:
    assert drift_summary(order) == {
        "items": 3,
        "iou_changed_median": 0.4,
        "iou_changed_least": 0.2,
        "iou_visible_median": 0.2,
        "iou_requested_median": 0.6,
        "pixels_changed_outside_label": 15,
        "pixels_changed_beyond_reach": 3,
    }


def test_a_summary_where_nobody_asked() -> None:
    found = drift_summary([known(0.2), known(0.4)])
    assert found is not None
    assert found["iou_requested_median"] is None and found["pixels_changed_beyond_reach"] is None
    assert found["iou_changed_median"] == pytest.approx(0.3)
