r"""The critic of windows: small heads on frozen features, with the mask beside each map.

Each head sees a mixed map of `Projector` and the share of every place that each type's mask covers
(one channel a type, so the critic knows what it should see). Logits are averaged with weights that
follow the mask, and the losses are hinges. One more head weighs the whole window evenly: it sees
masks in wrong places and seams.
"""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from blemish.models.heads import logits_beside, place_head
from blemish.models.logits import Heads
from blemish.models.projector import Projector


class WindowCritic(nn.Module):
    """Judges windows with their masks; higher is more like the real ones.

    Args:
        types: How many types of defects there are, "good" among them.
        width: Channels of the projector's maps.
    """

    def __init__(self, types: int, width: int = 64) -> None:
        super().__init__()
        self.projector = Projector(width)
        self.heads = nn.ModuleList(place_head(width + types, halve=k < 2) for k in range(4))
        self.whole = place_head(width + types, halve=True)
        self.types = types

    def maps(self, images: Float[Tensor, "n 3 h w"]) -> tuple[list[Tensor], list[Tensor]]:
        """Mixed and pretrained feature maps; see `Projector`."""
        return self.projector(images)

    def forward(
        self, mixed: list[Tensor], mask: Float[Tensor, "n 1 h w"], kind: Int[Tensor, " n"]
    ) -> Heads:
        """Logits of all heads.

        Args:
            mixed: Maps of the windows.
            mask: Zeros and ones.
            kind: Types that the masks mark.
        """
        marked = mask * F.one_hot(kind, self.types)[:, :, None, None].to(mask.dtype)
        pairs = zip(self.heads, mixed, strict=True)
        found = [logits_beside(head, x, marked, mask) for head, x in pairs]
        return [*found, logits_beside(self.whole, mixed[1], marked, None)]
