"""A whole bundle grows: its backbone is held, so what the coarser one's codes mean goes on."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import assert_refused
from same import assert_same_bits
from tiny import CONFIG, TYPES, write_bundle, write_parts

from blemish.checkpoint import Bundle
from blemish.data.augment import Symmetries
from blemish.data.folder import DefectFolder
from blemish.devices import make_fabric
from blemish.errors import BundleError, OptionError
from blemish.models.encoder import Encoder, load_encoder
from blemish.models.generator import DefectConfig
from blemish.models.load import load_generator
from blemish.models.residual import ResidualConfig
from blemish.training import loop
from blemish.training.encoder.batches import EncoderBatches, read_source
from blemish.training.encoder.grow import grow_encoder, refuse_other_codes
from blemish.training.encoder.presets import RECIPES
from blemish.training.encoder.train import train_encoder
from blemish.training.generator import GeneratorTraining, train_generator
from blemish.training.loop import Schedule

COARSE = replace(CONFIG, defect=None)
FINE = replace(COARSE, resolution=32)
ROWS, FINER = CONFIG.layers, 2  # rows of w, and how many more there are for the finer block
BRIEF = Schedule(batch=4, kimg=0.012, snapshot_kimg=1, log_steps=1)  # three steps
MOVES = Symmetries(flip=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("coarse") / "bundle", COARSE, encoder=True)


@pytest.fixture(scope="module")
def grown(data: Path, coarse: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Through all trainings, three steps each; not to be written to."""
    torch.set_num_threads(1)
    out, folder, fabric = tmp_path_factory.mktemp("grown"), DefectFolder(data), make_fabric("cpu")
    critic = ResidualConfig()
    first = GeneratorTraining(schedule=BRIEF, critic=critic, grown_steps=1, path_every=1, hold=True)
    how = {"placements": MOVES, "coarse": coarse}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "draw_curves", lambda *_: None)
        train_generator(folder, FINE, first, fabric, out, coarse=coarse)
        encoding = replace(RECIPES["in-domain"], schedule=BRIEF, grown_steps=3)
        train_encoder(folder, Bundle(out), encoding, fabric, samples=20, **how)  # type: ignore[arg-type]
    return Bundle(out)


def test_the_backbone_is_held_and_what_is_fresh_learns(coarse: Bundle, grown: Bundle) -> None:
    known, found = coarse.tensors("generator"), grown.tensors("generator")
    held = {k for k in known if "w_avg" not in k}
    assert_same_bits({k: found[k] for k in held}, {k: known[k] for k in held})
    assert found["synthesis.b32.torgb.weight"].abs().max() > 0  # it began at zero


def test_the_grown_bundle_is_whole(grown: Bundle) -> None:
    assert load_generator(grown).config == FINE
    load_encoder(grown)


@torch.no_grad()
def test_an_encoder_reads_the_rows_that_it_knew(coarse: Bundle, data: Path, grown: Bundle) -> None:
    encoder, known = Encoder(FINE), load_encoder(coarse)
    grow_encoder(encoder, coarse, batches(data, grown), seed=0, steps=0)
    top = torch.randn(3, CONFIG.channels(4), 4, 4)
    rows, expected = encoder.part_rows([top]), known.part_rows([top])
    torch.testing.assert_close(rows[:, :ROWS], expected)
    torch.testing.assert_close(rows[:, ROWS:], expected[:, -1:].expand(-1, FINER, -1))


def test_its_new_layers_learn_to_hand_on_what_the_stem_gave(
    coarse: Bundle, data: Path, grown: Bundle
) -> None:
    known, far = load_encoder(coarse), []
    image, _, _ = (drawn := batches(data, grown)).photographs(8, torch.Generator().manual_seed(1))
    for steps in (0, 60):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            encoder = Encoder(FINE)
        grow_encoder(encoder, coarse, drawn, seed=0, steps=steps)
        with torch.no_grad():
            target = known.features(torch.nn.functional.avg_pool2d(image, 2))[0]
            far.append((encoder.features(image)[1] - target).square().mean().item())
    assert far[1] < far[0] / 4


@pytest.mark.parametrize(
    "config",
    [
        replace(CONFIG, resolution=64),
        replace(FINE, defect=DefectConfig(first_resolution=8, types=("hole",))),
    ],
)
def test_other_codes_are_refused(coarse: Bundle, config: object) -> None:
    with pytest.raises(OptionError, match="one octave"):
        refuse_other_codes(config, coarse)  # type: ignore[arg-type]


def test_a_bundle_without_an_encoder_is_nothing_to_grow_from(
    data: Path, grown: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = write_bundle(tmp_path / "bare", COARSE)
    with pytest.raises(BundleError, match="without an encoder"):
        grow_encoder(Encoder(FINE), bare, batches(data, grown), seed=0, steps=1)
    command = f"train encoder {data} --bundle {grown.path} --grow {tmp_path / 'none'} --device cpu"
    assert_refused(command, "none", capsys)


def batches(data: Path, bundle: Bundle) -> EncoderBatches:
    source = read_source(
        DefectFolder(data), TYPES, 32, symmetries=MOVES, placements=MOVES, everything=True
    )
    return EncoderBatches(load_generator(bundle), source, pairs=0, defects=0)
