"""Growing a mapper: one for a finer generator starts from a trained coarser one.

The encoder's finest features and the last rows are new. At first the mapper ignores these features,
and gives these rows the values of the last known one.
"""

import torch

from blemish.checkpoint import Bundle
from blemish.generator.network import GeneratorConfig
from blemish.inversion.grow import more_rows, refuse_other_codes
from blemish.synthesis.mapping.mapper import Mapper, load_mapper


@torch.no_grad()
def grow_mapper(mapper: Mapper, config: GeneratorConfig, coarse: Bundle) -> None:
    """Start from a coarser bundle's mapper.

    Args:
        mapper: Fresh mapper, for a generator of twice the side.
        config: Configuration of that generator.
        coarse: Bundle with a mapper.

    Raises:
        OptionError: The coarser mapper is for another generator; see `refuse_other_codes`.
        BundleError: The bundle has no mapper.
    """
    refuse_other_codes(config, coarse)
    mine, known = mapper.state_dict(), load_mapper(coarse).state_dict()
    for name, value in known.items():
        if name.startswith("torows."):
            mine[name].copy_(more_rows(value, mapper.rows, mapper.w_dim))
        elif name == "fc0.weight":
            mine[name].zero_()[:, -value.shape[1] :] = value
        elif name != "unit":
            mine[name].copy_(value)
