"""The help pages as Markdown: `python -m blemish.cli.docs > docs/cli.md`."""

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout, suppress
from typing import Any
from unittest.mock import patch

from blemish.cli import VERBS, main

OPENING = """\
# The command line

Every command exits with 0 on success, with 2 on bad input (one message on stderr: what it got, what
it expected, what to do), with 1 on a failure of its own, with 130 after Ctrl-C, and with 143 after
SIGTERM. Files are written whole or not at all. `BLEMISH_DEBUG=1` shows the traceback of any error.
"""


def pages() -> str:
    """Complete text of docs/cli.md."""
    return "\n".join([OPENING, *(_section(words) for words in [(), *_commands(VERBS)])])


def help_of(*words: str) -> str:
    """Help page of a command, 100 columns wide and without colour."""
    page = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with patch.dict(os.environ, COLUMNS="100"), redirect_stdout(page), suppress(SystemExit):
        main([*words, "--help"])
    page.seek(0)
    return "\n".join(line.rstrip() for line in page.read().strip().splitlines())


def _section(words: tuple[str, ...]) -> str:
    return f"## {' '.join(('blemish', *words))}\n\n```text\n{help_of(*words)}\n```\n"


def _commands(verbs: Mapping[str, Any], *before: str) -> Iterator[tuple[str, ...]]:
    for name, verb in verbs.items():
        if isinstance(verb, Mapping):
            yield from _commands(verb, *before, name)
        else:
            yield (*before, name)


if __name__ == "__main__":
    print(pages(), end="")
