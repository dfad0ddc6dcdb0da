"""Upload of an export to the Hugging Face Hub, as a data set."""

from pathlib import Path

from blemish.errors import OptionError
from blemish.hub import names_repository, upload


def refuse_nameless(repository: str | None) -> None:
    """Raise an OptionError if a name is not of the form user/name."""
    if repository is not None and not names_repository(repository):
        raise OptionError(
            got=f"the data set '{repository}' to push to",
            expected="a name as user/name",
            todo="Correct it, or leave it out.",
        )


def push_set(folder: Path, repository: str, *, private: bool = False) -> str:
    """Upload an export in one commit; returns its address.

    Args:
        folder: Folder of the export.
        repository: Name as `user/name`; created if it is missing.
        private: Whether a new data set is private.

    Raises:
        BundleError: The hub can't be reached, or refuses.
    """
    known = {"private": private, "message": "Upload by Blemish"}
    return upload(folder, repository, **known, kind="dataset")
