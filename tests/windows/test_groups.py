"""Groups of pieces: a code for each, and all pieces of a real photograph laid at once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import part, write_bundle

from blemish.data.folder import DefectFolder
from blemish.models.window_generator import MARGIN
from blemish.windows.paint import WindowModel, groups, load_windows, paint
from blemish.windows.placing import place
from blemish.windows.sources import Piece, Sources, read_sources


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> WindowModel:
    return load_windows(write_bundle(tmp_path_factory.mktemp("tiny") / "b", windows=True))


@pytest.fixture(scope="module")
def sources(parts: Path) -> Sources:
    return read_sources(DefectFolder(parts), ("crack", "print"), first_third=False, everything=True)


def two_marks() -> tuple[np.ndarray, np.ndarray]:
    """Two pieces that lie far from each other."""
    masks = np.zeros((2, 160, 160), bool)
    masks[0, 20:34, 20:40] = True
    masks[1, 120:140, 110:130] = True
    return masks[0], masks[1]


def test_each_group_is_drawn_with_its_own_code(model: WindowModel) -> None:
    picture, (one, other) = part(160, 160), two_marks()
    assert len(groups(one | other)) == 2
    codes = model.codes(model.types[0], torch.Generator().manual_seed(0), 2)
    both = paint(model.generator, picture, one | other, codes, torch.Generator())
    for k, mask in enumerate((one, other)):
        alone = paint(model.generator, picture, mask, codes[k : k + 1], torch.Generator())
        changed = (alone != picture).any(axis=2)
        assert changed.any()
        np.testing.assert_array_equal(both[changed], alone[changed])


def test_more_codes_leave_the_first_one_as_it_was(model: WindowModel) -> None:
    one, three = (model.codes("crack", torch.Generator().manual_seed(5), n) for n in (1, 3))
    torch.testing.assert_close(three.w[:1], one.w)
    assert (three.w[0] - three.w[1]).abs().max() > 1e-3


def test_pieces_of_a_photograph_keep_their_places_among_each_other(sources: Sources) -> None:
    whole = sources.of_kind(1)[0].source
    pieces = [whole.mask.copy(), np.zeros_like(whole.mask)]
    pieces[1][:3, :8] = True
    mine = Sources(sources.good, tuple(Piece(whole, mask, 1) for mask in pieces), sources.types)
    (together,) = mine.marks(1)
    np.testing.assert_array_equal(together.mask, pieces[0] | pieces[1])
    placed = place(sources.good[0], together, np.random.default_rng(0))
    assert placed.piece is together


def test_photograph_has_one_mark_whatever_its_pieces(sources: Sources) -> None:
    for kind in range(len(sources.types) - 1):
        photographs = {id(piece.source) for piece in sources.of_kind(kind)}
        marks = sources.marks(kind)
        assert {id(mark.source) for mark in marks} == photographs
        assert len(marks) == len(photographs)


@pytest.mark.parametrize("width", [1, 3, 9, 30])
def test_change_fades_out_around_the_mask(model: WindowModel, width: int) -> None:
    picture, mask = part(160, 160), np.zeros((160, 160), bool)
    mask[40:120, 60 : 60 + width] = True
    codes = model.codes(model.types[0], torch.Generator().manual_seed(0))
    full, faded = (
        paint(model.generator, picture, mask, codes, torch.Generator(), fades=fades).astype(int)
        for fades in (False, True)
    )
    np.testing.assert_array_equal(full[mask], faded[mask])
    left = np.abs(faded - picture).sum(axis=2)
    assert (left <= np.abs(full - picture).sum(axis=2)).all()
    assert left[~mask].sum() < np.abs(full - picture).sum(axis=2)[~mask].sum()
    away = np.ones_like(mask)
    away[40 - MARGIN + 1 : 120 + MARGIN - 1, 60 - MARGIN + 1 : 60 + width + MARGIN - 1] = False
    assert not left[away].any()
