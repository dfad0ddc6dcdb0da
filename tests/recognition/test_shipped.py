"""The shipped bundles know hazelnuts."""

from pathlib import Path

import numpy as np
import pytest

from blemish.checkpoint import embedded_bundles, find_bundle
from blemish.pictures import fit_square, read_picture
from blemish.recognition import Recognizer
from blemish.recognition.near import recoloured, stretched


@pytest.fixture(params=embedded_bundles())
def recognizer(request: pytest.FixtureRequest) -> Recognizer:
    found = Recognizer.of(find_bundle(request.param))
    assert found is not None
    return found


def test_nothing_is_no_hazelnut(recognizer: Recognizer) -> None:
    assert recognizer.is_foreign(np.full((64, 64, 3), 128, np.uint8))


def test_a_hazelnut_is_known_and_another_nut_is_not(recognizer: Recognizer, shared: Path) -> None:
    nut = fit_square(read_picture(_first(shared / "data/hazelnut_toy/test/good")), 256)
    rng = np.random.default_rng(0)
    assert not recognizer.is_foreign(nut)
    assert recognizer.is_foreign(stretched(recoloured(nut, rng), rng))


def test_a_bottle_is_no_hazelnut(recognizer: Recognizer, shared: Path) -> None:
    assert recognizer.is_foreign(read_picture(_first(shared / "data/mvtec_bottle_256/train/good")))


def _first(folder: Path) -> Path:
    return min(folder.iterdir())
