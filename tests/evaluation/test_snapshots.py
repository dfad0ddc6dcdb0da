"""Which snapshot is kept, and how it becomes the bundle's generator."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import write_bundle

from blemish.checkpoint import Bundle, save_tensors
from blemish.errors import BundleError, OptionError
from blemish.evaluation.snapshots import Verdict, best, judge_generator_snapshots, keep
from blemish.models.generator import Generator
from blemish.training.presets import PRESETS

SHAPE = replace(PRESETS["tiny-16"].shape, defect=None)


def verdict(kimg: int, distance: float, memorised: float) -> Verdict:
    return Verdict(kimg=kimg, kernel_distance=distance, memorised=memorised)


def write_snapshot(bundle: Bundle, kimg: int, seed: int) -> Generator:
    torch.manual_seed(seed)
    generator = Generator(SHAPE)
    folder = bundle.path / "training" / "generator"
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / f"generator-{kimg:06d}.safetensors", generator.state_dict(), half=True)
    return generator


def test_the_nearest_of_those_that_copy_little_is_best() -> None:
    found = [verdict(2, 0.5, 0.0), verdict(4, 0.3, 0.05), verdict(6, 0.1, 0.4)]
    assert best(found).kimg == 4
    assert best([verdict(2, 0.5, 0.3), verdict(4, 0.9, 0.2)]).kimg == 4


def test_every_snapshot_is_judged(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", SHAPE)
    for kimg in (2, 4):
        write_snapshot(bundle, kimg, kimg)
    real = torch.rand(8, 3, 16, 16) * 2 - 1
    folder = bundle.path / "training" / "generator"
    found = judge_generator_snapshots(folder, SHAPE, real, lambda x: x.flatten(1)[:, ::16], n=12)
    assert [v.kimg for v in found] == [2, 4]
    assert all(0 <= v.memorised <= 1 for v in found)


def test_a_snapshot_that_is_kept_draws_what_the_bundle_draws(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", SHAPE)
    kept = write_snapshot(bundle, 2, 1)
    write_snapshot(bundle, 4, 2)
    before = bundle.digest
    keep(bundle, 2)
    assert bundle.config["kept_nimg"] == 2000 and bundle.digest != before
    found = bundle.tensors("generator")
    for name, tensor in kept.state_dict().items():
        torch.testing.assert_close(found[name], tensor, atol=2e-3, rtol=2e-3)


def test_a_generator_that_an_encoder_has_learnt_on_stays(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", SHAPE, encoder=True)
    with pytest.raises(OptionError, match="encoder was trained"):
        keep(bundle, 2)


def test_a_snapshot_that_is_not_there_is_reported(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", SHAPE)
    before = bundle.digest
    with pytest.raises(BundleError):
        keep(bundle, 8)
    assert bundle.digest == before
