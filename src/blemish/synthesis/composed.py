r"""Image and mask from codes by three frozen networks: part, mask and window generator.

    part = P(w),    m = M(w_m, part's outline),    image = W(w_d, part, m).

The mask of the forward pass is binary. Gradients reach w_m through its sigmoid (straight-through),
so that a search moves the mask by what the image looks like as well.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from blemish.data.masks import silhouette
from blemish.generator.network import Drawing, Generator
from blemish.inversion.space import code_rows, draws
from blemish.masks.model import MaskModel, PartMap
from blemish.masks.search import closest
from blemish.names import Space
from blemish.pictures import to_picture
from blemish.synthesis.drawers import Leaves
from blemish.types import Codes
from blemish.windows.network import WindowInput
from blemish.windows.paint import WindowModel

TRIED = 256  # random codes of masks, the closest of which starts a search
BEYOND = -4.0  # logits outside of the part's frame
SURE = 8.0  # logits of a mask that is given


class ComposedDrawer:
    """The networks of a bundle, and one photograph's part.

    Args:
        part: Generator of parts.
        windows: Window generator.
        masks: Mask generator; None where all masks are given.
        zoom: Pixels of the photograph per pixel of the part generator's image.
    """

    def __init__(
        self, part: Generator, windows: WindowModel, masks: MaskModel | None, zoom: float
    ) -> None:
        self.part, self.windows, self.masks = part, windows.generator, masks
        self.log_zoom = float(np.log2(zoom))
        self.shown: PartMap | None = None

    @property
    def resolution(self) -> int:
        """See `drawers.Drawer`."""
        return self.part.config.resolution

    @torch.no_grad()
    def start(
        self,
        twin: Codes,
        photograph: Float[Tensor, "1 3 h w"],
        mask: Float[Tensor, "1 1 h w"],
        kind: int,
        space: Space,
        rngs: list[torch.Generator],
    ) -> Leaves:
        """See `drawers.Drawer`; the mask starts from the closest of random codes."""
        n, device = len(rngs), twin.w.device
        z = draws((self.windows.config.z_dim,), rngs).to(device)
        w = self.windows.mapping(z, torch.full((n,), kind, device=device))
        rows = self.windows.rows(w).clone()
        code = {"z": z, "w": w, "w+": rows}[space]
        noise = {name: map.expand(n, -1, -1, -1) for name, map in (twin.noise or {}).items()}
        marked = self._mask_start(photograph, mask, kind, space, rngs)
        return Leaves(defect=code, mask=marked, w=twin.w.repeat(n, 1, 1), noise=noise)

    def codes(self, leaves: Leaves, kind: int, space: Space) -> Codes:
        """See `drawers.Drawer`."""
        kinds = torch.full((len(leaves),), kind, device=leaves.defect.device)
        layers = self.windows.config.layers
        rows = code_rows(self.windows.mapping, leaves.defect, layers, space, kinds)
        marks = None
        if leaves.mask is not None and self.masks is not None:
            masks = self.masks.generator
            index = torch.full_like(kinds, self._mask_kind(kind))
            marks = code_rows(masks.mapping, leaves.mask, masks.config.layers, space, index)
        return Codes(w=leaves.w, w_defect=rows, w_mask=marks, noise=leaves.noise or None)

    def draw(self, codes: Codes, kind: int, mask: Float[Tensor, "n 1 h w"] | None) -> Drawing:
        """See `drawers.Drawer`."""
        assert codes.w_defect is not None
        image = self.twin(codes)
        logits = (2 * mask - 1) * SURE if mask is not None else self._logits(codes, kind)
        soft = logits.sigmoid()
        marked = (logits >= 0).to(soft.dtype) + soft - soft.detach()
        zoom = torch.full((len(image),), self.log_zoom, device=image.device)
        window = WindowInput(image=image, mask=marked, zoom=zoom)
        drawn = self.windows.draw(window, Codes(w=codes.w_defect))
        return Drawing(image=drawn.image, mask_logits=logits)

    def twin(self, codes: Codes) -> Float[Tensor, "n 3 h w"]:
        """See `drawers.Drawer`."""
        return self.part.draw(Codes(w=codes.w, noise=codes.noise)).image.float()

    def _mask_start(
        self,
        photograph: Float[Tensor, "1 3 h w"],
        mask: Float[Tensor, "1 1 h w"],
        kind: int,
        space: Space,
        rngs: list[torch.Generator],
    ) -> Tensor | None:
        if self.masks is None:
            return None
        generator = self.masks.generator
        shown = PartMap.of(silhouette(to_picture(photograph[0].cpu())), generator.config.side)
        self.shown = shown
        target = shown.seen(mask[0, 0].cpu().numpy() > 0.5)
        index = torch.tensor([self._mask_kind(kind)])
        found = [closest(generator, shown.depth, target, index, TRIED, 1, rng) for rng in rngs]
        z = torch.cat(found).to(photograph.device)
        w = generator.mapping(z, index.expand(len(z)).to(z.device))
        return {"z": z, "w": w, "w+": generator.rows(w).clone()}[space]

    def _logits(self, codes: Codes, kind: int) -> Float[Tensor, "n 1 h w"]:
        """The mask that its code draws, at the resolution of the image."""
        assert self.masks is not None and self.shown is not None and codes.w_mask is not None
        n, device = len(codes), codes.w.device
        depth = self.shown.depth.to(device).expand(n, -1, -1, -1)
        index = torch.full((n,), self._mask_kind(kind), device=device)
        logits = self.masks.generator.draw(depth, Codes(w=codes.w_mask), index)
        side = self.resolution
        frames = self._frame().to(device).expand(n, -1, -1)
        grid = F.affine_grid(frames, [n, 1, side, side], align_corners=False)
        seen = F.grid_sample(logits - BEYOND, grid, padding_mode="zeros", align_corners=False)
        return seen + BEYOND

    def _frame(self) -> Float[Tensor, "1 2 3"]:
        """From coordinates of the image to those of the part's frame, both in [-1, 1]."""
        assert self.shown is not None
        side, inner = self.resolution, self.shown.depth.shape[3]
        back = cv2.invertAffineTransform(self.shown.frame.matrix(inner))
        scale = back[:, :2] * side / inner
        middle = back @ np.array([(side - 1) / 2, (side - 1) / 2, 1.0])
        shift = (2 * middle + 1) / inner - 1
        return torch.from_numpy(np.column_stack([scale, shift])).float()[None]

    def _mask_kind(self, kind: int) -> int:
        assert self.masks is not None
        return int(self.masks.index(self.windows.config.types[kind]))
