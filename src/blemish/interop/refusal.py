"""Error raised while parsing; `read` adds the file name."""

from dataclasses import dataclass

from blemish.errors import BundleError

KNOWN = (
    "a network-snapshot .pkl of StyleGAN2-ADA, DFMGAN or StyleGAN3's --cfg=stylegan2, a .pt of "
    "rosinality's stylegan2-pytorch, pSp or e4e, or a safetensors state dict under "
    "StyleGAN2-ADA's names"
)
SPOILT = "Download the file again from its source; nothing of this one was used."


@dataclass(frozen=True)
class RefusedFile(Exception):
    """Error inside this package; `of` completes it with the file name.

    Attributes:
        why: Problem of the file, to be read after "which".
        expected: Accepted input.
        todo: Next step for the user.
    """

    why: str
    expected: str = KNOWN
    todo: str = SPOILT

    def of(self, file: object) -> BundleError:
        return BundleError(got=f"{file}, which {self.why}", expected=self.expected, todo=self.todo)


def shown(value: object, most: int = 80) -> str:
    """Value from the file in printable form; strangers may choose long and odd names."""
    if not isinstance(value, str | int | float | bool | None):
        return f"a {type(value).__name__}"
    # An integer of a million digits takes minutes to print.
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**most else "a huge number"
    return text if len(text) <= most else f"{text[:most]}…"
