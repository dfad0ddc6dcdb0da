from pathlib import Path

import pytest

from blemish.files import check_name
from blemish.synthesis.naming import STEM_LENGTH, plain_stem

ODD = [
    "a:b.png",
    "a\\b.png",
    "a\tb.png",
    "a\u00a0b.png",
    "a\u2028b.png",
    "a\udcffb.png",
    " a .png",
    ".a.png",
    "a...png",
    "con.png",
    "nul.jpg.png",
    'a*?"<>|.png',
    "x" * 200 + ".png",
    "日" * 40 + ".png",
]


@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_is_made_plain(name: str) -> None:
    stem = plain_stem(Path(name))
    assert check_name(stem, "a name") == stem
    assert len(stem) <= STEM_LENGTH + 1


@pytest.mark.parametrize("name", ["nut.png", "Nuß 1.jpg", "日本.png", "a'b[c].png", "a.b.png"])
def test_a_plain_name_stays(name: str) -> None:
    assert plain_stem(Path(name)) == Path(name).stem


def test_all_of_a_long_name_may_be_kept() -> None:
    assert plain_stem(Path("x" * 99 + ".png"), None) == "x" * 99
