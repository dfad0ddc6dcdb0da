"""The page in a real browser: painted with the mouse, seen, kept, exported and found."""

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import ONE_THREAD
from tiny import part

from blemish.pictures import write_picture

pytest.importorskip("playwright", reason="Playwright is not installed")
from playwright.sync_api import ConsoleMessage, Page, Request, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
PATIENCE = 120_000  # milliseconds


@pytest.fixture(scope="module")
def server(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of a studio in a process of its own, and its folder."""
    out = tmp_path_factory.mktemp("studio") / "out"
    words = (place / "data", "--bundle", place / "bundle", "--out", out, "--no-browser")
    command = [sys.executable, "-m", "blemish", "studio", *map(str, words), "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ONE_THREAD) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        found = re.search(r"http://\S+", first)
        assert found, first + process.stderr.read()
        yield found.group(), out
        process.terminate()
        process.wait(30)


class Watched:
    """A page of which every request and every message is noted."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.hosts, self.errors = page, set[str](), list[str]()
        page.on("request", lambda one: self.hosts.add(one.url.split("/")[2]))
        page.on("console", self._said)
        page.on("pageerror", lambda one: self.errors.append(str(one)))
        page.on("requestfailed", self._failed)
        page.goto(url)
        page.wait_for_selector(".photo[aria-current=true]", timeout=PATIENCE)
        page.wait_for_selector(".defect .size", timeout=PATIENCE)
        page.get_by_role("button", name="Clear the mask").click()  # of an earlier test

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _failed(self, request: Request) -> None:
        if "ERR_ABORTED" not in f"{request.failure}":  # the page gives up what is overtaken
            self.errors.append(f"{request.url}: {request.failure}")

    def paint(self, *, at: float = 0.5) -> None:
        """Draw a stroke over the middle of the part."""
        box = self.page.locator(".view canvas").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] * at
        self.page.mouse.move(x - 30, y)
        self.page.mouse.down()
        self.page.mouse.move(x + 30, y + 10, steps=8)
        self.page.mouse.up()

    def shown(self, before: str | None = None) -> str:
        """Wait for a result after the one that was shown before."""
        known, mark = json.dumps(before), "document.querySelector('main .place').dataset.shown"
        wanted = f"() => ![undefined, {known}].includes({mark})"
        self.page.wait_for_function(wanted, timeout=PATIENCE)
        return self.page.evaluate(mark)

    def drop(self, file: Path) -> None:
        """Drag a file onto the page."""
        data = base64.b64encode(file.read_bytes()).decode()
        transfer = self.page.evaluate_handle(TRANSFER, [data, file.name])
        view = self.page.locator(".view")
        for event in ("dragover", "drop"):
            view.dispatch_event(event, {"dataTransfer": transfer})


@pytest.fixture
def watched(server: tuple[str, Path]) -> Iterator[Watched]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
        yield Watched(context.new_page(), server[0])
        browser.close()


def test_a_stroke_becomes_a_defect_that_is_kept_and_exported(
    watched: Watched, server: tuple[str, Path]
) -> None:
    page, (url, out) = watched.page, server
    blank = _pixels(page)
    watched.paint()
    first = watched.shown()
    assert _pixels(page) != blank
    page.keyboard.press("r")  # another seed
    watched.shown(first)
    page.get_by_role("button", name="Keep").click()
    page.wait_for_selector(".toast", timeout=PATIENCE)
    (image,) = (out / "kept" / "test").glob("*/*.png")
    assert (out / "kept" / "ground_truth" / image.parent.name / f"{image.stem}_mask.png").is_file()
    page.get_by_role("tab", name="Collect").click()
    page.wait_for_selector(".card img")
    page.get_by_role("combobox", name="Format").select_option("yolo")
    page.get_by_role("button", name="Export").click()
    page.wait_for_selector(".state.finished", timeout=PATIENCE)
    (card,) = (out / "exports").glob("*/README.md")
    assert [*card.parent.rglob(image.name)]
    assert watched.hosts == {url.split("/")[2]}
    assert watched.errors == []


