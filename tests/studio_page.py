"""A studio with a tiny bundle, reached over HTTP as the page reaches it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from blemish.studio.app import make_app
from blemish.studio.painted import painted
from blemish.studio.places import Places
from blemish.studio.studio import Studio

TOKEN = "a-token-of-the-tests"
BASE = "http://127.0.0.1:8765"


@dataclass
class Page:
    """What the page can do.

    Attributes:
        client: Client with the page's token.
        studio: The studio.
        bundle: Folder of its bundle.
    """

    client: TestClient
    studio: Studio
    bundle: Path

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: object, status: int = 200) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def photograph(self, name: str = "nut.png") -> str:
        return next(one["id"] for one in self.get("/api/photographs") if one["name"] == name)

    def draft(self, *masks: np.ndarray, types: tuple[str, ...] = ("paint",), **more: Any) -> Any:
        defects = [
            {"type": types[k % len(types)], "mask": _plain(mask)} for k, mask in enumerate(masks)
        ]
        return {"bundle": str(self.bundle), "defects": defects, **more}


class Opening:
    """A studio on a user's folder; several can be opened one after another."""

    def __init__(self, place: Path, out: Path, data: str = "data") -> None:
        self.studio = Studio(Places(place / data, out), str(place / "bundle"), "cpu")
        app = make_app(self.studio, TOKEN, ["127.0.0.1", "localhost"])
        self.client = TestClient(app, base_url=BASE, headers={"x-blemish-token": TOKEN})
        self.page = Page(self.client, self.studio, place / "bundle")

    def __enter__(self) -> Page:
        self.client.__enter__()
        return self.page

    def __exit__(self, *error: Any) -> None:
        self.client.__exit__(*error)


def _plain(mask: np.ndarray) -> dict[str, list[int]]:
    found = painted(mask)
    return {"box": [*found.box], "runs": [*found.runs]}
