"""The kinds of critics by name, a line each."""

from collections.abc import Mapping
from typing import Any

from blemish.errors import OptionError
from blemish.generator.critic import CriticConfig
from blemish.generator.projected import ProjectedConfig
from blemish.generator.residual import ResidualConfig

KINDS: dict[str, type[CriticConfig]] = {
    "residual": ResidualConfig,
    "projected": ProjectedConfig,
}


def critic_from(fields: Mapping[str, Any]) -> CriticConfig:
    """The options of a critic, as `config.json` has them.

    Raises:
        OptionError: There is no such kind.
        TypeError: The kind has other options.
    """
    kind = fields.get("kind")
    if kind not in KINDS:
        raise OptionError(
            got=f"the critic '{kind}'", expected=" or ".join(KINDS), todo="Choose one of these."
        )
    return KINDS[kind](**fields)
