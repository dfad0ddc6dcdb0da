"""Networks that were trained elsewhere, read without running any of their code."""

from blemish.interop.foreign import Foreign, write_bundle
from blemish.interop.read import read_foreign

__all__ = ["Foreign", "read_foreign", "write_bundle"]
