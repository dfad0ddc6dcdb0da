"""Close-ups of synthetic defects beside those of copy-paste and of the real ones themselves."""

from pathlib import Path

from blemish.evaluation.synthesis.baselines import BASELINES
from blemish.evaluation.synthesis.closeups import CloseUps, close_ups
from blemish.evaluation.synthesis.items import LabelledDefect
from blemish.evaluation.synthesis.realism import RealCloseUps, Realism
from blemish.features import FeatureNetwork

SYNTHETIC, HALVES = "synthetic", "halves of the real ones"


def close_up_rows(
    network: FeatureNetwork,
    synthetic: CloseUps,
    real: CloseUps,
    folder: Path,
    defects: list[LabelledDefect],
) -> dict[str, dict[str, float | None] | None]:
    """Figures of synthetic close-ups, and of what they must be compared with.

    Args:
        network: SqueezeNet, which nothing is trained against.
        synthetic: Synthetic close-ups.
        real: Real ones.
        folder: Folder with photographs of good parts, onto which copy-paste pastes.
        defects: The real defects that it pastes.

    Returns:
        Figures by row, see `realism.Realism`; None where there are too few close-ups.
    """
    known = RealCloseUps.of(network, real)
    rows: dict[str, Realism | None] = {SYNTHETIC: known.compare(network, synthetic)}
    for name, baseline in BASELINES.items():
        rows[name] = known.compare(network, close_ups(baseline(folder, defects, 1)))
    rows[HALVES] = known.halves()
    return {name: None if row is None else row.row() for name, row in rows.items()}
