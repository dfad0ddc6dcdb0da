"""Edits, filling and repair in Python."""

from pathlib import Path

import numpy as np
import pytest
from tiny import part, spot, write_bundle

import blemish
from blemish.api.bundle import OpenBundle
from blemish.errors import BundleError, DataError, OptionError

pytestmark = pytest.mark.usefixtures("short_searches")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenBundle:
    path = tmp_path_factory.mktemp("api") / "bundle"
    write_bundle(path, windows=True, encoder=True)
    return blemish.load(path, device="cpu")


def test_one_inversion_serves_many_edits(opened: OpenBundle, tmp_path: Path) -> None:
    edits, found = opened.edits(), opened.invert(part(), steps=2)
    line = edits.interpolate(found, "seed:2", steps=3)
    assert line.image.shape == (3, 3, 16, 16)
    mixed = edits.mix("seed:2", found, rows="coarse,middle")
    assert (mixed.image[0] == line.image[0]).all()  # all rows of the photograph
    row = mixed.save(tmp_path / "out", opened.files)
    assert row["edit"] == "mix" and (tmp_path / "out" / "00.png").exists()
    brought = edits.transplant(found, "seed:2", spot())
    assert len(brought.codes) == 1


def test_edits_refuse_what_they_cannot_do(opened: OpenBundle) -> None:
    edits = opened.edits()
    with pytest.raises(OptionError, match="steps"):
        edits.interpolate("seed:1", "seed:2", steps=1)
    with pytest.raises(BundleError, match="without directions"):
        edits.move("seed:1", "tone", [1])
    with pytest.raises(DataError, match="empty region"):
        edits.transplant("seed:1", "seed:2", np.zeros((8, 8), bool))


def test_fillings_and_repairs_leave_the_rest_alone(opened: OpenBundle) -> None:
    fillings = opened.fill(part(), spot(), count=2, seed=5)
    assert [one.seed for one in fillings] == [5, 6]
    repaired = opened.repair(part(), spot(), margin=1)
    for one in (*fillings, repaired):
        assert (one.picture.levels[~one.hole] == part()[~one.hole]).all()
    assert repaired.hole.sum() > fillings[0].hole.sum()
