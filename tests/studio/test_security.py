"""Hostile requests are refused, and the server answers the next honest one."""

import json
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from same import files_in
from starlette.testclient import TestClient
from studio_page import BASE, TOKEN, Opening, Page
from tiny import spot

from blemish.studio import security
from blemish.studio.app import make_app

FILE = {"content-type": "application/octet-stream"}
JSON = {"content-type": "application/json"}
LATER = {"x-blemish-token": TOKEN}
MOST_GROWTH = 200 * 2**20  # bytes that a flood may leave behind

# Method, path, headers and body; "ID" stands for a photograph and "BUNDLE" for the bundle. Headers
# replace the token's.
STRANGERS: list[tuple[str, str, dict[str, str], Any]] = [
    ("GET", "/", {}, None),
    ("GET", "/?token=", {}, None),
    ("GET", "/?token=wrong", {}, None),
    ("GET", f"/?token={TOKEN[:-1]}", {}, None),
    ("GET", "/api/about", {"cookie": "blemish-studio-8765=wrong"}, None),
    ("GET", "/api/about", {"cookie": f"blemish-studio-9999={TOKEN}"}, None),
    ("GET", "/static/main.js", {}, None),
    ("POST", "/api/photographs?name=a.png", FILE, b"x"),
    ("GET", "/api/about", {**LATER, "host": "evil.example:8765"}, None),
    ("GET", "/api/about", {**LATER, "host": "127.0.0.1:80"}, None),
    ("GET", "/api/about", {**LATER, "host": "127.0.0.1.evil.example:8765"}, None),
    ("GET", "/api/about", {**LATER, "host": ""}, None),
    ("GET", "/api/about", {**LATER, "origin": "http://evil.example"}, None),
    ("GET", "/api/about", {**LATER, "origin": "null"}, None),
    ("GET", "/api/about", {**LATER, "origin": "https://127.0.0.1:8765"}, None),
    ("GET", "/api/about", {**LATER, "origin": "http://127.0.0.1:9999"}, None),
    ("GET", "/api/about", {**LATER, "sec-fetch-site": "cross-site"}, None),
    ("GET", "/api/about", {**LATER, "sec-fetch-site": "same-site"}, None),
    ("GET", "/api/editing", {}, None),
    ("POST", "/api/editing/part/save", JSON, b"{}"),
    ("POST", "/api/run", {**LATER, **JSON, "origin": "http://evil.example"}, b"{}"),
]
INTRUDERS: list[tuple[str, str, dict[str, str], Any]] = [
    ("GET", "/api/folders?path=../..", {}, None),
    ("GET", "/api/folders?path=/etc", {}, None),
    ("GET", "/api/folders?path=link", {}, None),
    ("POST", "/api/folders", JSON, b'{"path": "good/../../.."}'),
    ("GET", "/static/%2e%2e/app.py", {}, None),
    ("GET", "/reports/..%2f..%2fsession", {}, None),
    ("GET", "/api/items?set=runs/../../data", {}, None),
    ("GET", "/api/items/image.jpg?set=kept&item=../../secret", {}, None),
    ("GET", "/api/photographs/..%2f..%2fsecret/preview", {}, None),
    ("POST", "/api/photographs?name=../../evil.png", FILE, b"no picture"),
    ("POST", "/api/photographs?name=evil.sh", FILE, b"#!/bin/sh"),
    ("POST", "/api/photographs?name=bomb.png", FILE, b"\x89PNG\r\n\x1a\n" + bytes(64)),
    ("POST", "/api/photographs?name=a.png", {**FILE, "content-length": f"{2**40}"}, b"x"),
    ("POST", "/api/photographs?name=a.png", {"content-type": "text/html"}, b"<script>"),
    ("POST", "/api/run", {**JSON, "content-length": f"{2**30}"}, b"{}"),
    ("POST", "/api/run", {"content-type": "text/plain"}, b"{}"),
    ("POST", "/api/run", JSON, b"[" * 100_000),
    ("POST", "/api/run", JSON, b'{"count": 1e999}'),
    ("POST", "/api/run", JSON, b'{"count": 99999999999999999999999}'),
    ("POST", "/api/run", JSON, b"\xff\xfe"),
    ("POST", "/api/train", JSON, b'{"name": "../../evil"}'),
    ("POST", "/api/train", JSON, b'{"name": "--out=/tmp/evil"}'),
    ("POST", "/api/train", JSON, b'{"name": "a", "data": "../.."}'),
    ("POST", "/api/export", JSON, b'{"set": "../data", "format": "coco"}'),
    ("POST", "/api/export", JSON, b'{"set": "kept", "format": "; rm -rf /"}'),
    ("POST", "/api/discard", JSON, b'{"item": "../../data/good/nut"}'),
    ("POST", "/api/jobs/..%2f1/stop", JSON, b"{}"),
    ("POST", "/api/photographs/ID/place", JSON, b'{"bundle": "/etc", "defects": []}'),
    ("POST", "/api/photographs/ID/place", JSON, b'{"bundle": "a", "defects": [1], "x": 2}'),
    ("POST", "/api/photographs/ID/mask-file", FILE, b"no mask"),
    ("GET", "/api/editing?bundle=../../etc", {}, None),
    ("GET", "/api/editing/look.jpg?bundle=/etc&type=../..&number=0", {}, None),
    ("GET", "/api/editing/look.jpg?bundle=a&number=-1", {}, None),
    ("POST", "/api/editing/part", JSON, b'{"bundle": "/etc", "verb": "move", "a": "seed:1"}'),
    ("POST", "/api/editing/part", JSON, b'{"bundle": "BUNDLE", "verb": "rm", "a": "seed:1"}'),
    ("POST", "/api/editing/part", JSON, b'{"bundle": "BUNDLE", "verb": "mix", "a": "/etc/passwd"}'),
    ("POST", "/api/editing/part", JSON, b'{"bundle": "BUNDLE", "verb": "mix", "a": "seed:1"}'),
    ("POST", "/api/editing/part", JSON, b'{"bundle": "BUNDLE", "verb": "move", "a": "seed:-1"}'),
    (
        "POST",
        "/api/editing/part/save",
        JSON,
        b'{"bundle": "BUNDLE", "verb": "interpolate", "a": "seed:1", "b": "seed:2", "steps": 9999}',
    ),
    ("POST", "/api/photographs/..%2f..%2fx/invert", JSON, b'{"bundle": "BUNDLE"}'),
    ("POST", "/api/photographs/none/invert", JSON, b'{"bundle": "BUNDLE"}'),
    ("POST", "/api/photographs/ID/invert", JSON, b'{"bundle": "../bundle"}'),
    ("POST", "/api/photographs/ID/find", JSON, b'{"bundle": []}'),
    ("POST", "/api/photographs/ID/fill", JSON, b'{"bundle": "BUNDLE", "verb": "fill", "mask": {}}'),
    ("POST", "/api/photographs/ID/fill", {"content-type": "text/plain"}, b"{}"),
    (
        "POST",
        "/api/photographs/ID/fill/save",
        JSON,
        b'{"bundle": "BUNDLE", "verb": "../../evil", "mask": {"box": [20,20,2,2], "runs": [0,4]}}',
    ),
    (
        "POST",
        "/api/photographs/ID/fill/save",
        JSON,
        b'{"bundle": "BUNDLE", "verb": "fill", "count": 100000, '
        b'"mask": {"box": [20,20,2,2], "runs": [0,4]}}',
    ),
    (
        "POST",
        "/api/photographs/ID/fill/keep",
        JSON,
        b'{"bundle": "BUNDLE", "verb": "fill", "mask": {"box": [0,0,64,64], "runs": [0,4096]}}',
    ),
    (
        "POST",
        "/api/photographs/ID/look/save",
        JSON,
        b'{"bundle": "BUNDLE", "type": "../..", "mask": {"box": [20,20,2,2], "runs": [0,4]}}',
    ),
    ("DELETE", "/api/photographs", JSON, b"{}"),
    ("PUT", "/", JSON, b"{}"),
]


