"""Time from mouse-up to picture in the studio: `python -m benchmarks.studio PHOTOGRAPH`.

A studio in a process of its own shows a photograph that is enlarged to each size, and Chromium
paints strokes with the mouse. The page notes the time between the end of a stroke and the picture;
the server's processor time is read from the system, because a busy machine makes the first longer.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from blemish.pictures import read_picture, write_picture

if TYPE_CHECKING:
    from playwright.sync_api import Page

SIZES = ((512, 512), (4000, 3000))  # width and height
PATIENCE = 300_000  # milliseconds
MARK = "document.querySelector('.place').dataset"


def main() -> None:
    """Measure and print the page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("photograph", type=Path, help="a photograph of a part of the bundle")
    options.add_argument("--bundle", default="hazelnut")
    options.add_argument("--strokes", type=int, default=20)
    chosen = options.parse_args()
    print(f"# The studio: from mouse-up to picture\n\nBundle `{chosen.bundle}`; one defect.\n")
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {chosen.strokes} strokes each.\n"
    )
    print("| photograph | mouse-up to picture, median | slowest | processor time per stroke |")
    print("| --- | --- | --- | --- |")
    for width, height in SIZES:
        took, spent = measured(chosen.photograph, (width, height), chosen.bundle, chosen.strokes)
        median, slowest = statistics.median(took), max(took)
        print(f"| {width} × {height} | {median:.2f} s | {slowest:.2f} s | {spent:.2f} s |")


def measured(
    photograph: Path, size: tuple[int, int], bundle: str, strokes: int
) -> tuple[list[float], float]:
    """Seconds of each stroke, and the server's processor time per stroke."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        picture = cv2.resize(read_picture(photograph), size, interpolation=cv2.INTER_CUBIC)
        write_picture(data / "part.png", picture)
        with served(data, Path(folder) / "out", bundle) as (url, process):
            return painted(url, process, strokes)


@contextmanager
def served(data: Path, out: Path, bundle: str) -> Iterator[tuple[str, int]]:
    """Address and process of a studio."""
    words = ("studio", data, "--out", out, "--bundle", bundle, "--no-browser")
    command = [sys.executable, "-m", "blemish", *map(str, words)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found is not None, "the studio prints its address first"
        yield found.group(), process.pid
        process.terminate()
        process.wait()


def painted(url: str, process: int, strokes: int) -> tuple[list[float], float]:
    """Paint strokes one after another, the first of them unmeasured."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(url)
        page.wait_for_selector(".photo[aria-current=true]", timeout=PATIENCE)
        took, before = [], 0.0
        for k in range(strokes + 1):
            took.append(_stroke(page, k))
            before = _processor(process) if k == 0 else before
        spent = (_processor(process) - before) / strokes
        browser.close()
    return took[1:], spent


def _stroke(page: "Page", number: int) -> float:
    """Seconds that a stroke took, as the page noted them."""
    box = page.locator(".view canvas").bounding_box()
    assert box is not None, "the page shows a photograph"
    x, y = box["x"] + box["width"] / 2 + 4 * (number % 5), box["y"] + box["height"] / 2
    if number:
        page.keyboard.press("Control+z")
        page.wait_for_timeout(200)
    seen = page.evaluate(f"{MARK}.shown")
    page.mouse.move(x - 30, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 3 * (number % 7), steps=5)
    page.mouse.up()
    another = f"() => {MARK}.shown && {MARK}.shown !== {json.dumps(seen)}"
    page.wait_for_function(another, timeout=PATIENCE)
    return float(page.evaluate(f"{MARK}.seconds"))


def _processor(process: int) -> float:
    """Processor time of a process so far, in seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
