"""The Hugging Face Hub: the files of a bundle come from a repository, or go to one.

Only what a bundle is made of is fetched: JSON, safetensors and the card, never a pickle. Which hub,
which cache, whose token, and whether to go online at all, say huggingface_hub's own variables
(HF_ENDPOINT, HF_HOME, HF_TOKEN, HF_HUB_OFFLINE). Its exceptions are translated here.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blemish.errors import BundleError

PARTS = ("config.json", "*.safetensors", "README.md")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

_LOG_IN = "Check the name; for a private one log in with 'hf auth login' or set HF_TOKEN."
# What we got and what to do, by exception or status; the first that fits counts.
_REASONS = {
    "OfflineModeIsEnabled": (
        "which is not whole in the cache, while HF_HUB_OFFLINE forbids to ask the hub",
        "Unset HF_HUB_OFFLINE, or name a folder that you have.",
    ),
    "GatedRepoError": (
        "to which its owner grants access one by one",
        "Ask for access on its page, then log in with 'hf auth login' or set HF_TOKEN.",
    ),
    "RevisionNotFoundError": (
        "which has no such revision",
        "Look up its branches, tags and commits on its page.",
    ),
    "RepositoryNotFoundError": ("which the hub does not have, or does not show you", _LOG_IN),
    "401": ("for which the hub wants to know who you are", _LOG_IN),
    "403": ("which the hub does not let you change or read", _LOG_IN),
    "HFValidationError": (
        "which is no name of a repository",
        "Write user/name, of letters, digits, '-', '_' and '.'.",
    ),
}


def names_repository(name: str) -> bool:
    """Whether this reads like `user/repository`."""
    return _REPOSITORY.fullmatch(name) is not None


def fetch(repository: str, *, revision: str | None = None) -> Path:
    """Bring the parts of a bundle into the hub's cache, if they are not there.

    Args:
        repository: As `user/repository`.
        revision: A branch, a tag or a commit; the main branch if not given.

    Returns:
        The folder in the cache; nobody may write to it.

    Raises:
        BundleError: There is none, it is another's, or neither hub nor cache can give it.
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
            expected="one that 'push_to_hub' has filled",
            todo="Check its name.",
        )
    return Path(found)


def upload(folder: Path, repository: str, *, private: bool = False, message: str) -> str:
    """Make a repository of a folder's files, in one commit; it is created if it is missing.

    Args:
        folder: Whose files are sent; weights that the repository has beyond them are deleted.
        repository: As `user/repository`.
        private: Whether a new one is shown to nobody else; one that exists stays as it is.
        message: Of the commit.

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

    # Both of httpx and of requests, whichever this version of the library is built on.
    http_error: type[Exception] = errors.HTTPError  # pyright: ignore[reportPrivateImportUsage]
    try:
        yield
    except (http_error, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the disk's: of the cache, not of the hub
        raise _refusal(what, error) from error


def _refusal(what: str, error: Exception) -> BundleError:
    links = [link for link in (error, error.__cause__) if link is not None]
    kinds = {kind.__name__ for link in links for kind in type(link).__mro__}
    replies = [getattr(link, "response", None) for link in links]
    kinds |= {str(getattr(reply, "status_code", "")) for reply in replies}
    default = (
        f"which can't be exchanged with the hub ({_first_line(error)})",
        "Check the network, then try again; what is in the cache needs none.",
    )
    reason, todo = next((_REASONS[kind] for kind in _REASONS if kind in kinds), default)
    return BundleError(
        got=f"the repository '{what}', {reason}",
        expected="a repository of the Hugging Face Hub that you may use",
        todo=todo,
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error.__cause__ or error).splitlines()), type(error).__name__)[:200]
