"""How every report of a benchmark begins."""

from blemish.evaluation.provenance import hardware, today


def heading(title: str, command: str) -> str:
    """A report's first lines: title, date, hardware, and the command that made it."""
    return f"# {title}\n\n{today()}, {hardware()}. Made by `{command}`.\n"
