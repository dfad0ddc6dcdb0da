"""Time of inversion, and its parts.

    python -m benchmarks.inversion [--quick] [--repeats N]

One photograph at a time, by the shapes of the presets with random weights, which cost what trained
ones do. A step of in-domain inversion draws (G), encodes the drawing (E) and takes the critic's
features of it (F), each forward and backward; their shares are those of the three timed apart, by
turns in one process. What is left over is the loss, Adam and the early stopping; it falls
below zero where the three are slower apart than inside a step.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
import tyro
from torch import Tensor

from benchmarks._hardware import heading
from blemish.files import write_atomically
from blemish.inversion.encode import Encode
from blemish.inversion.indomain import InDomain
from blemish.inversion.model import Model
from blemish.inversion.search import Search
from blemish.models.critic import build_critic
from blemish.models.encoder import Encoder
from blemish.models.generator import Generator
from blemish.training.presets import find_preset
from blemish.types import Codes

PRESETS = ("nut-64", "nut-128")
STEPS = 100
REPORT = Path(__file__).with_suffix(".md")
HEADER = (
    "| preset | encode, ms | 100 in-domain steps, s | G | E | features | rest |",
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
)


class Bench:
    """Networks of a preset's shape, and a photograph for them."""

    def __init__(self, preset: str) -> None:
        torch.manual_seed(0)
        chosen = find_preset(preset)
        config = chosen.shape
        self.model = Model(
            generator=Generator(config).eval().requires_grad_(False),
            critic=build_critic(chosen.training.critic, config).eval().requires_grad_(False),
            encoder=Encoder(config).eval().requires_grad_(False),
        )
        self.target = torch.rand(1, 3, config.resolution, config.resolution) * 2 - 1
        self.w = torch.randn(1, config.layers, config.w_dim).requires_grad_()
        self.image = self.target.clone().requires_grad_()

    def encode(self) -> None:
        """Codes and what they draw, as `blemish invert --method encode` finds them."""
        Encode().find(self.model, self.target, rngs=[torch.Generator()])

    def in_domain(self) -> None:
        """All steps, none spared by a plateau."""
        how = InDomain(search=Search(steps=STEPS, learning_rate=0.01))
        how.find(self.model, self.target, rngs=[torch.Generator()])

    def draw(self) -> None:
        """G, forward and backward to the codes."""
        _back(self.model.generator.draw(Codes(w=self.w)).image, self.w)

    def read(self) -> None:
        """E, forward and backward to the picture."""
        assert self.model.encoder is not None
        _back(self.model.encoder(self.image).w, self.image)

    def look(self) -> None:
        """Critic's features, forward and backward to the image."""
        maps = self.model.critic.features(self.image)
        _back(torch.cat([one.flatten() for one in maps]), self.image)


def main(quick: bool = False, repeats: int = 5, threads: int | None = None) -> None:
    """Measure, print a table, and write it to benchmarks/inversion.md.

    Args:
        quick: Smallest preset, one turn, and no file: to test the benchmark.
        repeats: Number of turns; medians are reported.
        threads: Number of PyTorch's threads; by default its own choice.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    lines: list[str] = [*HEADER]
    print(*lines, sep="\n", flush=True)
    for preset in PRESETS[: 1 if quick else None]:
        lines.append(_line(preset, 1 if quick else repeats))
        print(lines[-1], flush=True)
    if not quick:
        command = f"python -m benchmarks.inversion --repeats {repeats}"
        text = " ".join((__doc__ or "").split("\n\n")[2].split())
        head = heading("Speed of inversion", command)
        write_atomically(REPORT, "\n".join([head, text, "", *lines, ""]).encode())


def _line(preset: str, repeats: int) -> str:
    bench = Bench(preset)
    encode, whole = _seconds(bench.encode, 4 * repeats), _seconds(bench.in_domain, repeats)
    parts = [_seconds(part, 8 * repeats) for part in (bench.draw, bench.read, bench.look)]
    shares = [STEPS * part / whole for part in parts]
    cells = [preset, f"{1000 * encode:.0f}", f"{whole:.1f}"]
    cells += [f"{share:.0%}" for share in (*shares, 1 - sum(shares))]
    return f"| {' | '.join(cells)} |"


def _seconds(work: Callable[[], None], repeats: int) -> float:
    """Median of several calls, after one that warms up."""
    work()
    times = []
    for _ in range(repeats):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return median(times)


def _back(output: Tensor, leaf: Tensor) -> None:
    torch.autograd.grad(output.square().sum(), leaf)


if __name__ == "__main__":
    tyro.cli(main)
