"""torchvision beside a CPU build of PyTorch: importing this module imports it in either case.

The compiled half of the package index's wheels needs CUDA's PyTorch. Without it the import fails
at operators that it only names; with their names declared, all that is written in Python works.
"""

import importlib
import re
import sys

import torch

MISSING = re.compile(r"operator (torchvision::\w+) does not exist")
SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def _load() -> None:
    """Import torchvision; operators that its compiled half would bring are names only."""
    while True:
        try:
            importlib.import_module("torchvision")
            return
        except RuntimeError as error:
            found = MISSING.search(str(error))
            if found is None:
                raise
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]
            torch.library.define(found[1], SIGNATURE)


_load()
