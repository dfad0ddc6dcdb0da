r"""Image and mask from codes by three frozen networks: part, mask and window generator.

    part = P(w),    m = M(w_m, part's outline),    image = W(w_d, part, m).

The mask of the forward pass is binary. Gradients reach w_m through its sigmoid (straight-through),
so that a search moves the mask by what the image looks like as well.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from blemish.data.masks import silhouette
from blemish.inversion.space import code_of, code_rows, draws
from blemish.models.generator import Drawing, Generator
from blemish.models.window_generator import WindowInput
from blemish.names import CodeSpace
from blemish.pictures import to_picture
from blemish.synthesis.masks.learned import MaskModel, PartMap
from blemish.synthesis.masks.search import closest
from blemish.synthesis.placement.drawers import SearchVariables
from blemish.types import Codes
from blemish.windows.paint import WindowModel

TRIED = 256  # random codes of masks, the closest of which starts a search
BEYOND = -4.0  # logits outside of the part's frame
SURE = 8.0  # logits of a mask that is given


class PartMasks:
    """A mask generator on the part of one photograph.

    Args:
        model: The mask generator.
        photograph: The photograph at the resolution of the masks that are drawn.

    Raises:
        DataError: The photograph shows no part.
    """

    def __init__(self, model: MaskModel, photograph: Float[Tensor, "1 3 h w"]) -> None:
        self.model, self.generator = model, model.generator
        part = silhouette(to_picture(photograph[0].cpu()))
        self.shown = PartMap.of(part, self.generator.config.side)
        self.depth = self.shown.depth.to(photograph.device)
        self.grid = _grid_in(self.shown, photograph.shape[3]).to(photograph.device)

    def start(
        self,
        mask: Float[Tensor, "1 1 h w"],
        kind: str,
        space: CodeSpace,
        rngs: list[torch.Generator],
    ) -> Tensor:
        """The code whose mask is closest to a target, of random ones; one per random generator."""
        target, index = self.shown.seen(mask[0, 0].cpu().numpy() > 0.5), self.model.index(kind)
        where = (self.generator, self.shown.depth, target, index)
        z = torch.cat([closest(*where, TRIED, 1, rng) for rng in rngs]).to(mask.device)
        layers, kinds = self.generator.config.layers, self._kinds(kind, len(z))
        return code_of(self.generator.mapping, z, layers, space, kinds)

    def rows(self, code: Tensor, kind: str, space: CodeSpace) -> Float[Tensor, "n layers d"]:
        """Rows that belong to a code."""
        layers, kinds = self.generator.config.layers, self._kinds(kind, len(code))
        return code_rows(self.generator.mapping, code, layers, space, kinds)

    def logits(self, rows: Float[Tensor, "n layers d"], kind: str) -> Float[Tensor, "n 1 h w"]:
        """The masks that rows draw, at the resolution of the photograph."""
        n = len(rows)
        depth = self.depth.expand(n, -1, -1, -1)
        logits = self.generator.draw(depth, Codes(w=rows), self._kinds(kind, n))
        grid = self.grid.expand(n, -1, -1, -1)
        seen = F.grid_sample(logits - BEYOND, grid, padding_mode="zeros", align_corners=False)
        return seen + BEYOND

    def _kinds(self, kind: str, n: int) -> Int[Tensor, " n"]:
        return self.model.index(kind).to(self.depth.device).expand(n)


class ComposedDrawer:
    """The networks of a bundle, on the part of one photograph.

    Args:
        part: Generator of parts.
        windows: Window generator.
        masks: Mask generator on the photograph's part; None where all masks are given.
        zoom: Pixels of the photograph per pixel of the part generator's image.
    """

    def __init__(
        self, part: Generator, windows: WindowModel, masks: PartMasks | None, zoom: float
    ) -> None:
        self.part, self.windows, self.masks = part, windows.generator, masks
        self.log_zoom = float(np.log2(zoom))

    @property
    def resolution(self) -> int:
        """See `drawers.Drawer`."""
        return self.part.config.resolution

    @torch.no_grad()
    def start(
        self,
        twin: Codes,
        mask: Float[Tensor, "1 1 h w"],
        kind: int,
        space: CodeSpace,
        rngs: list[torch.Generator],
    ) -> SearchVariables:
        """See `drawers.Drawer`; the mask starts from the closest of random codes."""
        n, device = len(rngs), twin.w.device
        z = draws((self.windows.config.z_dim,), rngs).to(device)
        kinds, layers = torch.full((n,), kind, device=device), self.windows.config.layers
        code = code_of(self.windows.mapping, z, layers, space, kinds)
        noise = {name: map.expand(n, -1, -1, -1) for name, map in (twin.noise or {}).items()}
        marks = (
            None if self.masks is None else self.masks.start(mask, self._name(kind), space, rngs)
        )
        return SearchVariables(defect=code, mask=marks, w=twin.w.repeat(n, 1, 1), noise=noise)

    def codes(self, leaves: SearchVariables, kind: int, space: CodeSpace) -> Codes:
        """See `drawers.Drawer`."""
        kinds = torch.full((len(leaves),), kind, device=leaves.defect.device)
        layers = self.windows.config.layers
        rows = code_rows(self.windows.mapping, leaves.defect, layers, space, kinds)
        marks = None
        if self.masks is not None and leaves.mask is not None:
            marks = self.masks.rows(leaves.mask, self._name(kind), space)
        return Codes(w=leaves.w, w_defect=rows, w_mask=marks, noise=leaves.noise or None)

    def draw(self, codes: Codes, kind: int, mask: Float[Tensor, "n 1 h w"] | None) -> Drawing:
        """See `drawers.Drawer`."""
        assert codes.w_defect is not None
        image = self.twin(codes)
        logits = self._logits(codes, kind) if mask is None else (2 * mask - 1) * SURE
        soft = logits.sigmoid()
        marked = (logits >= 0).to(soft.dtype) + soft - soft.detach()
        zoom = torch.full((len(image),), self.log_zoom, device=image.device)
        window = WindowInput(image=image, mask=marked, zoom=zoom)
        drawn = self.windows.draw(window, Codes(w=codes.w_defect))
        return Drawing(image=drawn.image, mask_logits=logits)

    def twin(self, codes: Codes) -> Float[Tensor, "n 3 h w"]:
        """See `drawers.Drawer`."""
        return self.part.draw(Codes(w=codes.w, noise=codes.noise)).image.float()

    def _logits(self, codes: Codes, kind: int) -> Float[Tensor, "n 1 h w"]:
        assert self.masks is not None and codes.w_mask is not None, "the mask is drawn or given"
        return self.masks.logits(codes.w_mask, self._name(kind))

    def _name(self, kind: int) -> str:
        return self.windows.config.types[kind]


def _grid_in(shown: PartMap, side: int) -> Float[Tensor, "1 r r 2"]:
    """For each pixel of an image of a side, its place in the part's frame, in [-1, 1]."""
    inner = shown.depth.shape[3]
    back = cv2.invertAffineTransform(shown.frame.matrix(inner))
    scale = back[:, :2] * side / inner
    middle = back @ np.array([(side - 1) / 2, (side - 1) / 2, 1.0])
    shift = (2 * middle + 1) / inner - 1
    frame = torch.from_numpy(np.column_stack([scale, shift])).float()[None]
    return F.affine_grid(frame, [1, 1, side, side], align_corners=False)
