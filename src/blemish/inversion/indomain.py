r"""In-domain inversion (Zhu et al., 2020, §3.2): optimisation that the encoder keeps in domain.

It starts at w = E(x) and minimises, with G the generator and σ² the mean variance of an element of
w,

    \lambda_p \lVert G(w) - x \rVert^2 + \lambda_f d_F(G(w), x)
        + \lambda_d \lVert w - E(G(w)) \rVert^2 / \sigma^2 + \lambda_m \max(0, m(w)^2 - 1).

An encoder that knows the generator's codes predicts the code again from its image if the code is in
domain, and fails if it is not. An encoder trained on a few dozen photographs does not know
everything outside, so the last term (ours, after Wulff and Torralba, 2020) keeps the Mahalanobis
distance m of the codes at that of fresh ones, if the bundle knows them. A defect has the same terms
for its code and mask: ‖w_d - E_d(G)‖² in its own variance, and the cross-entropy of the mask and
the mask that E predicts from G. The prediction is for the *generated* image, not for the
photograph: the label must match what is visible, and if the encoder errs on the photograph the
likeness may still correct it. No gradients flow through E's mask prediction, to avoid that the
image is distorted to satisfy it.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from blemish.inversion.descent import Found, StepOutput, Watch, descend
from blemish.inversion.domain import cycle_distance
from blemish.inversion.encode import predict_codes, the_encoder
from blemish.inversion.model import Model
from blemish.inversion.reconstruction import ReconstructionLoss
from blemish.inversion.search import Search, Terms
from blemish.inversion.space import start_point, w_defect_statistics, w_statistics
from blemish.limits import refuse_weights
from blemish.models.encoder import Encoding
from blemish.names import Space


@dataclass(frozen=True, slots=True, kw_only=True)
class InDomain:
    """Options of in-domain inversion.

    Attributes:
        space: Search space.
        search: Steps and rates; the paper's rate is 0.01.
        pixel_weight: Weight of the squared error.
        feature_weight: Weight of the distance in the critic's features.
        domain_weight: Weight of the distance to the encoder's prediction for the generated image.
            The paper's 2 belongs to a pixel weight of 1 and an encoder of seventy thousand
            photographs.
        prior_weight: Weight of the excess of the squared Mahalanobis distance over that of fresh
            codes; 0 gives the paper's loss.
        mask_weight: Weight of the mask's difference from the encoder's prediction.
    """

    space: Space = "w+"
    search: Search = field(
        default_factory=lambda: Search(steps=100, learning_rate=0.05, patience=20, tolerance=0.002)
    )
    pixel_weight: float = 10
    feature_weight: float = 1
    domain_weight: float = 0.3
    prior_weight: float = 0.05
    mask_weight: float = 0.05

    def __post_init__(self) -> None:
        refuse_weights(
            pixel_weight=self.pixel_weight,
            feature_weight=self.feature_weight,
            domain_weight=self.domain_weight,
            prior_weight=self.prior_weight,
            mask_weight=self.mask_weight,
        )

    def weights(self) -> dict[str, float]:
        """Weight of each term of the loss."""
        return {
            "pixels": self.pixel_weight,
            "features": self.feature_weight,
            "cycle": self.domain_weight,
            "cycle_defect": self.domain_weight,
            "cycle_mask": self.mask_weight,
            "prior": self.prior_weight,
        }

    def find(
        self,
        model: Model,
        target: Float[Tensor, "n 3 h w"],
        *,
        rngs: list[torch.Generator],
        where: Float[Tensor, "n 1 h w"] | None = None,
        defect: bool = False,
        watch: Watch | None = None,
    ) -> Found:
        """See `methods.InversionMethod`."""
        encoding, likeness = (
            predict_codes(model, target, where),
            ReconstructionLoss.to(model.critic, target, where),
        )
        return self.near(model, encoding, likeness, rngs=rngs, defect=defect, watch=watch)

    def near(
        self,
        model: Model,
        encoding: Encoding,
        likeness: ReconstructionLoss,
        *,
        rngs: list[torch.Generator],
        defect: bool = False,
        watch: Watch | None = None,
    ) -> Found:
        """Search from an encoder's prediction.

        Args:
            model: See `methods.InversionMethod.find`.
            encoding: Start of the search.
            likeness: Likeness to the photographs.
            rngs: See `methods.InversionMethod.find`.
            defect: See `methods.InversionMethod.find`.
            watch: See `methods.InversionMethod.find`.
        """
        point = start_point(model.generator, self.space, "encoder", encoding, rngs, defect=defect)
        bonds = _Bonds(model, defect=defect)
        return descend(
            model.generator,
            point,
            likeness,
            self.weights(),
            self.search,
            beside=bonds.terms,
            watch=watch,
        )


class _Bonds:
    """Terms that keep codes in domain: the encoder's prediction, and fresh codes."""

    def __init__(self, model: Model, *, defect: bool) -> None:
        self.encoder, self.domain = the_encoder(model), model.domain
        self.unit = w_statistics(model.generator).unit
        self.unit_defect = w_defect_statistics(model.generator).unit if defect else 1.0

    def terms(self, drawn: StepOutput) -> Terms:
        codes, again = drawn.codes, self.encoder(drawn.image.clamp(-1, 1))
        found = {"cycle": cycle_distance(codes.w, again.w, self.unit)}
        if self.domain is not None:
            found["prior"] = (self.domain.mahalanobis(codes.w).square() - 1).clamp(min=0)
        if codes.w_defect is not None and again.w_defect is not None:
            found["cycle_defect"] = cycle_distance(codes.w_defect, again.w_defect, self.unit_defect)
        if drawn.mask_logits is not None and again.mask_logits is not None:
            found["cycle_mask"] = _doubt(drawn.mask_logits, again.mask_logits)
        return found


def _doubt(logits: Float[Tensor, "n 1 h w"], seen: Float[Tensor, "n 1 h w"]) -> Float[Tensor, " n"]:
    """Cross-entropy of a mask and the predicted one, in nats per pixel."""
    verdict = seen.detach().sigmoid()
    far = F.binary_cross_entropy_with_logits(logits, verdict, reduction="none")
    return far.mean(dim=(1, 2, 3))
