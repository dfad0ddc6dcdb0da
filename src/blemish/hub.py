"""Download and upload of bundles from and to the Hugging Face Hub.

Only the parts of a bundle are downloaded: JSON, safetensors and the card, never a pickle. The hub,
the cache, the token and offline mode are set by huggingface_hub's own variables (HF_ENDPOINT,
HF_HOME, HF_TOKEN, HF_HUB_OFFLINE). Its exceptions are translated here.

huggingface_hub trusts the hub: hashes and names in replies become paths in the cache, and a reply
may be endless. While a bundle is fetched, `_Watch` checks every reply before the library sees it.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from blemish.documents import MAX_BYTES as MAX_JSON_BYTES
from blemish.documents import parse_json
from blemish.errors import BundleError
from blemish.files import check_name, check_path

PARTS = ("config.json", "*.safetensors", "README.md")
MAX_FILE_BYTES = 8 * 2**30
MAX_REPLIES = 2000
MIN_SPEED = 4096  # bytes per second, once `GRACE` is over
GRACE = 60.0  # seconds
TIMEOUT = 30.0  # seconds without a byte
_HASH = re.compile(r"[0-9A-Za-z]{1,128}")
_TAG = re.compile(r'(W/)?"?[0-9A-Za-z][0-9A-Za-z_+=-]{0,127}"?')
_HASH_KEYS = ("sha", "oid", "sha256", "blobId", "xetHash")  # as the hub's JSON names them
_NAME_KEYS = ("path", "rfilename")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

_LOG_IN = "Check the name; for a private one log in with 'hf auth login' or set HF_TOKEN."
# The `got` and `todo` of a message, by exception or status; the first match counts.
_REASONS = {
    "OfflineModeIsEnabled": (
        "which is incomplete in the cache, while HF_HUB_OFFLINE prevents a download",
        "Unset HF_HUB_OFFLINE, or use a local folder.",
    ),
    "GatedRepoError": (
        "whose owner grants access to each user",
        "Request access on its page, then log in with 'hf auth login' or set HF_TOKEN.",
    ),
    "RevisionNotFoundError": (
        "which has no such revision",
        "Look up its branches, tags and commits on its page.",
    ),
    "RepositoryNotFoundError": ("which does not exist on the hub, or is hidden from you", _LOG_IN),
    "401": ("for which the hub requires a login", _LOG_IN),
    "403": ("which the hub does not let you read or change", _LOG_IN),
    "HFValidationError": (
        "which is not a valid repository name",
        "Write user/name, with letters, digits, '-', '_' and '.'.",
    ),
}


def names_repository(name: str) -> bool:
    """Whether a name has the form `user/repository`."""
    return _REPOSITORY.fullmatch(name) is not None


def fetch(repository: str, *, revision: str | None = None) -> Path:
    """Download the parts of a bundle into the hub's cache, if they are missing.

    Args:
        repository: Name as `user/repository`.
        revision: Branch, tag or commit; by default the main branch.

    Returns:
        The folder in the cache; it must not be written to.

    Raises:
        BundleError: The repository does not exist or has other contents, or neither hub nor cache
            can provide it.
    """
    from huggingface_hub import snapshot_download

    if revision is not None:
        check_path(revision, f"the revision of '{repository}'", BundleError)  # a path in the cache
    with _translated(f"{repository}@{revision}" if revision else repository), _watched(repository):
        found = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(PARTS),
            ignore_patterns=["*/*"],
            library_name="blemish",
        )
    if not (Path(found) / "config.json").is_file():
        raise BundleError(
            got=f"the repository '{repository}', which has no config.json",
            expected="one written by 'push_to_hub'",
            todo="Check the name.",
        )
    return Path(found)


def upload(
    folder: Path,
    repository: str,
    *,
    private: bool = False,
    message: str,
    kind: Literal["model", "dataset"] = "model",
) -> str:
    """Upload a folder's files to a repository in one commit; it is created if it is missing.

    Args:
        folder: Folder of the files; other weights in a model's repository are deleted.
        repository: Name as `user/repository`.
        private: Whether a new repository is private; an existing one stays as it is.
        message: Message of the commit.
        kind: Kind of the repository.

    Returns:
        The address of the repository.

    Raises:
        BundleError: The hub can't be reached, or refuses.
    """
    from huggingface_hub import HfApi

    api = HfApi(library_name="blemish")
    with _translated(repository):
        address = api.create_repo(repository, private=private, exist_ok=True, repo_type=kind)
        api.upload_folder(
            folder_path=folder,
            repo_id=repository,
            repo_type=kind,
            commit_message=message,
            delete_patterns="*.safetensors" if kind == "model" else None,
        )
    return str(address)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    from huggingface_hub import errors

    # Of httpx and of requests, whichever this version of the library uses.
    http_error: type[Exception] = errors.HTTPError  # pyright: ignore[reportPrivateImportUsage]
    try:
        yield
    except _STRANGE as error:
        raise _refusal(what, error) from error
    except (http_error, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # an error of the cache's disk, not of the hub
        raise _refusal(what, error) from error


# What huggingface_hub lets out where a reply is not of the form that it expects.
_STRANGE = (TypeError, KeyError, AttributeError, IndexError, AssertionError, RecursionError)


@contextmanager
def _watched(repository: str) -> Iterator[None]:
    """Check each reply of the hub while a repository is fetched."""
    from huggingface_hub import get_session

    hooks, watch = get_session().event_hooks, _Watch(repository)
    hooks["request"].append(_limit_waiting)
    hooks["response"].append(watch.check)
    try:
        yield
    finally:
        hooks["request"].remove(_limit_waiting)
        hooks["response"].remove(watch.check)


def _limit_waiting(request: Any) -> None:
    """Put a limit where the library would wait for a reply forever."""
    known = request.extensions.get("timeout", {})
    waits = {name: known.get(name) or TIMEOUT for name in ("connect", "read", "write", "pool")}
    request.extensions["timeout"] = waits


class _Watch:
    """Checks replies, which are httpx's, before anything else reads them."""

    def __init__(self, repository: str) -> None:
        self.repository, self.replies = repository, 0

    def check(self, reply: Any) -> None:
        """Check a reply's headers, and the whole of it where it is JSON.

        Raises:
            BundleError: It is not what a hub sends.
        """
        self.replies += 1
        if self.replies > MAX_REPLIES:
            raise self._refusal(f"more than {MAX_REPLIES} replies")
        is_api = "/api/" in reply.request.url.path
        self._check_headers(reply, MAX_JSON_BYTES if is_api else MAX_FILE_BYTES)
        if is_api:
            reply.read()
        if is_api and reply.status_code < 400:
            self._check_json(reply.text)

    def _check_headers(self, reply: Any, most: int) -> None:
        # Only a HEAD's tags become paths; those of other servers, which store files, may be odd.
        tags = ("ETag", "X-Linked-ETag") if reply.request.method == "HEAD" else ()
        for name in ("X-Repo-Commit", *tags):
            if name in reply.headers and not _TAG.fullmatch(reply.headers[name]):
                raise self._refusal(f"the {name} {reply.headers[name][:80]!r}")
        for name in ("Content-Length", "X-Linked-Size"):
            size = reply.headers.get(name, "0")
            if not (size.isdecimal() and len(size) < 20 and int(size) <= most):
                raise self._refusal(f"a reply of {size[:40]!r} bytes")
        # Both the library and httpx read a reply by this method, whatever they want of it.
        reply.iter_bytes = self._limited(reply.iter_bytes, most)

    def _limited(self, chunks: Callable[..., Iterator[bytes]], most: int) -> Callable[..., Any]:
        def limited(*args: Any, **kwargs: Any) -> Iterator[bytes]:
            start, received = time.monotonic(), 0
            for chunk in chunks(*args, **kwargs):
                received += len(chunk)
                late = time.monotonic() - start - GRACE
                if received > most or late * MIN_SPEED > received:
                    raise self._refusal("an endless reply" if received > most else "a trickle")
                yield chunk

        return limited

    def _check_json(self, text: str) -> None:
        try:
            entries = parse_json(text)
        except ValueError as error:
            raise self._refusal(f"JSON that can't be read ({error})") from error
        waiting = [entries]
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                self._check_entry(value)
                waiting += value.values()
            elif isinstance(value, list):
                waiting += value

    def _check_entry(self, entry: dict[str, Any]) -> None:
        for key in entry.keys() & {*_HASH_KEYS}:
            if entry[key] is not None and not _fits(_HASH, entry[key]):
                raise self._refusal(f"the {key} {str(entry[key])[:80]!r}")
        for key in entry.keys() & {*_NAME_KEYS}:
            name = entry[key]
            if not isinstance(name, str):
                raise self._refusal(f"a {key} that is no string")
            if "/" not in name and any(fnmatch(name, part) for part in PARTS):
                check_name(name, f"the repository '{self.repository}' with the file", BundleError)
        if "path" in entry and entry.get("type", "file") not in ("file", "directory"):
            raise self._refusal(f"the file type {str(entry['type'])[:40]!r}")
        size = entry.get("size")
        if size is not None and not (type(size) is int and 0 <= size <= MAX_FILE_BYTES):
            raise self._refusal(f"a file of {str(size)[:40]} bytes")

    def _refusal(self, what: str) -> BundleError:
        return BundleError(
            got=f"the repository '{self.repository}', for which the hub sent {what}",
            expected="what the Hugging Face Hub sends",
            todo="Check HF_ENDPOINT, or fetch the bundle's folder another way.",
        )


def _fits(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _refusal(what: str, error: Exception) -> BundleError:
    links = [link for link in (error, error.__cause__) if link is not None]
    kinds = {kind.__name__ for link in links for kind in type(link).__mro__}
    replies = [getattr(link, "response", None) for link in links]
    kinds |= {str(getattr(reply, "status_code", "")) for reply in replies}
    default = (
        f"which can't be exchanged with the hub ({_first_line(error)})",
        "Check the network, then try again; cached files need no network.",
    )
    reason, todo = next((_REASONS[kind] for kind in _REASONS if kind in kinds), default)
    return BundleError(
        got=f"the repository '{what}', {reason}",
        expected="a repository of the Hugging Face Hub that you may use",
        todo=todo,
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error.__cause__ or error).splitlines()), type(error).__name__)[:200]
