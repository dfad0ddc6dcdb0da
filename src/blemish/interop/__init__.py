"""Networks that were trained elsewhere, read without running any of their code."""

from blemish.interop.foreign import Foreign, write_bundle
from blemish.interop.read import read

__all__ = ["Foreign", "read", "write_bundle"]
