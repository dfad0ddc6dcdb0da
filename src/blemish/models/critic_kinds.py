"""The kinds of critics by name, a line each."""

from typing import Any

from blemish.documents import dataclass_from
from blemish.errors import OptionError
from blemish.models.critic import CriticConfig
from blemish.models.projected import ProjectedConfig
from blemish.models.residual import ResidualConfig
from blemish.names import CriticKind

KINDS: dict[CriticKind, type[CriticConfig]] = {
    "residual": ResidualConfig,
    "projected": ProjectedConfig,
}


def critic_from(fields: object) -> CriticConfig:
    """The options of a critic, as `config.json` has them.

    Raises:
        OptionError: There is no such kind, or an option is out of its range.
        ValueError: The kind has other options, or an option is of another type.
    """
    kind: Any = fields.get("kind") if isinstance(fields, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise OptionError(
            got=f"the critic '{kind}'", expected=" or ".join(KINDS), todo="Choose one of these."
        )
    return dataclass_from(KINDS[kind], fields, f"the critic '{kind}'")