def test_there_are_forty_and_more() -> None:
    assert len(STRANGERS) + len(INTRUDERS) >= 40


@pytest.mark.parametrize(("method", "path", "headers", "body"), STRANGERS)
def test_strangers_learn_nothing(
    method: str, path: str, headers: dict[str, str], body: Any, page: Page
) -> None:
    before = files_in(page.studio.places.out)
    app = make_app(page.studio, TOKEN, ["127.0.0.1", "localhost"])
    stranger = TestClient(app, base_url=BASE, headers={})
    answer = stranger.request(method, path, headers=headers, content=body)
    assert answer.status_code in (403, 421)
    assert [*answer.json()] == ["refused"]
    assert files_in(page.studio.places.out) == before


@pytest.mark.parametrize(("method", "path", "headers", "body"), INTRUDERS)
def test_intruders_with_the_token_reach_nothing(
    method: str, path: str, headers: dict[str, str], body: Any, page: Page
) -> None:
    before, outside = files_in(page.studio.places.out), files_in(page.studio.places.data)
    path = path.replace("ID", page.photograph())
    body = body.replace(b"BUNDLE", str(page.bundle).encode()) if body else body
    answer = page.client.request(method, path, headers=headers, content=body)
    assert 400 <= answer.status_code < 500, answer.text
    assert "Traceback" not in answer.text
    assert files_in(page.studio.places.data) == outside
    left = {name for name in files_in(page.studio.places.out) if not name.endswith("session.json")}
    assert {*before} == {name for name in left if not name.startswith("session/")}
    assert page.get("/api/about")["bundle"] == str(page.bundle)


