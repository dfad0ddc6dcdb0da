"""Download and upload of bundles from and to the Hugging Face Hub.

Only the parts of a bundle are downloaded: JSON, safetensors and the card, never a pickle. The hub,
the cache, the token and offline mode are set by huggingface_hub's own variables (HF_ENDPOINT,
HF_HOME, HF_TOKEN, HF_HUB_OFFLINE). Its exceptions are translated here.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blemish.errors import BundleError

PARTS = ("config.json", "*.safetensors", "README.md")
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

    with _translated(f"{repository}@{revision}" if revision else repository):
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


def upload(folder: Path, repository: str, *, private: bool = False, message: str) -> str:
    """Upload a folder's files to a repository in one commit; it is created if it is missing.

    Args:
        folder: Folder of the files; other weights in the repository are deleted.
        repository: Name as `user/repository`.
        private: Whether a new repository is private; an existing one stays as it is.
        message: Message of the commit.

    Returns:
        The address of the repository.

    Raises:
        BundleError: The hub can't be reached, or refuses.
    """
    from huggingface_hub import HfApi

    api = HfApi(library_name="blemish")
    with _translated(repository):
        address = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(
            folder_path=folder,
            repo_id=repository,
            commit_message=message,
            delete_patterns="*.safetensors",
        )
    return str(address)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    from huggingface_hub import errors

    # Of httpx and of requests, whichever this version of the library uses.
    http_error: type[Exception] = errors.HTTPError  # pyright: ignore[reportPrivateImportUsage]
    try:
        yield
    except (http_error, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # an error of the cache's disk, not of the hub
        raise _refusal(what, error) from error


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
