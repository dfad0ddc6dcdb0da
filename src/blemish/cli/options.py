"""Option types that several verbs share, as tyro shows them."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

Data = Annotated[Path, Positional, arg(metavar="DATA")]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["32-true", "bf16-mixed"]
Flag = Annotated[bool, arg(help_behavior_hint="")]
Json = Annotated[bool, arg(name="json", help_behavior_hint="")]
SpaceName = Literal["z", "w", "w+"]
