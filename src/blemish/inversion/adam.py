"""Adam (Kingma and Ba, 2015), for searches.

`torch.optim` imports PyTorch's compiler when it is first used, which takes longer than many a
search; trainings use it, where that time does not matter.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


class Adam:
    """Moments of the gradients of some parameters, and the steps that follow from them.

    Args:
        parameters: Leaves, changed in place.
        betas: Decay of the first and of the second moment.
        eps: Added to the root of the second moment.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self.parameters, self.betas, self.eps, self.steps = parameters, betas, eps, 0.0
        self.first = [torch.zeros_like(p, requires_grad=False) for p in parameters]
        self.second = [torch.zeros_like(p, requires_grad=False) for p in parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        """Move the parameters by their gradients at a learning rate."""
        self.steps += 1
        unbias_first, unbias_second = (1 - beta**self.steps for beta in self.betas)
        moments = zip(self.parameters, gradients, self.first, self.second, strict=True)
        for parameter, gradient, first, second in moments:
            first.lerp_(gradient, 1 - self.betas[0])
            second.mul_(self.betas[1]).addcmul_(gradient, gradient, value=1 - self.betas[1])
            root = (second.sqrt() / unbias_second**0.5).add_(self.eps)
            parameter.addcdiv_(first, root, value=-rate / unbias_first)
