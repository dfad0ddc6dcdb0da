"""One pass, then a few steps that refine its codes for photograph, mask and reference."""

from dataclasses import replace

from blemish.checkpoint import Bundle
from blemish.inversion.model import Model
from blemish.inversion.search import Step
from blemish.synthesis.defect import Placed, polish_defects
from blemish.synthesis.drawers import BranchDrawer
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.ways.job import Job
from blemish.synthesis.ways.onepass import OnePass
from blemish.types import Codes


class Hybrid:
    """Method of the module's docstring.

    Raises:
        BundleError: The bundle lacks its mapper or its encoder.
    """

    def __init__(self, bundle: Bundle, model: Model, options: SynthesisOptions) -> None:
        self.first = OnePass(bundle, model, options)
        self.generator = model.generator
        self.search = replace(options, defect_steps=options.polish)

    def place(self, job: Job, twin: Codes | None, *, tell: Step | None = None) -> Placed:
        """Same as in `drawn.Placer`."""
        return polish_defects(
            BranchDrawer(self.generator),
            self.first.codes(job),
            job.photograph,
            job.mask,
            job.kind,
            self.search,
            reference=job.reference,
            tell=tell,
        )
