"""One pass: the mapper predicts the codes and the generator draws them, without a search."""

import torch

from blemish.checkpoint import Bundle
from blemish.inversion.encoder import load_encoder
from blemish.inversion.model import Model
from blemish.inversion.search import Step
from blemish.inversion.space import draws
from blemish.synthesis.defect import Placed, polish_defects
from blemish.synthesis.drawers import BranchDrawer
from blemish.synthesis.mapping.mapper import codes_for, load_mapper, see
from blemish.synthesis.options import SearchOptions
from blemish.synthesis.ways.job import Job
from blemish.types import Codes


class OnePass:
    """Method of the module's docstring.

    Raises:
        BundleError: The bundle lacks its mapper or its encoder.
    """

    def __init__(self, bundle: Bundle, model: Model, options: SearchOptions) -> None:
        self.generator, self.mapper = model.generator, load_mapper(bundle, model.device)
        self.encoder = model.encoder or load_encoder(bundle, model.device)
        self.still = SearchOptions(mask_control=options.mask_control, defect_steps=0)

    def place(self, job: Job, twin: Codes | None, *, tell: Step | None = None) -> Placed:
        """Same as in `drawn.Placer`."""
        photograph, mask, kind = job.photograph, job.mask, job.kind
        drawer = BranchDrawer(self.generator)
        return polish_defects(drawer, self.codes(job), photograph, mask, kind, self.still)

    @torch.no_grad()
    def codes(self, job: Job) -> Codes:
        """Codes of the part and the defect."""
        rng = torch.Generator().manual_seed(job.seed)
        z = draws((self.generator.config.z_dim,), [rng]).to(job.mask.device)
        kind = torch.tensor([job.kind], device=job.mask.device)
        seen = see(self.encoder, job.photograph)
        return codes_for(self.generator, self.mapper, seen, job.mask, kind, z)
