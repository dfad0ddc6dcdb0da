"""A plan of a window training: what the folder holds, at which scale it is seen, what to expect."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from blemish.training.loop import step_rng
from blemish.training.windows.train import WindowStage
from blemish.windows.sources import Sources
from blemish.windows.views import usual_zoom, window_side

TRIAL_STEPS = 1
# What the sample sheet shows from so many kimg on, as seen on photographs of 512² and 256².
MILESTONES = (
    (0, "stains of wrong colours"),
    (4, "the colours of real defects, soft inside"),
    (10, "defects that sit in their surroundings; large ones still coarse"),
    (20, "fine structure and gloss; large defects sharp"),
)


@dataclass(frozen=True)
class TypePlan:
    """How the defects of one type are seen.

    Attributes:
        name: The type.
        photographs: Number of photographs.
        pieces: Number of connected defects.
        side: Median side of a defect's bounding box, in pixels.
        window: Side of the window that a defect of that side is shown in.
        zoom: Photograph pixels per window pixel there.
    """

    name: str
    photographs: int
    pieces: int
    side: int
    window: int
    zoom: float


def type_plans(sources: Sources) -> Iterator[TypePlan]:
    """The plan of each type of defects."""
    for kind, name in enumerate(sources.types[:-1]):
        pieces = sources.of_kind(kind)
        side = round(median(piece.side for piece in pieces))
        shortest = min(min(piece.mask.shape) for piece in pieces)
        yield TypePlan(
            name=name,
            photographs=len({id(piece.source) for piece in pieces}),
            pieces=len(pieces),
            side=side,
            window=window_side(side),
            zoom=usual_zoom(side, shortest),
        )


def images_per_second(stage: WindowStage) -> float:
    """Speed of a training on this machine, by a few steps of a stage that is then thrown away."""
    first, batch, start = stage.training.warm_steps, stage.training.schedule.batch, 0.0
    for index in range(TRIAL_STEPS + 1):
        stage.step(first + index, step_rng(0, index))
        start = start or perf_counter()  # after the first, which finds the parts' outlines
    return TRIAL_STEPS * batch / (perf_counter() - start)


def plan_lines(sources: Sources, speed: float, minutes: float) -> list[str]:
    """The plan in lines for a person."""
    sizes = {source.picture.shape[1::-1] for source in sources.good}
    size = " to ".join(f"{w} × {h}" for w, h in sorted({min(sizes), max(sizes)}))
    lines = [f"{len(sources.good)} photographs of good parts, {size} pixels"]
    lines += [
        f"{plan.name}: {plan.pieces} defects on {plan.photographs} photographs, about {plan.side} "
        f"pixels wide; drawn in windows of {plan.window}² at 1:{plan.zoom:.2g}"
        for plan in type_plans(sources)
    ]
    kimg = speed * minutes * 60 / 1000
    lines.append(f"{speed:.1f} images/s: about {kimg:.0f} kimg in {minutes:g} minutes")
    lines += [f"from {k} kimg the sample sheet shows {what}" for k, what in MILESTONES if k <= kimg]
    return lines
