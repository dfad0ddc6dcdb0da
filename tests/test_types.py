"""Codes, cut into items and joined again."""

import torch

from blemish.types import Codes


def codes(n: int, *, marked: bool = True) -> Codes:
    """Codes with noise maps; without a defect unless they are marked."""
    w, rows = torch.arange(n * 6.0).reshape(n, 2, 3), torch.ones(n, 1, 3)
    marks = {"w_defect": rows, "w_mask": 2 * rows} if marked else {}
    return Codes(w=w, noise={"a": torch.full((n, 1, 4, 4), 5.0)}, space="w+", **marks)


def test_items_joined_are_the_batch_that_they_were_cut_from() -> None:
    whole = codes(3)
    again = Codes.joined([whole[k : k + 1] for k in range(3)])
    assert again.space == whole.space and again.rows().keys() == whole.rows().keys()
    for name, rows in whole.rows().items():
        assert torch.equal(again.rows()[name], rows)
    assert whole.noise is not None and again.noise is not None
    assert torch.equal(again.noise["a"], whole.noise["a"])


def test_what_one_of_them_lacks_is_left_out() -> None:
    both = Codes.joined([codes(1), codes(2, marked=False)])
    assert len(both) == 3
    assert both.w_defect is None and both.w_mask is None


def test_the_good_part_keeps_its_own_codes() -> None:
    good = codes(2).good()
    assert good.w_defect is None and good.w_mask is None
    assert torch.equal(good.w, codes(2).w) and good.noise is not None
