"""Choice of a snapshot of a window training, by how real its close-ups look.

The last snapshot is seldom the best. Each is judged by the kernel distance of its defects to real
ones, in close-ups at the photograph's own scale and by a network that nothing is trained against;
the mean over the types decides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from blemish.checkpoint import Bundle, load_tensors
from blemish.evaluation.synthesis.closeups import close_ups
from blemish.evaluation.synthesis.realism import RealCloseUps, Realism
from blemish.features import FeatureNetwork, load_features
from blemish.windows.paint import NETWORK, WindowModel, load_windows
from blemish.windows.sample import sample
from blemish.windows.sources import Sources

COUNT = 48  # defects of each type that a snapshot is judged by
LAST = 4  # snapshots of a training that are compared
FOLDER = Path("training") / "windows"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRealism:
    """Figures of a snapshot.

    Attributes:
        file: Its weights.
        types: Figures by type.
    """

    file: Path
    types: Mapping[str, Realism]

    @property
    def distance(self) -> float:
        """Mean kernel distance over the types; lower is nearer."""
        return mean(figures.kernel_distance for figures in self.types.values())


def real_close_ups(network: FeatureNetwork, sources: Sources) -> dict[str, RealCloseUps]:
    """Close-ups of the real defects by type."""
    found = {}
    for kind, name in enumerate(sources.types[:-1]):
        photographs = {id(p.source): p.source for p in sources.of_kind(kind)}.values()
        pairs = [(source.picture, source.mask) for source in photographs]
        found[name] = RealCloseUps.of(network, close_ups(pairs))
    return found


def judge_model(
    network: FeatureNetwork,
    model: WindowModel,
    sources: Sources,
    real: Mapping[str, RealCloseUps],
    *,
    count: int = COUNT,
) -> dict[str, Realism]:
    """Figures of a window generator by type; types with too few close-ups are left out.

    Args:
        network: SqueezeNet.
        model: The generator.
        sources: Good photographs, and the real defects whose masks are used.
        real: Close-ups to compare with.
        count: Defects of each type.
    """
    found = {}
    for kind, known in real.items():
        figures = known.compare(network, close_ups(sample(model, sources, kind, count)))
        if figures is not None:
            found[kind] = figures
    return found


def judge_window_snapshots(
    bundle: Bundle,
    network: FeatureNetwork,
    sources: Sources,
    *,
    count: int = COUNT,
    on_progress: Callable[[str], None] = lambda _: None,
) -> list[SnapshotRealism]:
    """Figures of the last snapshots of a bundle's window training, oldest first.

    Args:
        bundle: With its training folder.
        network: SqueezeNet.
        sources: What the training learned from.
        count: Defects of each type.
        on_progress: Called with the name of the snapshot that is being judged.
    """
    real, model = real_close_ups(network, sources), load_windows(bundle)
    found = []
    for file in sorted((bundle.path / FOLDER).glob(f"{NETWORK}-*.safetensors"))[-LAST:]:
        on_progress(file.stem)
        model.generator.load_state_dict(load_tensors(file)[0])
        types = judge_model(network, model, sources, real, count=count)
        if types:
            found.append(SnapshotRealism(file=file, types=types))
    return found


def choose_snapshot(
    bundle: Bundle, sources: Sources, *, on_progress: Callable[[str], None] = lambda _: None
) -> SnapshotRealism | None:
    """Keep the last snapshots' most real one in the bundle; None if none can be judged.

    Args:
        bundle: The trained bundle.
        sources: Its good photographs and real defects.
        on_progress: Callback with the name of the snapshot that is judged.

    Raises:
        BundleError: SqueezeNet's weights, which judge, are not found.
    """
    judge = load_features("squeezenet")
    judged = judge_window_snapshots(bundle, judge, sources, on_progress=on_progress)
    return keep_most_real(bundle, judged) if judged else None


def keep_most_real(bundle: Bundle, judged: list[SnapshotRealism]) -> SnapshotRealism:
    """Put the snapshot with the lowest distance into the bundle; returns it."""
    best = min(judged, key=lambda snapshot: snapshot.distance)
    bundle.write(NETWORK, load_tensors(best.file)[0])
    nimg = 1000 * int(best.file.stem.removeprefix(f"{NETWORK}-"))
    bundle.write_config({**bundle.config, "kept_windows_nimg": nimg})
    return best
