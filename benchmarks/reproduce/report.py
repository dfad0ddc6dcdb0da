"""The report of a reproduction: a page of Markdown, written when every step is done."""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks._hardware import heading
from benchmarks.reproduce import tables
from benchmarks.reproduce.outcomes import Places
from benchmarks.reproduce.plans import Length, Plan
from benchmarks.reproduce.run import Spent, in_shell, spent
from benchmarks.reproduce.steps import Step
from benchmarks.reproduce.subjects import PROTOCOL, Subject
from blemish.files import write_atomically

NO_WEIGHTS = (
    "SqueezeNet's weights were not at hand (`blemish doctor` says where they are looked for; "
    "BLEMISH_WEIGHTS names their folder): snapshots were not judged, there is no card, and "
    "distances are in the features of the bundle's own critic."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Content of a report.

    Attributes:
        name: Name of the subject.
        length: Length of the plan.
        command: Command of the reproduction.
        subject: Subject of the photographs.
        plan: Plan of the reproduction.
        places: Paths of its files.
        steps: All steps, finished.
        weights: Whether SqueezeNet's weights were available.
    """

    name: str
    length: Length
    command: str
    subject: Subject
    plan: Plan
    places: Places
    steps: Sequence[Step]
    weights: bool

    def write(self, path: Path, *, root: Path) -> None:
        """Write the report, whole or not at all.

        Args:
            path: File of the report.
            root: Folder of the repository, whose commit is named if it has one.

        Raises:
            OutputError: The report can't be written.
        """
        sections = [self._head(root), self._commands(), *self._figures(), self._pictures()]
        text = "\n\n".join("\n".join(lines).strip() for lines in sections)
        write_atomically(path, (text + "\n").encode())

    def _head(self, root: Path) -> list[str]:
        quick = self.length == "quick"
        title = "A test of the chain, not of quality: " if quick else "Reproduced: "
        subject, commit = self.subject, commit_of(root)
        said = [heading(title + self.name, self.command).strip()]
        said += [] if commit is None else [f"Commit {commit}."]
        said.append(f"Photographs: {subject.data}, {subject.licence}. {PROTOCOL}")
        said += [note for note in (subject.note, "" if self.weights else NO_WEIGHTS) if note]
        return ["\n\n".join(said)]

    def _commands(self) -> list[str]:
        known = spent(self.places.work)
        cells = [(s.name, _time(known.get(s.name)), f"`{in_shell(s.command)}`") for s in self.steps]
        rows = ["| step | time | command |", "| --- | ---: | --- |"]
        rows += [f"| {' | '.join(row)} |" for row in cells]
        recipe = self.places.recipe.read_text(encoding="utf-8").strip()
        total = _time(Spent(seconds=sum(s.seconds for s in known.values()), runs=1))
        lacking = [s.name for s in self.steps if s.name not in known]
        before = f" Done before this run, elsewhere: {', '.join(lacking)}." if lacking else ""
        together = f"In all {total}.{before} The recipe of the made set:"
        return ["## Commands", "", *rows, "", together, "", "```toml", recipe, "```"]

    def _figures(self) -> Iterator[list[str]]:
        places = self.places
        log = places.log("snapshots")
        if self.weights and log.is_file():
            text = log.read_text(encoding="utf-8").strip()
            yield ["## Snapshots of the finest generator", "", text]
        if self.weights:
            yield ["## The card", "", *tables.card(places)]
        yield ["## Inversion", "", *tables.inversion(places)]
        yield ["## The made set", "", *tables.made(places)]
        yield ["## Synthesis", "", *tables.synthesis(places)]
        yield ["## Usefulness", "", *tables.utility(places)]

    def _pictures(self) -> list[str]:
        return ["## Pictures", "", *(f"- `{path.as_posix()}`" for path in self._drawn())]

    def _drawn(self) -> Iterator[Path]:
        """The last sample grid of each training, and what the other steps have drawn."""
        for rung in self.plan.rungs:
            for folder in sorted((self.places.bundle(rung.preset) / "training").iterdir()):
                yield from sorted(folder.glob("samples-*.png"))[-1:]
        yield self.places.made / "contact_sheet.png"
        yield from sorted(self.places.report("").glob("*/report.html"))
        if self.weights:
            yield self.places.card / "samples.png"


def commit_of(root: Path) -> str | None:
    """Commit of a working tree, and whether the tree differs from it; None without git."""
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return None
    return commit + (", with changes" if _git(root, "status", "--porcelain") else "")


def _git(root: Path, *words: str) -> str | None:
    try:
        ran = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return ran.stdout.strip()


def _time(known: Spent | None) -> str:
    """Time in readable form; a step that was done elsewhere has none."""
    if known is None:
        return tables.NOTHING
    minutes, seconds = divmod(round(known.seconds), 60)
    hours, minutes = divmod(minutes, 60)
    said = f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
    return said + (f", in {known.runs} runs" if known.runs > 1 else "")
