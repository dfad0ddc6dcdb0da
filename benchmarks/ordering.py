"""The ordering of idinvert's table, in kind: `python -m benchmarks.ordering BUNDLE ORDINARY DATA`.

Photographs of DATA's test/good, which neither the generator nor an encoder has seen, by an encoder
without the critic's and the photographs' guidance (that of ORDINARY, a copy of BUNDLE trained with
`--recipe ordinary`), by BUNDLE's own, by plain optimisation and by in-domain inversion. Both
searches take the same number of steps. Adds a table for this bundle to benchmarks/ordering.md.
"""

import json
from pathlib import Path
from typing import Any

import torch
import tyro

from benchmarks._hardware import heading
from blemish.checkpoint import find_bundle
from blemish.evaluation.inversion.evaluate import evaluate_inversion
from blemish.evaluation.inversion.survey import SurveyOptions, prepare_survey
from blemish.files import write_atomically
from blemish.inversion.encode import Encode
from blemish.inversion.indomain import InDomain
from blemish.inversion.methods import InversionMethod
from blemish.inversion.model import load_model
from blemish.inversion.optimize import Optimize
from blemish.inversion.search import Search

REPORT = Path(__file__).with_suffix(".md")
ROWS = REPORT.with_suffix(".json")
HEADER = (
    "| photographs | codes by | MSE | × plain | PSNR, dB | MS-SSIM | SWD | features | cycle "
    "| Mahalanobis | in-domain percentile, median (highest) |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
)
ORDINARY, PLAIN = "ordinary encoder, w+", "plain optimisation, w+"


def main(
    bundle: str, ordinary: str, data: Path, /, name: str, steps: int = 200, threads: int = 1
) -> None:
    """Measure, and write the table with those of other bundles that were measured before.

    Args:
        bundle: Bundle with an encoder; none of its networks has seen test/good.
        ordinary: Bundle of the same generator with an ordinary encoder.
        data: Photographs in the layout of MVTec AD.
        name: Name of these photographs in the table.
        steps: Steps of each search.
        threads: Number of PyTorch's threads.
    """
    torch.set_num_threads(threads)
    ours: dict[str, InversionMethod] = {
        PLAIN: Optimize(search=Search(steps=steps, learning_rate=0.05)),
        "plain optimisation, w": Optimize(
            space="w", search=Search(steps=steps, learning_rate=0.05)
        ),
        "our encoder, w+": Encode(),
        "in-domain, w+": InDomain(search=Search(steps=steps, learning_rate=0.05)),
        "in-domain without the prior, w+": InDomain(
            prior_weight=0, search=Search(steps=steps, learning_rate=0.05)
        ),
        "in-domain, w": InDomain(space="w", search=Search(steps=steps, learning_rate=0.05)),
    }
    found = _measure(ordinary, data, {ORDINARY: Encode()}) | _measure(bundle, data, ours)
    known = json.loads(ROWS.read_text()) if ROWS.exists() else {}
    known[name] = found
    write_atomically(ROWS, (json.dumps(known, indent=1) + "\n").encode())
    lines = [*HEADER, *(line for item in known.items() for line in _lines(*item))]
    print(*lines, sep="\n")
    about = " ".join((__doc__ or "").split("\n\n")[1].split())
    units = (
        "MSE on [-1, 1]; SWD of standardised patches, mean over scales; features are the critic's; "
        "cycle in units of w's variance; Mahalanobis about 1 for fresh codes. The percentile is "
        "the calibrated one (`blemish.inversion.domain`): one fresh code in a hundred is above 99."
    )
    command = f"python -m benchmarks.ordering BUNDLE ORDINARY DATA --name NAME --steps {steps}"
    head = heading("The ordering of the methods", command)
    write_atomically(REPORT, "\n".join([head, about, "", units, "", *lines, ""]).encode())


def _measure(name: str, data: Path, methods: dict[str, InversionMethod]) -> dict[str, Any]:
    bundle = find_bundle(name)
    model = load_model(bundle)
    survey = prepare_survey(bundle, model, SurveyOptions(images=data, samples=0))
    good = [group for group in survey.groups if group.group == "good"]
    rows = evaluate_inversion(model, [*methods.values()], good, survey.networks).rows
    return {label: row["groups"]["good"] for label, row in zip(methods, rows, strict=True)}


def _lines(name: str, found: dict[str, Any]) -> list[str]:
    plain = found[PLAIN]["meaning"]["mse"]
    return [_line(name, label, figures, plain) for label, figures in found.items()]


def _line(name: str, label: str, figures: dict[str, Any], plain: float) -> str:
    meaning, domain = figures["meaning"], figures["in_domain"]
    highest = max(item["percentile"] for item in figures["items"])
    cells = [f"{name} ({figures['n']})", label, f"{meaning['mse']:.5f}"]
    cells += [f"{meaning['mse'] / plain:.2f}", f"{meaning['psnr_db']:.1f}"]
    cells += [f"{meaning['ms_ssim']:.3f}", f"{meaning['sliced_wasserstein']:.3f}"]
    cells += [f"{meaning['perceptual_critic']:.3f}", f"{domain['cycle']:.3f}"]
    cells += [f"{domain['mahalanobis']:.2f}", f"{domain['percentile']:.1f} ({highest:.1f})"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    tyro.cli(main)
