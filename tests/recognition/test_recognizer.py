"""Learning an object, and recognising it."""

from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from tiny import object_statistics, part

from blemish.checkpoint import Bundle
from blemish.data.folder import DefectFolder
from blemish.pictures import fit_square, write_picture
from blemish.recognition import Recognizer, learn, learn_object
from blemish.recognition.learn import limit_between
from blemish.recognition.near import near_objects
from blemish.recognition.statistics import PREFIX

NOISE = np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8)


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(object_statistics())


@pytest.mark.parametrize("seed", range(3))
def test_another_part_of_the_kind_is_recognised(recognizer: Recognizer, seed: int) -> None:
    assert not recognizer.is_foreign(part(seed=seed))


@pytest.mark.parametrize("picture", [NOISE, np.full((64, 64, 3), 128, np.uint8)])
def test_anything_else_is_foreign(recognizer: Recognizer, picture: np.ndarray) -> None:
    assert recognizer.is_foreign(picture)


def test_near_objects_are_stranger_than_parts(recognizer: Recognizer) -> None:
    parts = [fit_square(part(seed=seed), 224) for seed in range(2)]
    near = near_objects(parts, np.random.default_rng(1))
    strangest = max(recognizer.strangeness(picture) for picture in parts)
    assert all(recognizer.strangeness(picture) > strangest for picture in near)


def test_the_answer_does_not_depend_on_threads_left_alone(recognizer: Recognizer) -> None:
    threads = torch.get_num_threads()
    first = recognizer.strangeness(part())
    assert torch.get_num_threads() == threads
    assert recognizer.strangeness(part()) == first


@pytest.mark.parametrize("side", [56, 150, 400])
def test_the_size_of_a_photograph_does_not_matter(recognizer: Recognizer, side: int) -> None:
    assert not recognizer.is_foreign(fit_square(part(), side))


def test_coarse_images_keep_their_colours_and_lose_detail() -> None:
    images = torch.rand(6, 3, 96, 96, generator=torch.manual_seed(0)) * 2 - 1
    seen = learn.coarse(images, torch.Generator().manual_seed(0))
    assert seen.shape == images.shape
    assert seen.mean().item() == pytest.approx(images.mean().item(), abs=0.01)
    assert (seen.std(dim=(1, 2, 3)) < images.std(dim=(1, 2, 3))).all()


def test_the_limit_separates_what_can_be_separated() -> None:
    own, near = torch.linspace(-2, 2, 100), torch.linspace(5, 9, 50)
    assert 2 < limit_between(own, near) < 5


def test_own_photographs_count_more_than_near_objects() -> None:
    own, near = torch.linspace(-2, 2, 100), torch.full((50,), -5.0)
    assert (own > limit_between(own, near)).float().mean() <= 1 - learn.SHARE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A few good parts, and a defect whose mask nobody needs here."""
    for k in range(4):
        write_picture(_made(tmp_path / f"data/train/good/{k}.png"), part(seed=k))
    write_picture(_made(tmp_path / "data/test/crack/0.png"), part(seed=9))
    return tmp_path / "data"


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def learnt(folder: Path, bundle: Bundle) -> Recognizer | None:
    learn_object(bundle, DefectFolder(folder), first_third=True, everything=False)
    return Recognizer.of(bundle)


def test_an_object_is_learnt_beside_other_statistics(
    folder: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learn, "LEAST", 4)
    monkeypatch.setattr(learn, "VIEWS_OF_ONE", (1, 1))
    mine = Bundle(copytree(bundle.path, tmp_path / "mine"))
    before = mine.tensors("statistics")
    found = learnt(folder, mine)
    assert found is not None and not found.is_foreign(part())
    after = mine.tensors("statistics")
    assert all(torch.equal(after[name], before[name]) for name in before)
    learnt(folder, mine)
    assert all(torch.equal(v, after[k]) for k, v in mine.tensors("statistics").items())


def test_too_few_photographs_leave_nothing(folder: Path, bundle: Bundle, tmp_path: Path) -> None:
    mine = Bundle(copytree(bundle.path, tmp_path / "mine"))
    mine.write("statistics", {**mine.tensors("statistics"), **object_statistics().tensors()})
    assert learnt(folder, mine) is None
    assert not any(name.startswith(PREFIX) for name in mine.tensors("statistics"))
