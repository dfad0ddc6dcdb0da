"""Notes: what a user should know although nothing has to stop for it.

A note is a warning of the logger "blemish", so that it appears on stderr unless the program that
uses the package sends it elsewhere.
"""

import logging
from functools import cache

LOGGER = logging.getLogger("blemish")


@cache
def note(text: str) -> None:
    """Log a note; the same text is logged once per process."""
    LOGGER.warning("Note: %s", text)
