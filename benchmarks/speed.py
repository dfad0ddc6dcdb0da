"""Speed of the generator compared with the same weights on the slow reference operators.

    python -m benchmarks.speed [--quick] [--repeats N]

The slow path (`blemish.models.reference`) convolves with a weight of its own for each sample and
resamples through zeros between the pixels. Both paths take turns in one process, and the median of
their times counts. Memory is measured in a fresh process for each row and path, on Linux: by how
much two calls raise its highest resident memory (`VmHWM`, which `getrusage` would take over from
the parent).
"""

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
import tyro
from torch import Tensor, nn

from benchmarks._hardware import heading, highest_mib
from blemish.files import write_atomically
from blemish.models.critic import build_critic
from blemish.models.generator import DefectConfig, Drawing, Generator
from blemish.models.logits import LOGISTIC
from blemish.models.reference import slow_path
from blemish.models.residual import ResidualConfig
from blemish.training.presets import find_preset
from blemish.types import Codes

PRESETS = ("nut-64", "nut-128", "nut-256")
REPORT = Path(__file__).with_suffix(".md")
PATHS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "slow": slow_path,
    "fast": nullcontext,
}
HEADER = (
    "| preset | workload | batch | slow, s | fast, s | ratio | slow, MiB | fast, MiB |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
)


class Bench:
    """Generator with its defect branch, codes for it, and the workloads."""

    def __init__(self, preset: str, batch: int) -> None:
        torch.manual_seed(0)
        chosen = find_preset(preset)
        first = max(8, chosen.shape.resolution // 4)
        branch = DefectConfig(first_resolution=first, types=("crack", "print"))
        config = replace(chosen.shape, defect=branch)
        self.generator = Generator(config)
        self.critic = build_critic(ResidualConfig(), config, image_channels=4)
        z, z_defect = torch.randn(2, batch, config.z_dim).unbind()
        codes = self.generator.codes(z, z_defect, torch.zeros(batch, dtype=torch.long))
        assert codes.w_defect is not None
        self.w = codes.w.detach().clone().requires_grad_()
        self.w_defect = codes.w_defect.detach().clone().requires_grad_()
        self.target = torch.rand(batch, 4, config.resolution, config.resolution) * 2 - 1

    def forward(self) -> Tensor:
        """Image and mask, without gradients."""
        with torch.no_grad():
            return _stack(self._draw())

    def optimisation(self) -> Tensor:
        """Gradient with respect to the codes, with frozen weights."""
        self.generator.requires_grad_(False)
        loss = (_stack(self._draw()) - self.target).square().mean()
        return torch.cat([t.flatten() for t in torch.autograd.grad(loss, [self.w, self.w_defect])])

    def training(self) -> Tensor:
        """Gradients of the critic's weights, then those of the generator's."""
        self.generator.requires_grad_(True)
        fake = _stack(self._draw())
        heads = self.critic.judge(self.target), self.critic.judge(fake.detach())
        judged = _gradients(LOGISTIC.of_critic(*heads).mean(), self.critic)
        drawn = _gradients(LOGISTIC.of_generator(self.critic.judge(fake)).mean(), self.generator)
        return torch.cat([judged, drawn])

    def _draw(self) -> Drawing:
        return self.generator.draw(Codes(w=self.w, w_defect=self.w_defect))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is measured together."""

    preset: str
    workload: str
    batch: int

    def seconds(self, repeats: int) -> dict[str, float]:
        """The median time on either path, which take turns after one call each."""
        work = getattr(Bench(self.preset, self.batch), self.workload)
        results = {name: _timed(work, path)[1] for name, path in PATHS.items()}
        far = (results["slow"] - results["fast"]).norm() / results["slow"].norm()
        # A mask's logit beside zero may fall on either side of it, which shows in the gate.
        assert far < 1e-2, f"the paths disagree by {far:.1e}"
        turns = [{k: _timed(work, path)[0] for k, path in PATHS.items()} for _ in range(repeats)]
        return {name: median(turn[name] for turn in turns) for name in PATHS}

    def peak_mib(self, path: str) -> float:
        """Memory that the workload takes on that path, in a process of its own."""
        code = f"from benchmarks.speed import Row; {self!r}.report_peak({path!r})"
        command = [sys.executable, "-c", code]
        return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    def report_peak(self, path: str) -> None:
        work = getattr(Bench(self.preset, self.batch), self.workload)
        Path("/proc/self/clear_refs").write_text("5")  # the highest so far is what it is now
        before = highest_mib()
        for _ in range(2):
            _timed(work, PATHS[path])
        print(highest_mib() - before)


ROWS = [
    Row(preset=preset, workload=workload, batch=batch)
    for preset in PRESETS
    for workload, batch in [
        ("forward", 1),
        ("forward", 8),
        ("optimisation", 1),
        ("optimisation", 8),
        ("training", 4),
    ]
]


def main(quick: bool = False, repeats: int = 5) -> None:
    """Measure, print a table, and write it to benchmarks/speed.md.

    Args:
        quick: Smallest preset, one turn, and no file: to test the benchmark.
        repeats: Number of turns of either path.
    """
    rows = [row for row in ROWS if not quick or row.preset == PRESETS[0]]
    lines: list[str] = [*HEADER]
    print(*lines, sep="\n", flush=True)
    for row in rows:
        lines.append(_line(row, 1 if quick else repeats))
        print(lines[-1], flush=True)
    if not quick:
        write_atomically(REPORT, _report(lines, repeats).encode())


def _line(row: Row, repeats: int) -> str:
    seconds = row.seconds(repeats)
    peaks = {path: row.peak_mib(path) for path in PATHS}
    ratio = seconds["slow"] / seconds["fast"]
    cells = [row.preset, row.workload, row.batch]
    cells += [f"{seconds['slow']:.3f}", f"{seconds['fast']:.3f}", f"{ratio:.1f}"]
    cells += [f"{peaks['slow']:.0f}", f"{peaks['fast']:.0f}"]
    return f"| {' | '.join(map(str, cells))} |"


def _report(lines: list[str], repeats: int) -> str:
    how = " ".join((__doc__ or "").split("\n\n")[2].split())
    what = (
        f"In float32, medians of {repeats} turns. Forward draws image and mask; optimisation takes "
        "the gradient with respect to the codes, weights frozen; training those of the "
        "critic's weights, then of the generator's. Shapes are those of the presets, with the "
        "defect branch."
    )
    head = heading("Speed of the generator", f"python -m benchmarks.speed --repeats {repeats}")
    return "\n".join([head, how, "", what, "", *lines, ""])


def _timed(
    work: Callable[[], Tensor], path: Callable[[], AbstractContextManager[None]]
) -> tuple[float, Tensor]:
    with path():
        start = perf_counter()
        result = work()
        return perf_counter() - start, result


def _stack(drawing: Drawing) -> Tensor:
    assert drawing.mask_logits is not None
    return torch.cat([drawing.image, drawing.mask_logits.tanh()], dim=1)


def _gradients(loss: Tensor, module: nn.Module) -> Tensor:
    gradients = torch.autograd.grad(loss, list(module.parameters()), allow_unused=True)
    return torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])


if __name__ == "__main__":
    tyro.cli(main)
