from collections.abc import Callable
from dataclasses import asdict
from resource import RUSAGE_SELF, getrusage
from typing import Any

import pytest
from tiny import CONFIG, write_bundle

from blemish.checkpoint import Bundle
from blemish.data.augment import Symmetries
from blemish.errors import BundleError
from blemish.models.load import (
    load_critic,
    load_generator,
    load_matching_critic,
    shape_of,
    trained_symmetries,
)
from blemish.training.presets import preset_of


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return write_bundle(tmp_path_factory.mktemp("restore") / "bundle").config


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("restore") / "bundle")


def changed(bundle: Bundle, whole: dict[str, Any], **change: Any) -> Bundle:
    bundle.write_config({**whole, "generator": {**whole["generator"], **change}})
    return bundle


def branch(**change: Any) -> dict[str, Any]:
    return {**asdict(CONFIG)["defect"], **change}


FIELDS = [name for name in asdict(CONFIG) if name != "defect"]
BRANCH_FIELDS = list(branch())


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("wrong", ["16", True, [16], {}, -1, 10**9, 2**63], ids=repr)
def test_a_field_of_another_type_or_size_is_refused(
    bundle: Bundle, whole: dict[str, Any], field: str, wrong: object
) -> None:
    with pytest.raises(BundleError, match=r"config\.json"):
        shape_of(changed(bundle, whole, **{field: wrong}))


@pytest.mark.parametrize("field", BRANCH_FIELDS)
@pytest.mark.parametrize("wrong", ["x", 3, None, [3], {}], ids=repr)
def test_a_field_of_the_branch_of_another_type_is_refused(
    bundle: Bundle, whole: dict[str, Any], field: str, wrong: object
) -> None:
    with pytest.raises(BundleError, match=r"config\.json"):
        shape_of(changed(bundle, whole, defect=branch(**{field: wrong})))


@pytest.mark.parametrize("kind", ["../x", "/tmp/x", "", ".", "a/b", "a\nb", "x" * 300, "crack"])
def test_a_defect_type_that_would_leave_its_folder_is_refused(
    bundle: Bundle, whole: dict[str, Any], kind: str
) -> None:
    types = ["crack", kind]
    with pytest.raises(BundleError, match="type"):
        shape_of(changed(bundle, whole, defect=branch(types=types)))


@pytest.mark.parametrize("load", [load_generator, load_critic, load_matching_critic])
def test_a_configuration_larger_than_the_weights_is_refused_before_memory_is_taken(
    bundle: Bundle, whole: dict[str, Any], load: Callable[[Bundle], object]
) -> None:
    strange = changed(bundle, whole, channel_max=4096, channel_base=2**20, w_dim=4096)
    before = getrusage(RUSAGE_SELF).ru_maxrss
    with pytest.raises(BundleError, match=r"does not fit config\.json"):
        load(strange)
    assert getrusage(RUSAGE_SELF).ru_maxrss - before < 2**18  # KiB: a quarter of what it would be


@pytest.mark.parametrize("preset", [None, 3, [], {}, "unknown"])
def test_a_strange_preset_is_no_preset(
    bundle: Bundle, whole: dict[str, Any], preset: object
) -> None:
    bundle.write_config({**whole, "preset": preset})
    assert preset_of(bundle).shape.resolution == CONFIG.resolution


def test_symmetries_are_those_of_the_training(bundle: Bundle, whole: dict[str, Any]) -> None:
    wanted = Symmetries(flip=True, shift_by=0.1)
    training = {"generator": {"symmetries": asdict(wanted)}}
    bundle.write_config({**whole, "training": training})
    assert trained_symmetries(bundle, "generator", "symmetries") == wanted
    assert trained_symmetries(bundle, "defects", "placements") is None


@pytest.mark.parametrize("wrong", [None, 3, {"flip": 1}, {"shift_by": -1}, {"unknown": True}])
def test_what_are_no_symmetries_is_refused(
    bundle: Bundle, whole: dict[str, Any], wrong: object
) -> None:
    bundle.write_config({**whole, "training": {"generator": {"symmetries": wrong}}})
    with pytest.raises(BundleError, match="is invalid"):
        trained_symmetries(bundle, "generator", "symmetries")
