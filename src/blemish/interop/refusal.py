"""Why a file is not taken, before anyone knows its name."""

from dataclasses import dataclass

from blemish.errors import BundleError

KNOWN = (
    "a network-snapshot .pkl of StyleGAN2-ADA, DFMGAN or StyleGAN3's --cfg=stylegan2, a .pt of "
    "rosinality's stylegan2-pytorch, pSp or e4e, or a safetensors state dict under "
    "StyleGAN2-ADA's names"
)
SPOILT = "Fetch the file again from where it was made; nothing of this one was used."


@dataclass(frozen=True)
class Refused(Exception):
    """Raised inside this room; `of` says the rest at its door.

    Attributes:
        why: What is wrong with the file, to be read behind "which".
        expected: What could have been taken.
        todo: The next step that a stranger could take.
    """

    why: str
    expected: str = KNOWN
    todo: str = SPOILT

    def of(self, file: object) -> BundleError:
        return BundleError(got=f"{file}, which {self.why}", expected=self.expected, todo=self.todo)


def shown(value: object, most: int = 80) -> str:
    """A value from the file, fit to be read: strangers choose their names long and odd."""
    if not isinstance(value, str | int | float | bool | None):
        return f"a {type(value).__name__}"
    # An integer of a million digits takes minutes to print.
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**most else "a huge number"
    return text if len(text) <= most else f"{text[:most]}…"
