r"""Logits of a critic's heads, and the losses made from them.

A head gives one logit per picture or one per place. Its places are averaged with weights $w$ that
sum to one, its heads evenly. With $l$ the logits, the logistic game (Goodfellow et al., 2014) is

    L_D = \sum w [\log(1 + e^{-l_{real}}) + \log(1 + e^{l_{fake}})],
    L_G = \sum w \log(1 + e^{-l_{fake}}),

and the hinge game (Lim & Ye, 2017)

    L_D = \sum w [\max(0, 1 - l_{real}) + \max(0, 1 + l_{fake})],   L_G = -\sum w l_{fake}.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True)
class WeightedLogits:
    """Logits of one head, and the weight of each place; weights of an item sum to one."""

    logits: Float[Tensor, "n 1 p q"]
    weights: Float[Tensor, "n 1 p q"]

    @classmethod
    def even(cls, logits: Float[Tensor, "n 1 p q"]) -> "WeightedLogits":
        """All places count alike."""
        p, q = logits.shape[2:]
        return cls(logits, torch.full_like(logits, 1 / (p * q)))

    @classmethod
    def single(cls, logits: Float[Tensor, " n"]) -> "WeightedLogits":
        """One logit per picture."""
        return cls.even(logits[:, None, None, None])

    def mean(self, values: Float[Tensor, "n 1 p q"]) -> Float[Tensor, " n"]:
        """The weighted mean of a function of the logits, for each item."""
        return (values * self.weights).sum(dim=(1, 2, 3))


Heads = list[WeightedLogits]
Function = Callable[[Tensor], Tensor]


def over_heads(heads: Heads, function: Function) -> Float[Tensor, " n"]:
    """The mean of a function of the logits, over places and heads."""
    return torch.stack([head.mean(function(head.logits)) for head in heads]).mean(dim=0)


def mean_logit(heads: Heads) -> Float[Tensor, " n"]:
    """One logit per picture."""
    return over_heads(heads, lambda logits: logits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """The losses of both sides, as functions of a logit.

    Attributes:
        real: What a real picture costs the critic.
        fake: What a generated picture costs the critic.
        generator: What a generated picture costs the generator.
    """

    real: Function
    fake: Function
    generator: Function

    def of_critic(self, real: Heads, fake: Heads) -> Float[Tensor, " n"]:
        """The critic's loss, averaged over heads."""
        pairs = [
            r.mean(self.real(r.logits)) + f.mean(self.fake(f.logits))
            for r, f in zip(real, fake, strict=True)
        ]
        return torch.stack(pairs).mean(dim=0)

    def of_generator(self, fake: Heads) -> Float[Tensor, " n"]:
        """The generator's loss, averaged over heads."""
        return over_heads(fake, self.generator)


LOGISTIC = Losses(
    real=lambda logits: F.softplus(-logits),
    fake=F.softplus,
    generator=lambda logits: F.softplus(-logits),
)
HINGE = Losses(
    real=lambda logits: F.relu(1 - logits),
    fake=lambda logits: F.relu(1 + logits),
    generator=lambda logits: -logits,
)
