from pathlib import Path

import numpy as np
import pytest
from tiny import write_defects, write_parts

from blemish.data.folder import DefectFolder
from blemish.evaluation.synthesis import baselines
from blemish.evaluation.synthesis.baselines import BASELINES
from blemish.evaluation.synthesis.beside import HALVES, SYNTHETIC, close_up_rows
from blemish.evaluation.synthesis.closeups import CloseUps, close_ups
from blemish.evaluation.synthesis.items import LabelledDefect, read_real_defects
from blemish.evaluation.synthesis.sorting import shuffled, write_sorting_page
from blemish.features import FeatureNetwork
from blemish.pictures import read_picture


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("real"), train=3, defects=4, side=96)


@pytest.fixture(scope="module")
def defects(real: Path) -> list[LabelledDefect]:
    return read_real_defects(real, ("paint",))["paint"]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "COUNT", 6)


@pytest.fixture
def near(defects: list[LabelledDefect]) -> CloseUps:
    return close_ups(item.read() for item in defects)


@pytest.mark.parametrize("name", BASELINES)
def test_defects_lie_on_good_photographs(
    name: str, real: Path, defects: list[LabelledDefect]
) -> None:
    goods = [read_picture(p.path) for p in DefectFolder(real).good("train")]
    made = list(BASELINES[name](real, defects, 0))
    assert made
    for picture, mask in made:
        same = [(picture == good).all(axis=2) for good in goods]
        assert mask.any()
        assert max(equal.mean() for equal in same) > 0.5
        assert not max(same, key=np.sum)[mask].all()


@pytest.mark.parametrize("name", BASELINES)
def test_the_same_seed_pastes_the_same(
    name: str, real: Path, defects: list[LabelledDefect]
) -> None:
    once, again = (list(BASELINES[name](real, defects, 3)) for _ in range(2))
    for (picture, mask), (same, label) in zip(once, again, strict=True):
        assert np.array_equal(picture, same) and np.array_equal(mask, label)


@pytest.mark.parametrize("name", BASELINES)
def test_without_good_photographs_there_are_none(name: str, tmp_path: Path) -> None:
    folder = write_defects(tmp_path)
    assert list(BASELINES[name](folder, read_real_defects(folder, ("paint",))["paint"], 0)) == []


def test_every_row_is_there(real: Path, defects: list[LabelledDefect], near: CloseUps) -> None:
    rows = close_up_rows(FeatureNetwork("squeezenet"), near, near, real, defects)
    assert [*rows] == [SYNTHETIC, *BASELINES, HALVES]
    assert rows[SYNTHETIC] is not None and rows[HALVES] is None


def test_the_page_hides_what_is_real(near: CloseUps, tmp_path: Path) -> None:
    write_sorting_page({"paint": (near, near)}, tmp_path / "sorting.html")
    text = (tmp_path / "sorting.html").read_text()
    assert text.count("<img") == 2 * len(near)
    before, after = text.split("<details>")
    assert "Synthetic:" not in before and "Synthetic:" in after
    assert 'src="data:' in text and "http" not in text


def test_as_many_of_either_kind(near: CloseUps) -> None:
    shown = shuffled(near, near[:3])
    assert sum(real for _, real in shown) == 3 and len(shown) == 6
