"""Option types that several verbs share, as tyro shows them."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

Data = Annotated[Path, Positional, arg(metavar="DATA")]
Flag = Annotated[bool, arg(help_behavior_hint="")]
Json = Annotated[bool, arg(name="json", help_behavior_hint="")]
