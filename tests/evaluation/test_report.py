import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from blemish.errors import OutputError
from blemish.evaluation.report import Page
from blemish.pictures import write_picture

NASTY = "<script src='http://x'>\"&amp;\"</script> Nuß"


class Reader(HTMLParser):
    """Collects tags with their attributes, and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open += [] if tag in ("img", "meta") else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(page: Page, folder: Path) -> tuple[str, Reader]:
    page.write(folder / "report.html")
    text, reader = (folder / "report.html").read_text(encoding="utf-8"), Reader()
    reader.feed(text)
    assert not reader.open, "every tag is closed"
    return text, reader


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    write_picture(tmp_path / "sheet.png", np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    return tmp_path / "sheet.png"


def test_a_page_needs_no_other_file(picture: Path, tmp_path: Path) -> None:
    page = Page("Made")
    page.text("Some words.")
    page.picture(picture, "A sheet")
    text, reader = read(page, tmp_path)
    assert "://" not in text  # base64 may spell any word, but it has no colon
    assert not {"script", "link", "iframe"} & {tag for tag, _ in reader.tags}
    assert "url(" not in text
    (image,) = [attributes for tag, attributes in reader.tags if tag == "img"]
    kind, data = image["src"].split(",")
    assert kind == "data:image/png;base64"
    assert b64decode(data) == picture.read_bytes()
    assert image["alt"] == "A sheet"


def test_words_are_words_wherever_they_stand(picture: Path, tmp_path: Path) -> None:
    page = Page(NASTY)
    page.text(NASTY)
    page.table([NASTY], [[NASTY]])
    page.picture(picture, NASTY)
    text, reader = read(page, tmp_path)
    assert "<script" not in text
    assert reader.words.count(NASTY) == 6, "title, heading, paragraph, header, cell, caption"
    assert [a["alt"] for tag, a in reader.tags if tag == "img"] == [NASTY]


@pytest.mark.parametrize(
    "value, shown, number",
    [
        (0.123456, "0.123", True),
        (3, "3", True),
        (float("nan"), "nan", True),
        ("3", "3", False),
        (None, "None", False),
        (Path("a/b"), "a/b", False),
    ],
)
def test_cells(value: object, shown: str, number: bool, tmp_path: Path) -> None:
    page = Page("Cells")
    page.table(["x"], [[value]])
    text, reader = read(page, tmp_path)
    (cell,) = [attributes for tag, attributes in reader.tags if tag == "td"]
    assert cell == ({"class": "number"} if number else {})
    assert re.search(rf"<td[^>]*>{shown}</td>", text)


def test_a_table_has_all_its_rows_in_order(tmp_path: Path) -> None:
    page = Page("Rows")
    page.table(["name", "n"], [[f"row{k}", k] for k in range(5)])
    text, reader = read(page, tmp_path)
    assert [tag for tag, _ in reader.tags].count("tr") == 6
    assert re.findall(r"<td>(\w+)</td>", text) == [f"row{k}" for k in range(5)]


def test_parts_stand_in_the_order_they_were_added(tmp_path: Path) -> None:
    page = Page("Order")
    for word in ("one", "two", "three"):
        page.text(word)
    text, _ = read(page, tmp_path)
    assert text.index("one") < text.index("two") < text.index("three")


def test_two_pages_share_nothing(tmp_path: Path) -> None:
    first, second = Page("First"), Page("Second")
    first.text("only here")
    assert "only here" not in read(second, tmp_path)[0]


def test_a_page_is_whole_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        Page("Lost").write(tmp_path / "no" / "report.html")
    assert not [*tmp_path.iterdir()]
