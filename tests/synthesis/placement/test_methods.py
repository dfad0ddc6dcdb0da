"""A placement method is a file and its line in two lists; one without a bundle makes items too."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import request_of, write_scene

from blemish.errors import BundleError, OptionError
from blemish.names import PLACEMENT_METHODS, MethodTraits
from blemish.synthesis.composite import Carried
from blemish.synthesis.dataset import Dataset
from blemish.synthesis.export.export import export
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.placement.methods import PLACEMENT
from blemish.synthesis.placement.task import PlacedDefect, PlacementMethod
from blemish.synthesis.request import Request
from blemish.synthesis.synthesize import Synthesizer, in_turn, synthesize


class Flat:
    """Paints the mask in one colour."""

    types = ("dent",)

    def __init__(self, *_: object) -> None:
        pass

    def record(self) -> dict[str, Any]:
        return {"colour": 7}

    def prepare(self, kind: str) -> None:
        pass

    def invert(self, request: Request, **_: object) -> None:
        return None

    def place(
        self, request: Request, seed: int, strength: np.ndarray, twin: None, **_: object
    ) -> PlacedDefect:
        picture = request.picture.copy()
        picture[request.requested] = 7
        changed = (picture != request.picture).any(axis=2)
        return PlacedDefect(
            carried=Carried(picture=picture, changed=changed), drawn=request.requested
        )


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> SynthesisOptions:
    """Options of a method that needs no bundle, under the name of another."""
    monkeypatch.setitem(PLACEMENT_METHODS, "optimize", MethodTraits(needs_bundle=False))
    monkeypatch.setitem(PLACEMENT, "optimize", Flat)
    return SynthesisOptions(method="optimize")


def test_a_method_without_a_bundle_makes_items(options: SynthesisOptions, tmp_path: Path) -> None:
    assert isinstance(Flat(), PlacementMethod)
    assert not options.needs_bundle
    worker = Synthesizer(None, options)
    request = request_of(*write_scene(tmp_path), "dent", worker.types)
    (row,) = synthesize(worker, in_turn([request]), Dataset(tmp_path / "made"), count=1, seed=3)
    assert (row["bundle"], row["outcome"]) == (None, "kept")
    assert {*row["files"]} == {"image", "mask", "twin", "requested"}
    assert (row["options"]["way"], row["options"]["colour"]) == ("optimize", 7)
    again = json.loads((tmp_path / "made" / "manifest.jsonl").read_text())
    assert again == row
    done = export(tmp_path / "made", tmp_path / "coco", "coco")
    assert (done.items.classes, done.by_name) == (("dent",), True)


@pytest.mark.parametrize("more", [{"reference": "distil"}, {"invert": "encode"}])
def test_it_takes_no_options_of_others(options: SynthesisOptions, more: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="the method optimize"):
        replace(options, **more)


def test_a_method_may_need_real_defects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLACEMENT_METHODS, "optimize", MethodTraits(needs_real=True))
    with pytest.raises(OptionError, match="the method optimize without real defects"):
        SynthesisOptions(method="optimize")
    given = SynthesisOptions(method="optimize", real=Path("real"))
    assert given.without_masks() == given, "it depends on them"


@pytest.mark.parametrize(
    "method", [name for name, k in PLACEMENT_METHODS.items() if k.needs_bundle]
)
def test_the_others_ask_for_a_bundle(method: Any) -> None:
    with pytest.raises(BundleError, match="without a bundle"):
        Synthesizer(None, SynthesisOptions(method=method))
