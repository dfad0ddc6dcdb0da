"""Facts of a machine on which the last bits of an item may depend."""

from typing import Any

import torch

from blemish.devices import has_bfloat16


def machine(device: str) -> dict[str, Any]:
    """Facts of this machine as JSON values.

    Args:
        device: Device that makes the items.

    Returns:
        The level of instructions that PyTorch uses on this processor, whether the processor
        computes in bfloat16, and the version of PyTorch; on CUDA also the name of the GPU.
    """
    known = {
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "bfloat16": has_bfloat16(),
        "torch": torch.__version__,
    }
    return known | ({"gpu": torch.cuda.get_device_name()} if device == "cuda" else {})
