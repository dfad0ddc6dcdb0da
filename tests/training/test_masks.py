"""Masks from codes: batches, the network, its training, and the search for a mask's code."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from tiny import TYPES, add_masks, write_parts

from blemish.checkpoint import Bundle
from blemish.data.folder import DefectFolder
from blemish.data.masks import without_holes
from blemish.devices import make_fabric
from blemish.errors import BundleError, DataError
from blemish.models.layers import ToRGB
from blemish.models.mask_generator import MaskConfig, MaskGenerator
from blemish.names import CodeSpace
from blemish.synthesis.masks.learned import MaskModel, PartMap, load_masks
from blemish.synthesis.masks.search import MaskSearch, meet, overlaps
from blemish.training.loop import Schedule
from blemish.training.masks.batches import MaskBatches, Pool
from blemish.training.masks.sources import MaskSources, read_mask_sources, real_mask
from blemish.training.masks.train import MaskTraining, train_masks

CONFIG = MaskConfig(types=TYPES, z_dim=8, w_dim=16, channels=(8, 8))
TRAINING = MaskTraining(
    schedule=Schedule(batch=8, kimg=0.032, snapshot_kimg=0.016, log_steps=1),
    pool=16,
    warm_steps=1,
    penalty_every=2,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("data"), side=64)


@pytest.fixture(scope="module")
def sources(data: Path) -> MaskSources:
    return read_mask_sources(DefectFolder(data), TYPES, first_third=False, everything=False)


@pytest.fixture
def fabric() -> Fabric:
    fabric = make_fabric("cpu")
    fabric.launch()
    return fabric


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> MaskModel:
    bundle = Bundle(tmp_path_factory.mktemp("bundle"))
    bundle.write_config({})
    add_masks(bundle)
    return load_masks(bundle)


def disc(side: int, x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side]
    return np.hypot(columns - x, rows - y) < radius


def train(data: Path, out: Path, fabric: Fabric, training: MaskTraining = TRAINING) -> Bundle:
    train_masks(DefectFolder(data), out, CONFIG, training, fabric, resume=True)
    return Bundle(out)


def test_protocol_takes_the_first_third_of_each_type(data: Path) -> None:
    few = read_mask_sources(DefectFolder(data), TYPES, first_third=True, everything=False)
    assert [len(few.of_kind(k)) for k in range(2)] == [1, 1]


def test_type_without_a_mask_is_refused(data: Path) -> None:
    with pytest.raises(DataError, match="dent"):
        read_mask_sources(DefectFolder(data), ("dent",), first_third=False, everything=False)


def test_batches_are_a_function_of_the_generator(sources: MaskSources) -> None:
    batches = MaskBatches(sources, 32)
    first, again, other = (batches.draw(np.random.default_rng(s), 4) for s in (0, 0, 1))
    assert torch.equal(first.mask, again.mask)
    assert not torch.equal(first.mask, other.mask)


def test_laid_masks_are_neither_empty_nor_off_the_part(sources: MaskSources) -> None:
    batch = MaskBatches(sources, 32).draw(np.random.default_rng(0), 16)
    marked = batch.mask > 0.5
    assert marked.flatten(1).any(dim=1).all()
    assert not (marked & (batch.part < -1)).any()


def test_whole_part_keeps_its_outline_and_its_margin() -> None:
    part = disc(256, 128, 128, 80)
    whole = real_mask(part, disc(256, 128, 128, 84), 0)
    assert whole.whole
    assert whole.margin * 2 * 84 / 0.92 == pytest.approx(4, rel=0.15)
    batches = MaskBatches(MaskSources((whole.part,), (whole,), ("crack",)), 64)
    drawn = batches.draw(np.random.default_rng(0), 8)
    inside = drawn.part > 0
    ratio = (drawn.mask > 0.5).sum(dim=(1, 2, 3)) / inside.sum(dim=(1, 2, 3))
    assert ((drawn.mask > 0.5) | ~(drawn.part > 1)).all()
    assert ((ratio > 0.95) & (ratio < 1.3)).all()


def test_pool_has_each_real_mask_as_often(sources: MaskSources) -> None:
    pool = Pool(MaskBatches(sources, 32), 12, seed=0)
    assert pool.all.kind.tolist() == [0, 0, 0, 1, 1, 1] * 2
    assert pool.draw(3, torch.Generator().manual_seed(0), kind=1).kind.tolist() == [1] * 3


def test_mask_stays_within_its_margin() -> None:
    generator = MaskGenerator(CONFIG)
    generator.margin.copy_(torch.tensor([0.0, 2.0]))
    last = generator.tofield[-1]
    assert isinstance(last, ToRGB)
    with torch.no_grad():
        last.bias.fill_(100.0)
    part = PartMap.of(disc(96, 48, 48, 30), CONFIG.side).depth.expand(2, -1, -1, -1)
    kind = torch.tensor([0, 1])
    drawn = generator.draw(part, generator.codes(torch.randn(2, 8), kind), kind) > 0
    for k, margin in enumerate((0.0, 2.0)):
        assert torch.equal(drawn[k], part[k] + margin > 0)


def test_network_is_small_enough_to_ship() -> None:
    generator = MaskGenerator(MaskConfig(types=("a", "b", "c")))
    assert sum(tensor.numel() for tensor in generator.state_dict().values()) * 2 < 1.5e6


def test_resumed_run_equals_an_unbroken_one(data: Path, tmp_path: Path, fabric: Fabric) -> None:
    whole = train(data, tmp_path / "a", fabric)
    half = replace(TRAINING, schedule=replace(TRAINING.schedule, kimg=0.016))
    train(data, tmp_path / "b", fabric, half)
    resumed = train(data, tmp_path / "b", fabric)
    torch.testing.assert_close(resumed.tensors("masks"), whole.tensors("masks"))
    assert load_masks(resumed).types == TYPES


def test_training_leaves_other_networks_alone(data: Path, tmp_path: Path, fabric: Fabric) -> None:
    bundle = Bundle(tmp_path)
    bundle.write("generator", {"weight": torch.ones(2)})
    bundle.write_config({"preset": "mine", "training": {"generator": {"kimg": 1}}})
    train(data, tmp_path, fabric)
    assert bundle.config["preset"] == "mine"
    assert set(bundle.config["training"]) == {"generator", "masks"}
    assert torch.equal(bundle.tensors("generator")["weight"], torch.ones(2))


@pytest.mark.parametrize(("h", "w"), [(90, 120), (400, 300)])
def test_model_draws_on_photographs_of_any_size(model: MaskModel, h: int, w: int) -> None:
    part = disc(max(h, w), w / 2, h / 2, min(h, w) / 3)[:h, :w]
    first, again, other = (
        model.draw(part, "crack", torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert first.shape == (h, w)
    assert first.any()
    assert (first & ~part).sum() <= 0.05 * first.sum()
    assert (first != other).any()


def test_masks_of_solid_types_have_no_holes() -> None:
    generator, part = MaskGenerator(CONFIG), disc(96, 48, 48, 30)
    with torch.no_grad():
        for layer in generator.tofield:
            assert isinstance(layer, ToRGB)
            layer.bias.normal_(std=8, generator=torch.Generator().manual_seed(1))
    solid = MaskGenerator(replace(CONFIG, solid=("crack",)))
    solid.load_state_dict(generator.state_dict())
    own, filled = (
        MaskModel(network).draw(part, "crack", torch.Generator().manual_seed(0))
        for network in (generator, solid)
    )
    assert not np.array_equal(own, without_holes(own)), "the mask has holes before"
    assert np.array_equal(filled, without_holes(own))


def test_types_without_holes_are_found() -> None:
    part, ring = disc(96, 48, 48, 30), disc(96, 48, 48, 15) & ~disc(96, 48, 48, 8)
    real = (real_mask(part, ring, 0), real_mask(part, disc(96, 48, 48, 15), 1))
    assert MaskSources((), real, ("ring", "dot")).solid() == ("dot",)


def test_type_that_was_not_learnt_is_refused(model: MaskModel) -> None:
    with pytest.raises(BundleError, match="rust"):
        model.draw(disc(64, 32, 32, 20), "rust", torch.Generator())


def test_bundle_without_masks_says_how_to_get_them(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="train masks"):
        load_masks(bundle)


@pytest.mark.parametrize("space", ["z", "w", "w+"])
def test_search_comes_nearer_to_a_mask_of_the_generator(model: MaskModel, space: CodeSpace) -> None:
    generator, kind = model.generator, model.index("crack")
    shown = PartMap.of(disc(96, 48, 48, 36), generator.config.side)
    codes = generator.codes(torch.randn(1, 8, generator=torch.Generator().manual_seed(5)), kind)
    target = (generator.draw(shown.depth, codes, kind) > 0).float()
    tried, met = (
        meet(
            generator,
            shown.depth,
            target,
            kind,
            MaskSearch(space=space, tried=16, starts=2, steps=steps),
            torch.Generator().manual_seed(0),
        )
        for steps in (0, 40)
    )
    assert met.iou > tried.iou
    assert met.iou == pytest.approx(float(overlaps(met.logits, target)))
    redrawn = generator.draw(shown.depth, met.codes, kind)
    torch.testing.assert_close(redrawn, met.logits, atol=1e-3, rtol=1e-3)
