"""Growing a mapper: one for a finer generator begins as the coarser one that was trained.

It sees the encoder's features, of which the finest are new, and gives rows, of which the last are:
so at first it looks past the former, and gives to the latter what the last of the known gets.
"""

import torch

from blemish.checkpoint import Bundle
from blemish.generator.network import GeneratorConfig
from blemish.inversion.grow import more_rows, refuse_other_codes
from blemish.synthesis.mapping.mapper import Mapper, load_mapper


@torch.no_grad()
def grow_mapper(mapper: Mapper, config: GeneratorConfig, coarse: Bundle) -> None:
    """Begin as a coarser bundle's mapper.

    Args:
        mapper: Fresh, for a generator of twice the side.
        config: Of that.
        coarse: With a mapper.

    Raises:
        OptionError: It is for another generator; see `refuse_other_codes`.
        BundleError: It has no mapper.
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
