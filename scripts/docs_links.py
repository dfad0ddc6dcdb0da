"""Links of the built site: `docs_links.py SITE` fails at one that leads nowhere.

It also fails at a style, script, picture or font of another host: opening a page makes no request
there.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

RESOURCES = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src"}
FETCHED = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect", "manifest"}
CSS_URL = re.compile(r"url\(\s*['\"]?(https?:)?//")


class Page(HTMLParser):
    """Links, resources and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.resources: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.anchors |= {known[name] for name in ("id", "name") if name in known}
        if tag == "a" and "href" in known:
            self.links.add(known["href"])
        if tag == "link" and FETCHED & {*known.get("rel", "").split()}:
            self.resources.add(known.get("href", ""))
        if known.get(RESOURCES.get(tag, ""), ""):
            self.resources.add(known[RESOURCES[tag]])


def complaints(site: Path) -> list[str]:
    """What is wrong with the links of a site."""
    found = {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    wrong = []
    for path, page in found.items():
        here = path.relative_to(site)
        for address in page.resources:
            if urlsplit(address).netloc:
                wrong.append(f"{here} fetches {address}")
        for address in page.links | page.resources:
            wrong += [f"{here}: {address} {why}" for why in _wrong(address, path, site, found)]
    styles = [path for path in site.rglob("*.css") if CSS_URL.search(path.read_text("utf-8"))]
    return wrong + [f"{path.relative_to(site)} fetches from another host" for path in styles]


def _wrong(address: str, path: Path, site: Path, found: dict[Path, Page]) -> list[str]:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or not address:
        return []
    base = site if parts.path.startswith("/") else path.parent
    target = path
    if parts.path:
        target = Path((base / unquote(parts.path).lstrip("/")).resolve())
        target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return ["leads nowhere"] if path.name != "404.html" else []
    page = found.get(target)
    anchor = unquote(parts.fragment)
    if anchor and page is not None and anchor not in page.anchors and anchor != "__skip":
        return ["has no such anchor"]
    return []


if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    bad = complaints(folder)
    print("\n".join(bad) or f"All links of {len([*folder.rglob('*.html')])} pages lead somewhere.")
    sys.exit(bool(bad))
