"""Registry of placement methods, one file each; every entry runs through the shared tests.

A new method is a file here and its line in `PLACEMENT`, and its name and traits in `blemish.names`.
"""

from collections.abc import Callable
from functools import partial

from blemish.checkpoint import Bundle
from blemish.errors import BundleError
from blemish.names import PLACEMENT_METHODS, PlacementName
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.placement.drawn import CodeSearch, SearchPlacement
from blemish.synthesis.placement.optimize import OptimizePlacement
from blemish.synthesis.placement.paste import PastePlacement
from blemish.synthesis.placement.task import PlacementMethod
from blemish.synthesis.placement.window import WindowPlacement
from blemish.windows.paint import NETWORK

# Factories of methods, from a bundle, options and a device.
Maker = Callable[[Bundle | None, SynthesisOptions, str], PlacementMethod]


def _drawn(
    name: PlacementName,
    placer: Callable[..., CodeSearch],
    bundle: Bundle | None,
    options: SynthesisOptions,
    device: str,
) -> SearchPlacement:
    if bundle is None:
        raise BundleError(
            got=f"the method {name} without a bundle",
            expected="a bundle that has learnt defects",
            todo="Choose one with --bundle.",
        )
    inverts = PLACEMENT_METHODS[name].inverts
    return SearchPlacement(placer, bundle, options, inverts=inverts, device=device)


PLACEMENT: dict[PlacementName, Maker] = {
    "optimize": partial(_drawn, "optimize", OptimizePlacement),
    "paste": PastePlacement,
    "window": WindowPlacement,
}


def usual_method(bundle: Bundle | None, options: SynthesisOptions) -> PlacementName:
    """The requested method, or else the fastest that the bundle and the options allow."""
    if options.method != "auto":
        return options.method
    if options.like is not None:
        return "window"
    if bundle is None or options.asks_search:
        return "optimize"
    return "window" if bundle.has(NETWORK) else "optimize"
