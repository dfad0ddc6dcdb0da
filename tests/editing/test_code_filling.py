"""`blemish fill --method codes`: what the network reads, its training, and edits of its codes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import assert_refused, exit_code
from tiny import CONFIG, part, spot, write_bundle, write_parts

from blemish.checkpoint import Bundle
from blemish.editing.codefill import CodeFiller
from blemish.errors import OptionError
from blemish.models.encoder import load_encoder
from blemish.models.filling import NETWORK, FillingConfig, FillingNetwork, continued
from blemish.models.load import load_generator
from blemish.originals import Original, read_original
from blemish.pictures import write_picture
from blemish.training.filling import FillingTraining, draw_holes, ring_of
from blemish.types import Codes

FILL = "fill --image nut.png --mask spot.png --bundle bundle --method codes --device cpu --out out"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose filling network was trained for two steps of each part."""
    root = tmp_path_factory.mktemp("codes")
    found = write_bundle(root / "bundle", encoder=True, windows=True)
    schedule = replace(FillingTraining().schedule, kimg=0.016, batch=4, log_steps=1)
    short = FillingTraining(schedule=schedule, codes_share=0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("blemish.training.filling.FillingTraining", lambda: short)
        data = write_parts(root / "data")
        line = f"train filling {data} --bundle {found.path} --device cpu"
        assert exit_code(line) == 0
    return Bundle(found.path)


@pytest.fixture
def place(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bundle").symlink_to(bundle.path)
    write_picture(tmp_path / "nut.png", part())
    write_picture(tmp_path / "spot.png", spot())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.fsync", lambda _: None)
    return tmp_path


def test_fillings_differ_in_the_hole_alone_and_can_be_edited(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(f"{FILL} --count 2 --seed 3 --json") == 0
    row = json.loads(capsys.readouterr().out)
    assert row["method"] == "codes" and row["spread_levels"] > 0
    levels = [read_original(place / "out" / one["picture"]).levels for one in row["fillings"]]
    for picture in levels:
        assert (picture[~spot()] == part()[~spot()]).all()
    assert exit_code(f"{FILL} --seed 4") == 0
    assert (read_original(place / "out" / "nut_00.png").levels == levels[1]).all()
    mixed = "edit mix out/nut_00 seed:1 --rows 0-2 --bundle bundle --device cpu --out mixed"
    assert exit_code(mixed) == 0
    assert (place / "mixed" / "codes.safetensors").exists()


def test_what_was_in_the_hole_does_not_matter(bundle: Bundle) -> None:
    other = part()
    other[spot()] = (255, 0, 255)
    filler = CodeFiller(bundle)
    a, b = (filler.fill(Original(levels=levels), spot()) for levels in (part(), other))
    assert torch.equal(a.codes.w, b.codes.w)
    assert (a.picture.levels == b.picture.levels).all()


def test_a_bundle_without_the_network_says_how_to_train_it(
    tmp_path: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bundle(tmp_path / "bare", encoder=True)
    line = FILL.replace("--bundle bundle", "--bundle bare")
    assert_refused(line, "a bundle without a filling network", capsys)


def test_an_untrained_network_gives_a_code_between_both(bundle: Bundle) -> None:
    network = FillingNetwork(CONFIG, FillingConfig()).eval().requires_grad_(False)
    generator, encoder = load_generator(bundle), load_encoder(bundle)
    image, known = torch.rand(2, 3, 16, 16) * 2 - 1, torch.ones(2, 1, 16, 16)
    read = network.read(encoder, image, known)
    torch.testing.assert_close(read.rows, encoder(image).w)
    random = torch.randn_like(read.rows)
    rows = network.mix(read, random)
    share = (rows - random) / (read.rows - random)
    assert ((share > 0) & (share < 1)).all()
    drawn = network.draw(generator, Codes(w=rows), read)
    torch.testing.assert_close(drawn, generator.draw(Codes(w=rows)).image)


def test_every_weight_gets_a_finite_gradient(bundle: Bundle) -> None:
    network = FillingNetwork(CONFIG, FillingConfig())
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    generator, encoder = load_generator(bundle), load_encoder(bundle)
    image = torch.rand(2, 3, 16, 16) * 2 - 1
    known = 1 - draw_holes(image, torch.Generator().manual_seed(0))
    read = network.read(encoder, image, known)
    w = network.mix(read, torch.randn(2, CONFIG.layers, CONFIG.w_dim))
    network.draw(generator, Codes(w=w), read).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_a_hole_is_continued_from_its_surroundings() -> None:
    image = torch.zeros(1, 3, 16, 16) + torch.tensor([0.3, -0.2, 0.9])[None, :, None, None]
    known = torch.ones(1, 1, 16, 16)
    known[:, :, 4:9, 3:12] = 0
    spoilt = torch.where(known > 0, image, torch.ones_like(image))
    torch.testing.assert_close(continued(spoilt, known), image)
    assert continued(image, torch.zeros_like(known)).isfinite().all()


def test_the_ring_lies_around_the_hole() -> None:
    known = torch.ones(1, 1, 64, 64)
    known[:, :, 30:34, 30:34] = 0
    ring = ring_of(known)
    assert ring.sum() > 0 and not (ring * (1 - known)).any()


def test_the_rate_falls_in_either_part() -> None:
    training = FillingTraining()
    parts = [training.part(k) for k in range(training.schedule.steps)]
    for name in ("codes", "skips"):
        rates = [rate for part, rate in parts if part == name]
        assert (np.diff(rates) < 0).all()
        assert rates[0] == pytest.approx(training.learning_rate, rel=0.01)


@pytest.mark.parametrize("options", [{"pairs": 1.0}, {"codes_share": 0.0}])
def test_shares_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="share above 0"):
        FillingTraining(**options)  # pyright: ignore[reportArgumentType]


def test_the_bundle_keeps_the_options(bundle: Bundle) -> None:
    assert bundle.has(NETWORK)
    assert bundle.training_of(NETWORK)["codes_share"] == 0.5
