"""Training of windows: batches, looks, the critic, resuming, and what a bundle gets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from blemish.checkpoint import Bundle
from blemish.data.folder import DefectFolder
from blemish.devices import make_fabric
from blemish.errors import BundleError, DataError
from blemish.models.logits import HINGE
from blemish.models.look_encoder import LOOK, LookEncoder, look_of
from blemish.models.window_generator import MARGIN, WindowConfig, WindowGenerator
from blemish.training.loop import Schedule
from blemish.training.windows.batches import LEAST_MASK, WindowBatches
from blemish.training.windows.critic import WindowCritic
from blemish.training.windows.train import WindowTraining, train_windows
from blemish.windows.paint import groups, load_windows, paint
from blemish.windows.sources import Sources, read_sources

CONFIG = WindowConfig(
    types=("crack", "print", "good"), z_dim=8, w_dim=16, channels=(8, 8, 12, 16, 16)
)
TRAINING = WindowTraining(
    schedule=Schedule(batch=4, kimg=0.016, snapshot_kimg=0.008, log_steps=1), warm_steps=1
)


@pytest.fixture(scope="module")
def sources(parts: Path) -> Sources:
    return read_sources(DefectFolder(parts), ("crack", "print"), first_third=True, everything=False)


@pytest.fixture
def fabric() -> Fabric:
    fabric = make_fabric("cpu")
    fabric.launch()
    return fabric


def train(parts: Path, out: Path, fabric: Fabric, training: WindowTraining = TRAINING) -> Bundle:
    train_windows(DefectFolder(parts), out, CONFIG, training, fabric, resume=True)
    return Bundle(out)


@pytest.fixture(scope="module")
def trained(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    torch.set_num_threads(1)
    fabric = make_fabric("cpu")
    fabric.launch()
    return train(parts, tmp_path_factory.mktemp("windows") / "bundle", fabric)


def test_protocol_takes_the_first_third_of_each_type(sources: Sources) -> None:
    photographs = {id(piece.source) for piece in sources.pieces}
    assert len(photographs) == 2 * 2
    assert sources.types == ("crack", "print", "good")


def test_batches_are_a_function_of_the_generator(sources: Sources) -> None:
    batches = WindowBatches(sources)
    first, again, other = (batches.real(np.random.default_rng(seed), 4) for seed in (0, 0, 1))
    assert torch.equal(first.window.image, again.window.image)
    assert not torch.equal(first.window.image, other.window.image)


def test_every_window_has_a_mask(sources: Sources) -> None:
    batches, rng = WindowBatches(sources), np.random.default_rng(0)
    for side in batches.sides:
        placed = batches.good(rng, [0, 1, 2, 0, 1, 2], side)
        assert placed is not None
        for window in (placed, batches.real_of(rng, [0, 1, 2], side).window):
            area = window.mask.sum(dim=(1, 2, 3))
            assert ((area >= LEAST_MASK) & (area < side * side)).all()
            assert window.image.shape[2:] == (side, side)


def test_type_without_a_defect_is_refused(parts: Path) -> None:
    with pytest.raises(DataError, match="dent"):
        read_sources(DefectFolder(parts), ("crack", "dent"), first_third=True, everything=False)


def test_look_says_what_and_not_where() -> None:
    rng = torch.Generator().manual_seed(0)
    image, mask = torch.zeros(2, 3, 64, 64), torch.zeros(2, 1, 64, 64)
    patch = torch.rand(3, 16, 16, generator=rng)
    for k, (top, left) in enumerate(((16, 16), (32, 32))):
        image[k, :, top : top + 16, left : left + 16] = patch
        mask[k, :, top : top + 16, left : left + 16] = 1
    maps = [torch.zeros(2, c, 64 // s, 64 // s) for c, s in ((24, 4), (40, 8), (112, 16))]
    look = look_of(image, maps, mask)
    assert look.shape == (2, LOOK)
    torch.testing.assert_close(look[0], look[1])
    assert look[0, 0] == pytest.approx(patch[0].mean().item(), abs=1e-5)


def test_standardised_looks_have_mean_zero_and_deviation_one() -> None:
    encoder, looks = LookEncoder(8), torch.randn(50, LOOK) * 3 + 5
    encoder.standardise(looks)
    standard = encoder.standardised(looks)
    torch.testing.assert_close(standard.mean(dim=0), torch.zeros(LOOK), atol=1e-4, rtol=0)
    torch.testing.assert_close(standard.std(dim=0), torch.ones(LOOK), atol=1e-4, rtol=0)


def test_critic_weighs_the_mask_and_its_losses_pull_apart() -> None:
    critic = WindowCritic(types=2)
    mixed, _ = critic.maps(torch.rand(2, 3, 64, 64) * 2 - 1)
    mask = torch.zeros(2, 1, 64, 64)
    mask[:, :, 8:24, 8:24] = 1
    kind = torch.tensor([0, 1])
    verdicts = critic(mixed, mask, kind)
    for verdict in verdicts:
        torch.testing.assert_close(verdict.weights.sum(dim=(1, 2, 3)), torch.ones(2))
    near = verdicts[0].weights[0, 0]
    assert near[1, 1] > 50 * near[-1, -1]
    ones = [replace(v, logits=torch.ones_like(v.logits)) for v in verdicts]
    minus = [replace(v, logits=-torch.ones_like(v.logits)) for v in verdicts]
    torch.testing.assert_close(HINGE.of_critic(ones, minus), torch.zeros(2))
    torch.testing.assert_close(HINGE.of_generator(ones), -torch.ones(2))


def test_checkpoint_leaves_out_what_a_package_ships() -> None:
    assert not any("pretrained" in name for name in WindowCritic(types=2).state_dict())


def test_resumed_run_equals_an_unbroken_one(
    parts: Path, trained: Bundle, tmp_path: Path, fabric: Fabric
) -> None:
    half = replace(TRAINING, schedule=replace(TRAINING.schedule, kimg=0.008))
    train(parts, tmp_path / "b", fabric, half)
    resumed = train(parts, tmp_path / "b", fabric)
    torch.testing.assert_close(resumed.tensors("windows"), trained.tensors("windows"))


def test_bundle_draws_on_photographs_of_any_size(trained: Bundle) -> None:
    model = load_windows(trained)
    assert model.types == ("crack", "print")
    assert set(model.real) == {"crack", "print"}
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (150, 410, 3), np.uint8)
    mask = np.zeros((150, 410), bool)
    mask[20:40, 30:50] = True
    mask[90:140, 200:370] = True
    codes = model.codes("crack", torch.Generator().manual_seed(3))
    painted = paint(model.generator, picture, mask, codes, torch.Generator().manual_seed(3))
    again = paint(model.generator, picture, mask, codes, torch.Generator().manual_seed(3))
    np.testing.assert_array_equal(painted, again)
    changed = (painted != picture).any(axis=2)
    assert changed[mask].mean() > 0.9
    zoom = max(group.view(150).zoom for group in groups(mask))
    far = np.ones_like(mask)
    reach = int(MARGIN * zoom) + 2
    far[20 - reach : 40 + reach, 30 - reach : 50 + reach] = False
    far[90 - reach : 140 + reach, 200 - reach : 370 + reach] = False
    assert not (changed & far).any()


def test_other_codes_draw_another_defect(trained: Bundle) -> None:
    model = load_windows(trained)
    first, second = (model.codes("print", torch.Generator().manual_seed(seed)).w for seed in (0, 1))
    assert (first - second).abs().max() > 1e-3


def test_bundle_without_windows_says_how_to_get_them(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="train windows"):
        load_windows(bundle)


def test_generator_is_small_enough_to_ship() -> None:
    parameters = sum(
        p.numel() for p in WindowGenerator(WindowConfig(types=("a", "good"))).parameters()
    )
    assert parameters * 2 < 6e6