@pytest.mark.parametrize(
    "mask",
    [
        {"box": [0, 0, 64, 64], "runs": [10**9]},
        {"box": [0, 0, 10**6, 10**6], "runs": [0, 10**12]},
        {"box": [-1, 0, 2, 1], "runs": [0, 2]},
        {"box": [63, 63, 2, 2], "runs": [0, 4]},
        {"box": [0, 0, 2, 2], "runs": [-4, 8]},
        {"box": [0, 0, 2], "runs": [0, 4]},
        {"box": [0, 0, 2, 2], "runs": []},
        {"box": [0, 0, 0, 0], "runs": [0]},
    ],
)
def test_masks_that_do_not_fit_are_refused(mask: Any, page: Page) -> None:
    draft = {"bundle": str(page.bundle), "defects": [{"type": "paint", "mask": mask}]}
    answer = page.post(f"/api/photographs/{page.photograph()}/place", draft, 422)
    assert "runs" in answer["got"]


def test_a_body_without_a_length_is_cut_off(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "MOST_BYTES", 1000)
    chunks = (b" " * 100 for _ in range(100))
    answer = page.client.post("/api/run", content=chunks, headers=JSON)
    assert answer.status_code == 413


def test_an_upload_without_a_length_is_cut_off_and_leaves_nothing(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "BYTE_LIMIT", 1000)
    chunks = (b"x" * 100 for _ in range(100))
    answer = page.client.post("/api/photographs?name=a.png", content=chunks, headers=FILE)
    assert answer.status_code == 413
    assert not [*page.studio.photographs.uploads.iterdir()]


def test_every_answer_binds_the_browser(page: Page) -> None:
    for path in ("/", "/static/main.js", "/api/about", "/api/nothing", "/api/folders?path=.."):
        headers = page.client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers


def test_a_report_may_run_and_load_nothing(page: Page) -> None:
    file = page.studio.places.out / "reports" / "kept" / "report.html"
    file.parent.mkdir(parents=True)
    file.write_text("<script>alert(1)</script>")
    answer = page.client.get("/reports/kept")
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200 and "default-src 'none'" in policy and "sandbox" in policy
    assert "script-src" not in policy and "allow-scripts" not in policy
    assert page.get("/api/about")["reports"] == ["kept"]
    assert page.client.get("/reports/other").status_code == 422


def test_the_page_gives_its_token_to_its_own_requests_only(page: Page) -> None:
    answer = page.client.get(f"/?token={TOKEN}")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert TOKEN not in answer.text


def test_a_flood_of_500_leaves_the_server_alive_and_memory_bounded(
    place: Path, tmp_path: Path
) -> None:
    with Opening(place, tmp_path / "out") as page:
        id = page.photograph()
        draft = page.draft(spot())
        page.post(f"/api/photographs/{id}/place", draft)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        body = json.dumps(draft)

        def ask(k: int) -> int:
            path = f"/api/photographs/{id}/place"
            return page.client.post(path, content=body, headers=JSON).status_code

        with ThreadPoolExecutor(100) as pool:
            found = [*pool.map(ask, range(500))]
        assert {*found} <= {200, 409, 503} and 200 in found
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown * 1024 < MOST_GROWTH
        assert page.post(f"/api/photographs/{id}/place", draft)["area"] > 0


def test_a_websocket_is_refused(page: Page) -> None:
    with pytest.raises(Exception), page.client.websocket_connect("/api/about"):  # noqa: B017
        pass
