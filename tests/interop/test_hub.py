"""Against a stand-in for the hub that speaks its HTTP; nothing of huggingface_hub is replaced."""

import base64
import gzip
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import torch
from commands import exit_code
from huggingface_hub import ModelCard, close_session, constants
from made import write_made
from same import files_in
from tiny import write_bundle

import blemish
from blemish import hub as hub_module
from blemish.checkpoint import Bundle, load_bundle, pack
from blemish.errors import BundleError, OptionError
from blemish.hub import names_repository

CARD = "# nut\n\n![Samples](samples.png)\n\n![Not here](gone.png)\n"
LIBRARY_FILES = {".gitattributes"}
HOME = Path("so", "deep", "down", "home")  # of the cache, so that what leaves it stays in sight


# A door's answer, changed: body and headers, from the door's method and path, and both.
Answer = tuple[bytes, dict[str, str]]
Lie = Callable[[str, str, bytes, dict[str, str]], Answer]


class Hub(ThreadingHTTPServer):
    """Repositories in memory, each with the files of its commits."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.commits: dict[str, list[dict[str, bytes]]] = {}
        self.refused: dict[str, tuple[int, str]] = {}
        self.visits: list[tuple[str, str]] = []
        self.private: dict[str, bool] = {}
        self.lie: Lie | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, repository: str, folder: Path) -> str:
        """A new commit with the files of a folder; its number comes back."""
        files = {
            str(file.relative_to(folder)): file.read_bytes()
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }
        self.commits.setdefault(repository, []).append(files)
        return number(repository, len(self.commits[repository]) - 1)

    def fetched(self) -> set[str]:
        """Names of the files whose contents somebody has asked for."""
        return {path.split("/")[-1] for verb, path in self.visits if verb == "GET"} - {"main"}


def number(repository: str, index: int) -> str:
    return sha1(f"{repository}/{index}".encode()).hexdigest()


class Door(BaseHTTPRequestHandler):
    """The few of the hub's routes that are called."""

    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        assert isinstance(self.server, Hub)
        return self.server

    def log_message(self, *_: object) -> None:  # type: ignore[override]
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.enter()
        repository = "/".join(path[2:4] if path[0] == "api" else path[:2])
        if repository in self.hub.refused:
            status, code = self.hub.refused[repository]
            return self.answer({"error": code}, status, {"X-Error-Code": code} if code else {})
        if repository not in self.hub.commits:
            return self.answer({"error": "?"}, 404, {"X-Error-Code": "RepoNotFound"})
        if path[0] != "api":
            return self.give(repository, path[3], "/".join(path[4:]))
        revision = path[5] if len(path) > 5 else "main"
        found = self.find(repository, revision)
        if found is None:
            return self.answer({"error": "?"}, 404, {"X-Error-Code": "RevisionNotFound"})
        sha, files = found
        if len(path) > 4 and path[4] == "tree":
            return self.answer([{"type": "file", "path": k, **facts(v)} for k, v in files.items()])
        siblings = [{"rfilename": name} for name in files]
        return self.answer(
            {"id": repository, "modelId": repository, "sha": sha, "siblings": siblings}
        )

    def do_POST(self) -> None:
        path = self.enter()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != "Bearer hf_stand_in":
            return self.answer({"error": "Invalid username or password."}, 401)
        if path == ["api", "repos", "create"]:
            return self.create(json.loads(body))
        if path == ["api", "validate-yaml"]:
            return self.answer({"errors": [], "warnings": []})
        repository = "/".join(path[2:4])
        if path[4] == "preupload":
            wanted = [file["path"] for file in json.loads(body)["files"]]
            modes = [{"path": k, "uploadMode": "regular", "shouldIgnore": False} for k in wanted]
            return self.answer({"files": modes})
        assert path[4] == "commit"
        return self.commit(repository, [json.loads(line) for line in body.splitlines()])

    def enter(self) -> list[str]:
        path = unquote(urlsplit(self.path).path)
        self.hub.visits.append((self.command, path))
        return path.strip("/").split("/")

    def find(self, repository: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        commits = self.hub.commits[repository]
        known = {number(repository, k): files for k, files in enumerate(commits)}
        sha = number(repository, len(commits) - 1) if revision == "main" else revision
        return (sha, known[sha]) if sha in known else None

    def give(self, repository: str, revision: str, name: str) -> None:
        found = self.find(repository, revision)
        assert found is not None
        sha, files = found
        self.answer(
            files[name], 200, {"ETag": f'"{facts(files[name])["oid"]}"', "X-Repo-Commit": sha}
        )

    def create(self, wanted: dict[str, str]) -> None:
        repository = f"{wanted['organization']}/{wanted['name']}"
        url = {"url": f"{self.hub.address}/{repository}"}
        if repository in self.hub.refused:
            return self.answer({"error": "no"}, self.hub.refused[repository][0])
        if repository in self.hub.commits:
            return self.answer(url | {"error": "You already created this model repo"}, 409)
        self.hub.commits[repository] = [{".gitattributes": b""}]
        self.hub.private[repository] = wanted.get("visibility") == "private"
        return self.answer(url)

    def commit(self, repository: str, lines: list[dict[str, Any]]) -> None:
        files = dict(self.hub.commits[repository][-1])
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        self.hub.commits[repository].append(files)
        sha = number(repository, len(self.hub.commits[repository]) - 1)
        url = f"{self.hub.address}/{repository}/commit/{sha}"
        return self.answer({"success": True, "commitOid": sha, "commitUrl": url})

    def answer(
        self, what: object, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        body = what if isinstance(what, bytes) else json.dumps(what).encode()
        headers = headers or {}
        if self.hub.lie is not None:
            body, headers = self.hub.lie(self.command, self.path, body, headers)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def facts(data: bytes) -> dict[str, object]:
    return {"size": len(data), "oid": sha1(b"blob %d\0" % len(data) + data).hexdigest()}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / HOME / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setenv("HF_TOKEN", "hf_stand_in")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    yield server
    close_session()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    bundle = write_bundle(tmp_path / "nut")
    (bundle.path / "README.md").write_text(CARD)
    (bundle.path / "samples.png").write_bytes(b"a picture")
    (bundle.path / "secret.png").write_bytes(b"a part that nobody may see")
    (bundle.path / "training").mkdir()
    (bundle.path / "training" / "state.safetensors").write_bytes(b"state")
    return bundle


def test_what_is_pushed_is_loaded(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    assert bundle.push_to_hub("ada/nut") == f"{hub.address}/ada/nut"
    found = blemish.load("ada/nut").files
    assert found.config == bundle.config
    assert found.digest == pack(bundle, tmp_path / "packed").digest
    card = ModelCard.load(found.path / "README.md")
    assert card.text == f"\n{CARD}" and card.data.to_dict()["library_name"] == "blemish"
    assert {"crack", "paint"} <= {*card.data.to_dict()["tags"]}
    weights = bundle.tensors("generator")
    for name, tensor in found.tensors("generator").items():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-3, atol=1e-3)


def test_training_and_stray_pictures_stay_at_home(hub: Hub, bundle: Bundle) -> None:
    bundle.push_to_hub("ada/nut")
    assert hub.commits["ada/nut"][-1].keys() - LIBRARY_FILES == {
        "README.md",
        "config.json",
        "critic.safetensors",
        "generator.safetensors",
        "match_critic.safetensors",
        "samples.png",
        "statistics.safetensors",
    }


def test_a_bundle_without_a_card_goes_without_one(hub: Hub, bundle: Bundle) -> None:
    (bundle.path / "README.md").unlink()
    bundle.push_to_hub("ada/nut")
    assert not {"README.md", "samples.png"} & hub.commits["ada/nut"][-1].keys()


def test_weights_that_a_bundle_has_no_more_go_from_the_hub(hub: Hub, bundle: Bundle) -> None:
    bundle.push_to_hub("ada/nut")
    (bundle.path / "critic.safetensors").unlink()
    bundle.push_to_hub("ada/nut")
    assert "critic.safetensors" not in hub.commits["ada/nut"][-1]
    assert "README.md" in hub.commits["ada/nut"][-1]


@pytest.mark.parametrize("private", [False, True])
def test_an_export_is_pushed_as_a_data_set(hub: Hub, tmp_path: Path, private: bool) -> None:
    made = write_made(tmp_path / "made")
    line = f"export {made} --out {tmp_path / 'out'} --format hf-imagefolder --push ada/nuts"
    assert exit_code(f"{line} --private" if private else line) == 0
    written = {*files_in(tmp_path / "out")}
    assert hub.commits["ada/nuts"][-1].keys() - LIBRARY_FILES == written
    assert hub.private == {"ada/nuts": private}
    assert ("POST", "/api/datasets/ada/nuts/commit/main") in hub.visits


def test_a_data_set_without_an_owner_is_refused_before_the_export(tmp_path: Path) -> None:
    made = write_made(tmp_path / "made")
    with pytest.raises(OptionError, match="'nuts'"):
        blemish.export(made, tmp_path / "out", "coco", push="nuts")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("private", [False, True])
def test_a_new_repository_is_as_private_as_asked(hub: Hub, bundle: Bundle, private: bool) -> None:
    bundle.push_to_hub("ada/nut", private=private)
    assert hub.private == {"ada/nut": private}


def test_nothing_but_the_parts_of_a_bundle_is_fetched(hub: Hub, bundle: Bundle) -> None:
    for name in ("evil.pkl", "pytorch_model.bin", "run.py", "generator.pt"):
        (bundle.path / name).write_bytes(pickle.dumps(print))
    hub.add("ada/nut", bundle.path)
    found = load_bundle("ada/nut")
    names = {str(file.relative_to(found.path)) for file in found.path.rglob("*")}
    weights = ("critic", "generator", "match_critic", "statistics")
    assert names == {"config.json", "README.md", *(f"{name}.safetensors" for name in weights)}
    assert not {"evil.pkl", "pytorch_model.bin", "run.py", "generator.pt"} & hub.fetched()


def test_a_second_load_fetches_nothing(hub: Hub, bundle: Bundle) -> None:
    hub.add("ada/nut", bundle.path)
    first = load_bundle("ada/nut")
    hub.visits.clear()
    assert load_bundle("ada/nut").digest == first.digest
    assert not [path for _, path in hub.visits if "/resolve/" in path]


def test_a_revision_is_what_it_was(hub: Hub, bundle: Bundle) -> None:
    old = hub.add("ada/nut", bundle.path)
    bundle.write_config({**bundle.config, "nimg": 8})
    hub.add("ada/nut", bundle.path)
    assert load_bundle("ada/nut", revision=old).config["nimg"] == 4
    assert load_bundle("ada/nut").config["nimg"] == 8
    with pytest.raises(BundleError, match="'ada/nut@nosuch', which has no such revision"):
        load_bundle("ada/nut", revision="nosuch")


def test_offline_the_cache_serves(
    hub: Hub, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("ada/nut", bundle.path)
    online = load_bundle("ada/nut").digest
    hub.visits.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_bundle("ada/nut").digest == online
    with pytest.raises(BundleError, match=r"'ada/other'.*cache.*HF_HUB_OFFLINE"):
        load_bundle("ada/other")
    with pytest.raises(BundleError, match="HF_HUB_OFFLINE"):
        bundle.push_to_hub("ada/nut")
    assert not hub.visits


def test_offline_a_torn_cache_is_reported(
    hub: Hub, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("ada/nut", bundle.path)
    (load_bundle("ada/nut").path / "generator.safetensors").unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BundleError, match="incomplete in the cache"):
        load_bundle("ada/nut")


def test_without_a_network_the_cache_serves(
    hub: Hub, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("ada/nut", bundle.path)
    online = load_bundle("ada/nut").digest
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    assert load_bundle("ada/nut").digest == online
    for attempt in (lambda: load_bundle("ada/other"), lambda: bundle.push_to_hub("ada/nut")):
        with pytest.raises(BundleError, match="Check the network"):
            attempt()


def test_the_variables_of_the_hub_are_honoured(hub: Hub, bundle: Bundle, tmp_path: Path) -> None:
    hub.add("ada/nut", bundle.path)
    online = load_bundle("ada/nut").digest
    code = "import blemish; print(blemish.load('ada/nut').digest)"
    environment = {**os.environ, "HF_HOME": str(tmp_path / HOME), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == online


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "RepoNotFound", "does not exist on the hub, or is hidden from you.*HF_TOKEN"),
        (401, "", "requires a login.*HF_TOKEN"),
        (403, "GatedRepo", "grants access to each user.*Request access"),
        (403, "", "does not let you read or change"),
        (500, "", "can't be exchanged with the hub.*500"),
    ],
)
def test_a_refused_load_says_why(hub: Hub, status: int, code: str, words: str) -> None:
    hub.refused["ada/nut"] = (status, code)
    with pytest.raises(BundleError, match=words):
        load_bundle("ada/nut")


def test_a_refused_push_says_why(hub: Hub, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.refused["ada/nut"] = (403, "")
    with pytest.raises(BundleError, match="does not let you read or change"):
        bundle.push_to_hub("ada/nut")
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_stranger")
    with pytest.raises(BundleError, match=r"requires a login.*hf auth login"):
        bundle.push_to_hub("ada/nut")
    assert not hub.commits


def test_a_repository_of_something_else_is_refused(hub: Hub, tmp_path: Path) -> None:
    for repository, text in (("ada/none", None), ("ada/other", '{"model_type": "bert"}')):
        folder = tmp_path / repository
        folder.mkdir(parents=True)
        (folder / "README.md").write_text("something else")
        if text is not None:
            (folder / "config.json").write_text(text)
        hub.add(repository, folder)
    (tmp_path / "ada").rename(tmp_path / "away")
    with pytest.raises(BundleError, match=r"'ada/none', which has no config\.json"):
        load_bundle("ada/none")
    with pytest.raises(BundleError, match="is not of bundle format"):
        load_bundle("ada/other")


def test_torn_weights_from_the_hub_are_refused(hub: Hub, bundle: Bundle) -> None:
    weights = (bundle.path / "generator.safetensors").read_bytes()
    (bundle.path / "generator.safetensors").write_bytes(weights[:-9])
    hub.add("ada/nut", bundle.path)
    with pytest.raises(BundleError, match="can't be read as safetensors"):
        load_bundle("ada/nut").tensors("generator")


def test_a_folder_and_an_embedded_name_ask_no_hub(hub: Hub, bundle: Bundle) -> None:
    (Path("ada")).mkdir()
    bundle.path.rename("ada/nut")
    assert load_bundle("ada/nut").path == load_bundle(Path("ada/nut")).path == Path("ada/nut")
    assert load_bundle("hazelnut").has("generator")
    with pytest.raises(BundleError, match="shipped one"):
        load_bundle("nosuch")
    with pytest.raises(BundleError, match="revision only for a repository"):
        load_bundle("ada/nut", revision="main")
    assert not hub.visits


def header(name: str, value: str) -> Lie:
    return lambda verb, path, body, headers: (body, {**headers, name: value})


def reply(part: str, text: str) -> Lie:
    """Another body wherever the path holds `part`."""
    return lambda verb, path, body, headers: (text.encode() if part in path else body, headers)


def swapped(old: str, new: object) -> Lie:
    """The JSON with another value for every key of that name."""

    def change(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: new if key == old else change(entry) for key, entry in value.items()}
        return [change(entry) for entry in value] if isinstance(value, list) else value

    def lie(verb: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        if "/api/" in path:
            body = json.dumps(change(json.loads(body))).encode()
        return body, headers

    return lie


OUTSIDE = "../../../../../outside"
LIES: dict[str, Lie] = {
    "a commit outside": swapped("sha", OUTSIDE),
    "an absolute commit": swapped("sha", "/tmp/outside"),
    "a commit that is a number": swapped("sha", 7),
    "a commit of lists": swapped("sha", [["a"]]),
    "a hash outside": swapped("oid", OUTSIDE),
    "a large file's hash outside": swapped("size", {"lfs": {"oid": OUTSIDE}}),
    "a file outside": swapped("path", "..\\..\\outside.safetensors"),
    "a hidden file": swapped("path", ".blemish-1.x.safetensors"),
    "a file called by a number": swapped("path", 7),
    "no file called": swapped("path", None),
    "siblings outside": swapped("rfilename", "..\\outside.safetensors"),
    "siblings that are words": swapped("siblings", "many"),
    "a size below zero": swapped("size", -1),
    "a huge size": swapped("size", 2**63),
    "a size in words": swapped("size", "large"),
    "a huge integer": swapped("size", 10**400),
    "a kind of file that is none": swapped("type", {}),
    "a tag outside": header("ETag", f'"{OUTSIDE}"'),
    "a linked tag outside": header("X-Linked-ETag", OUTSIDE),
    "a commit outside in a header": header("X-Repo-Commit", OUTSIDE),
    "a commit of dots": header("X-Repo-Commit", ".."),
    "a length in words": header("X-Linked-Size", "large"),
    "a length beyond all bounds": header("X-Linked-Size", "9" * 15),
    "deep JSON": reply("/api/", "[" * 200_000),
    "deep objects": reply("/api/", '{"a":' * 100_000),
    "a number for JSON": reply("/api/", "7"),
    "a word for JSON": reply("/api/", '"word"'),
    "no JSON": reply("/api/", "<html>"),
    "nothing": reply("/api/", ""),
    "nothing for a tree": reply("/tree/", "null"),
    "numbers for a tree": reply("/tree/", "[1, 2]"),
    "empty entries of a tree": reply("/tree/", "[{}, {}]"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_hub_that_lies_is_refused_and_writes_nothing_outside_the_cache(
    hub: Hub, bundle: Bundle, tmp_path: Path, lie: Lie
) -> None:
    hub.add("ada/nut", bundle.path)
    hub.lie = lie
    before = files_outside(tmp_path)
    with pytest.raises(BundleError, match=r"ada/nut"):
        load_bundle("ada/nut")
    assert files_outside(tmp_path) == before
    hub.lie = None
    assert load_bundle("ada/nut").config == bundle.config


def files_outside(root: Path) -> set[Path]:
    """All files near the cache that are not in it."""
    inside = root / HOME / "hub" / "models--ada--nut"
    locks = root / HOME / "hub" / ".locks" / "models--ada--nut"
    found = {path for path in root.rglob("*") if path.is_file()}
    return {p for p in found if not (p.is_relative_to(inside) or p.is_relative_to(locks))}


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"MAX_FILE_BYTES": 1000}, "bytes"),
        ({"MAX_JSON_BYTES": 100}, "bytes"),
        ({"MAX_REPLIES": 2}, "more than 2 replies"),
        ({"GRACE": 0.0, "MIN_SPEED": 10**15}, "a trickle"),
    ],
)
def test_sizes_times_and_numbers_of_replies_are_bounded(
    hub: Hub,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    limits: dict[str, float],
    words: str,
) -> None:
    hub.add("ada/nut", bundle.path)
    for name, value in limits.items():
        monkeypatch.setattr(hub_module, name, value)
    with pytest.raises(BundleError, match=words):
        load_bundle("ada/nut")


def test_a_body_longer_than_its_header_says_is_cut(
    hub: Hub, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("ada/nut", bundle.path)
    monkeypatch.setattr(hub_module, "MAX_JSON_BYTES", 10_000)

    def lie(verb: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        large = {"Content-Encoding": "gzip", **headers} if "/api/" in path else headers
        return (gzip.compress(b" " * 10**7) if "/api/" in path else body), large

    hub.lie = lie
    with pytest.raises(BundleError, match="an endless reply"):
        load_bundle("ada/nut")


@pytest.mark.parametrize("revision", ["../../x", "/x", "a//b", ".", "a\nb"])
def test_a_revision_that_is_no_name_is_refused_unasked(hub: Hub, revision: str) -> None:
    with pytest.raises(BundleError, match="the revision of 'ada/nut'"):
        load_bundle("ada/nut", revision=revision)
    assert not hub.visits


@pytest.mark.parametrize("name", ["ada/nut", "ada-2/nut_64.v1", "A/b"])
def test_names_of_repositories(name: str) -> None:
    assert names_repository(name)


@pytest.mark.parametrize(
    "name", ["nut", "../nut", "/nut", "ada/", "a/b/c", "ada/nut\n", "a b/c", ""]
)
def test_what_names_no_repository(name: str) -> None:
    assert not names_repository(name)


@pytest.mark.parametrize("name", ["ada/nut..x", "ada/-nut", "ada/x.git"])
def test_a_name_that_the_hub_refuses_is_reported(hub: Hub, bundle: Bundle, name: str) -> None:
    with pytest.raises(BundleError, match="which is not a valid repository name"):
        bundle.push_to_hub(name)


def test_the_package_is_light_until_something_is_loaded() -> None:
    code = "import sys, blemish; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    with pytest.raises(AttributeError, match="nosuch"):
        _ = blemish.nosuch  # type: ignore[attr-defined]
