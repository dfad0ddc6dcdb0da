"""Search: the part is inverted, then the defect's code is searched for."""

import torch

from blemish.checkpoint import Bundle
from blemish.errors import OptionError
from blemish.inversion.model import Model
from blemish.inversion.search import Step
from blemish.synthesis.masks.learned import NETWORK, MaskModel, load_masks
from blemish.synthesis.options import SearchOptions
from blemish.synthesis.placement.composed import ComposedDrawer, PartMasks
from blemish.synthesis.placement.drawers import BranchDrawer, Drawer
from blemish.synthesis.placement.search import Placed, place_defects
from blemish.synthesis.placement.task import PlacementTask
from blemish.types import Codes
from blemish.windows.paint import WindowModel, load_windows


class OptimizePlacement:
    """Method of the module's docstring; see `search` for the steps.

    A generator with a defect branch draws the defect itself; without one, the window generator of
    the bundle does, and its mask generator draws masks.

    Raises:
        BundleError: There is no window generator, or no mask generator for masks from codes.
        OptionError: Noise maps are asked for, and there is no branch.
    """

    def __init__(self, bundle: Bundle, model: Model, options: SearchOptions) -> None:
        self.generator, self.search = model.generator, options
        self.windows: WindowModel | None = None
        self.masks: MaskModel | None = None
        if model.generator.config.defect is None:
            self.windows = load_windows(bundle, str(model.device))
            self.masks = _masks_for(bundle, options)

    def place(
        self, task: PlacementTask, twin: Codes | None, *, on_progress: Step | None = None
    ) -> Placed:
        """Same as in `drawn.CodeSearch`."""
        assert twin is not None
        return place_defects(
            self._drawer(task),
            twin,
            task.photograph,
            task.mask,
            task.kind,
            self.search,
            rngs=[torch.Generator().manual_seed(task.seed)],
            reference=task.reference,
            on_progress=on_progress,
        )

    def _drawer(self, task: PlacementTask) -> Drawer:
        if self.windows is None:
            return BranchDrawer(self.generator)
        masks = None if self.masks is None else PartMasks(self.masks, task.photograph)
        return ComposedDrawer(self.generator, self.windows, masks, task.zoom)


def _masks_for(bundle: Bundle, options: SearchOptions) -> MaskModel | None:
    if options.mask_control == "condition":
        return None
    if options.mask_control == "noise":
        raise OptionError(
            got="--mask-control noise for a bundle without a defect branch",
            expected="codes or condition: its mask generator has no noise maps",
            todo="Choose one of these.",
        )
    otherwise = ", or use --mask-control condition"
    bundle.require(NETWORK, "a mask generator", "masks DATA", otherwise=otherwise)
    return load_masks(bundle)
