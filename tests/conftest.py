"""What every test may count on: one thread, the same numbers each time, and the shared data."""

import gc
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import typechecker
from commands import draw_in_this_process
from tiny import object_statistics, write_bundle

from blemish.checkpoint import Bundle
from blemish.inversion import descent
from blemish.inversion.domain import fit_domain
from blemish.inversion.model import Model, learn_domain
from blemish.inversion.search import Outcome, Search
from blemish.inversion.space import w_defect_statistics, w_statistics
from blemish.models.critic import Critic
from blemish.models.encoder import Encoder
from blemish.models.generator import Generator
from blemish.models.load import load_critic, load_generator
from blemish.pictures import write_picture
from blemish.recognition import Recognizer
from blemish.training import loop
from blemish.training.loop import Schedule
from blemish.training.masks.train import MaskTraining
from blemish.training.windows import train as windows
from blemish.training.windows.train import WindowTraining

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_finish() -> None:
    """Spare the garbage collector what is loaded by now, which stays: half a second a search."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def one_thread_and_one_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def first_calls_are_checked() -> None:
    typechecker.calls.clear()


@pytest.fixture(scope="session", autouse=True)
def plain_snapshots() -> Iterator[None]:
    """No curves and small grids: drawing takes longer than the steps of a short training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "draw_curves", lambda *_: None)
        patch.setattr(windows, "window_grid", partial(windows.window_grid, n=2))
        yield


@pytest.fixture
def short_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks warm up for one step, windows take small batches, encoders draw few samples."""
    masks = partial(MaskTraining, pool=8, warm_steps=1)
    few = partial(WindowTraining, schedule=Schedule(batch=4, kimg=48, snapshot_kimg=2))
    for place in ("training.masks.train", "api.training"):
        monkeypatch.setattr(f"blemish.{place}.MaskTraining", masks)
    for place in ("training.windows.train", "api.training"):
        monkeypatch.setattr(f"blemish.{place}.WindowTraining", few)

    def learn(bundle: Bundle, device: torch.device, *, samples: int, on_progress: Any) -> None:
        learn_domain(bundle, device, samples=min(50, samples), on_progress=on_progress)

    monkeypatch.setattr("blemish.training.encoder.train.learn_domain", learn)


@pytest.fixture
def short_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches for the codes of a photograph take four steps at most."""

    def search(leaves: Any, terms: Any, weights: Any, plan: Search, **known: Any) -> Outcome:
        return descent_search(
            leaves, terms, weights, replace(plan, steps=min(4, plan.steps)), **known
        )

    descent_search = descent.search
    monkeypatch.setattr(descent, "search", search)


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_in_this_process(monkeypatch)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of photographs and weights that stands beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the folder ../shared with photographs and weights is not here")
    return SHARED


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A factory's folder in small: coloured ellipses, some with a crack or a print on them."""
    root = tmp_path_factory.mktemp("parts")
    rng = np.random.default_rng(0)
    for split, n in (("train", 6), ("test", 2)):
        for k in range(n):
            _write(root / split / "good" / f"{k:03d}.png", _part(rng))
    for kind, colour in (("crack", (20, 20, 20)), ("print", (230, 40, 60))):
        for k in range(6):
            picture, mask = _part(rng), _spot(kind, rng)
            picture[mask] = colour
            _write(root / "test" / kind / f"{k:03d}.png", picture)
            _write(root / "ground_truth" / kind / f"{k:03d}_mask.png", mask)
    return root


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Of random weights, with every part of a real one but an encoder; nobody writes into it."""
    return write_bundle(tmp_path_factory.mktemp("tiny") / "bundle")


@pytest.fixture(scope="session")
def generator(bundle: Bundle) -> Generator:
    return load_generator(bundle)


@pytest.fixture(scope="session")
def critic(bundle: Bundle) -> Critic:
    return load_critic(bundle)


@pytest.fixture(scope="session")
def encoder(generator: Generator) -> Encoder:
    """Of random weights, about the mean of w."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = Encoder(generator.config).eval().requires_grad_(False)
    encoder.w_mean.copy_(w_statistics(generator).mean)
    encoder.w_defect_mean.copy_(w_defect_statistics(generator).mean)
    return encoder


@pytest.fixture(scope="session")
def model(generator: Generator, critic: Critic, encoder: Encoder) -> Model:
    domain = fit_domain(generator, encoder, n=200)
    return Model(
        generator=generator,
        critic=critic,
        encoder=encoder,
        domain=domain,
        recognizer=Recognizer(object_statistics()),
    )


def _part(rng: np.random.Generator, side: int = 32) -> np.ndarray:
    """An ellipse of some tone, turned a little, on a pale ground with a little noise."""
    picture = np.full((side, side, 3), 215, np.uint8)
    tone = tuple(int(level) for level in rng.integers((110, 70, 30), (150, 100, 60)))
    turn = float(rng.uniform(-20, 20))
    cv2.ellipse(picture, (side // 2, side // 2), (12, 9), turn, 0, 360, tone, cv2.FILLED)
    return (picture + rng.normal(0, 3, picture.shape)).clip(0, 255).astype(np.uint8)


def _spot(kind: str, rng: np.random.Generator, side: int = 32) -> np.ndarray:
    """A line or a disc near the middle of a part."""
    canvas = np.zeros((side, side), np.uint8)
    x, y = (int(at) for at in rng.integers(side // 2 - 4, side // 2 + 4, 2))
    if kind == "crack":
        cv2.line(canvas, (x - 5, y - 2), (x + 5, y + 2), 1, 3)
    else:
        cv2.circle(canvas, (x, y), 4, 1, cv2.FILLED)
    return canvas.astype(bool)


def _write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, picture)
