"""Search: the part is inverted, then the defect's code is searched for."""

import torch

from blemish.checkpoint import Bundle
from blemish.inversion.model import Model
from blemish.inversion.search import Step
from blemish.synthesis.defect import Placed, place_defects
from blemish.synthesis.options import SearchOptions
from blemish.synthesis.ways.job import Job
from blemish.types import Codes


class Optimize:
    """Method of the module's docstring; see `defect` for the steps."""

    def __init__(self, bundle: Bundle, model: Model, options: SearchOptions) -> None:
        self.generator, self.search = model.generator, options

    def place(self, job: Job, twin: Codes | None, *, tell: Step | None = None) -> Placed:
        """Same as in `drawn.Placer`."""
        assert twin is not None
        return place_defects(
            self.generator,
            twin,
            job.photograph,
            job.mask,
            job.kind,
            self.search,
            rngs=[torch.Generator().manual_seed(job.seed)],
            reference=job.reference,
            tell=tell,
        )