def test_strokes_are_undone_by_keys_and_drafts_survive_a_reload(watched: Watched) -> None:
    page = watched.page
    empty = page.locator(".defect .size").inner_text()
    watched.paint()
    one = page.locator(".defect .size").inner_text()
    watched.paint(at=0.55)
    two = page.locator(".defect .size").inner_text()
    assert len({empty, one, two}) == 3
    page.keyboard.press("Control+z")
    assert page.locator(".defect .size").inner_text() == one
    page.keyboard.press("x")
    watched.paint()
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert page.locator(".defect .size").inner_text() == empty
    page.keyboard.press("Control+Shift+z")
    assert page.locator(".defect .size").inner_text() == one
    watched.shown()
    page.reload()
    page.wait_for_function(
        f"() => document.querySelector('.defect .size')?.textContent === {json.dumps(one)}",
        timeout=PATIENCE,
    )
    assert watched.errors == []


def test_a_file_that_is_dragged_onto_the_page_is_opened(watched: Watched, tmp_path: Path) -> None:
    write_picture(tmp_path / "dragged.png", part(48, 80, seed=5))
    watched.drop(tmp_path / "dragged.png")
    watched.page.wait_for_selector('.photo[aria-current=true]:has-text("dragged.png")')
    watched.page.wait_for_function(
        "() => document.querySelector('.status').textContent.includes('80 × 48')", timeout=PATIENCE
    )
    assert watched.errors == []


def test_a_slider_moves_a_part_and_the_result_is_saved(
    watched: Watched, server: tuple[str, Path]
) -> None:
    page, (url, out) = watched.page, server
    page.get_by_role("tab", name="Edit").click()
    first = watched.shown()  # the photograph has been inverted
    before = page.get_by_role("img", name="Result").screenshot()
    page.get_by_label("Tone").fill("3")
    watched.shown(first)
    assert page.get_by_role("img", name="Result").screenshot() != before
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector(".toast", timeout=PATIENCE)
    assert (out / "edits" / "part-move" / "00.png").is_file()
    assert watched.hosts == {url.split("/")[2]}
    assert watched.errors == []


def test_a_hole_is_filled_in_several_ways_and_one_is_kept(
    watched: Watched, server: tuple[str, Path]
) -> None:
    page, (_, out) = watched.page, server
    page.get_by_role("tab", name="Edit").click()
    page.get_by_role("button", name="Repair", exact=True).click()
    page.get_by_text("Paint over the defect").wait_for(timeout=PATIENCE)
    page.wait_for_load_state("networkidle")  # a photograph that opens later takes the mask away
    blank = _pixels(page)
    watched.paint()
    watched.shown()
    assert _pixels(page) != blank
    page.get_by_role("button", name="Show").click()
    page.wait_for_function("() => document.querySelectorAll('.variant').length === 4")
    page.locator(".variant").nth(2).click()
    page.get_by_role("button", name="Keep").click()
    page.wait_for_selector('.photo:has-text("_repair_")', timeout=PATIENCE)
    assert [*(out / "photographs").glob("*_repair_*.png")]
    assert watched.errors == []


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_control_has_a_name_and_fits(language: str, watched: Watched) -> None:
    page = watched.page
    page.evaluate(f"localStorage.setItem('language', '{language}')")
    page.reload()
    page.wait_for_selector(".photo[aria-current=true]", timeout=PATIENCE)
    for tab in page.get_by_role("tab").all():
        tab.click()
        page.wait_for_timeout(500)
        for mode in [None, *page.locator("main [data-mode]").all()]:
            if mode is not None:
                mode.click()
            assert page.evaluate(UNNAMED) == []
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 1280
    assert page.evaluate("document.documentElement.lang") == language


def test_both_languages_have_the_same_words() -> None:
    words = Path(__file__).parents[2] / "src" / "blemish" / "studio" / "static" / "words"
    keys = {
        file.stem: {*re.findall(r'(?:^|[,{]) *"?([\w.]+)"?: "', file.read_text(), re.MULTILINE)}
        for file in words.glob("*.js")
    }
    extra = {key for key in keys["ko"] if key.startswith("reason.")}
    assert keys["en"] == keys["ko"] - extra - {"reason"}


TRANSFER = """([data, name]) => {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/png" }));
  return transfer;
}"""
UNNAMED = """() => [...document.querySelectorAll("button, input, select, canvas, img, progress")]
  .filter((one) => !one.closest("[hidden], .variant") && one.type !== "file")
  .filter((one) => !(one.getAttribute("aria-label") || one.alt === "" || one.alt || one.title
    || one.labels?.length || one.textContent.trim()))
  .map((one) => one.outerHTML)"""


def _pixels(page: Page) -> bytes:
    return page.locator(".view canvas").screenshot()
