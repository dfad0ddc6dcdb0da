"""Choice of rows of a code: numbers and ranges, or the names of their scales."""

from jaxtyping import Bool
from torch import Tensor, tensor, zeros

from blemish.errors import OptionError
from blemish.models.generator import GeneratorConfig
from blemish.types import Codes

SCALES = {"coarse": (4, 8), "middle": (16, 32), "fine": (64, 1024)}  # sides of the layers' maps


def scales_of(config: GeneratorConfig) -> dict[str, Bool[Tensor, " layers"]]:
    """Rows of each scale that the generator has; see `SCALES`."""
    sides = config.resolutions()
    # Rows 2k - 1 and 2k style the convolutions of the k-th resolution, the last one colours alone.
    of_rows = [sides[min((row + 1) // 2, len(sides) - 1)] for row in range(config.layers)]
    return {
        name: tensor([least <= side <= most for side in of_rows])
        for name, (least, most) in SCALES.items()
        if least <= config.resolution
    }


def parse_rows(text: str, layers: int, names: dict[str, Bool[Tensor, " layers"]]) -> Tensor:
    """Rows of a text such as `0-3,8`, `coarse` or `coarse,10`.

    Args:
        text: Numbers from 0, ranges with both ends, and names, separated by commas.
        layers: Number of rows.
        names: Rows of each name.

    Returns:
        True for each chosen row.

    Raises:
        OptionError: A part of the text is none of these, or no row is chosen.
    """
    chosen = zeros(layers).bool()
    for word in (part.strip() for part in text.split(",")):
        if word in names:
            chosen |= names[word]
        else:
            first, last = _ends(word, text, layers, tuple(names))
            chosen[first : last + 1] = True
    return chosen


def mixed(a: Codes, b: Codes, rows: Bool[Tensor, " layers"]) -> Codes:
    """Codes of the first part with the chosen rows of the second (style mixing)."""
    chosen = rows.to(a.w.device)[:, None]
    rows = b.w.where(chosen, a.w)
    return Codes(w=rows, features=a.features, noise=a.noise, space=a.edited_space())


def _ends(word: str, text: str, layers: int, names: tuple[str, ...]) -> tuple[int, int]:
    first, _, last = word.partition("-")
    last = last or first
    if first.isdecimal() and last.isdecimal() and int(first) <= int(last) < layers:
        return int(first), int(last)
    raise OptionError(
        got=f"the rows '{text}'",
        expected=f"numbers from 0 to {layers - 1}, ranges such as 0-3, or "
        f"{', '.join(names)}, separated by commas",
        todo="Correct the rows.",
    )
