"""A page for eyes: real and synthetic close-ups in random order, with the key folded away."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from blemish.evaluation.report import Page
from blemish.evaluation.synthesis.closeups import CloseUps, resized

EACH = 12  # close-ups of either kind at most
CELL = 224  # of all close-ups, so that size gives nothing away
CHANCE = "Half of them right is what guessing gives."


def write_sorting_page(kinds: dict[str, tuple[CloseUps, CloseUps]], file: Path) -> None:
    """Write the page, which holds its pictures.

    Args:
        kinds: Real and synthetic close-ups of each type of defect.
        file: HTML file.
    """
    page = Page("Which of these are real?")
    page.text(
        "Write down for each number whether the defect is real or synthetic, then unfold the key. "
        + CHANCE
    )
    for kind, (real, synthetic) in kinds.items():
        shown = shuffled(real, synthetic)
        page.heading(kind)
        page.gallery([(resized(square, CELL), str(n)) for n, (square, _) in enumerate(shown, 1)])
        numbers = [str(n) for n, (_, is_real) in enumerate(shown, 1) if not is_real]
        page.folded(f"Key for {kind}", f"Synthetic: {', '.join(numbers)}. All others are real.")
    page.write(file)


def shuffled(
    real: CloseUps, synthetic: CloseUps, seed: int = 0
) -> list[tuple[UInt8[np.ndarray, "s s 3"], bool]]:
    """As many close-ups of either kind in random order, each with whether it is real."""
    rng = np.random.default_rng(seed)
    each = min(EACH, len(real), len(synthetic))
    chosen = [
        (found.native[k], is_real)
        for found, is_real in ((real, True), (synthetic, False))
        for k in rng.permutation(len(found))[:each]
    ]
    return [chosen[k] for k in rng.permutation(len(chosen))]
