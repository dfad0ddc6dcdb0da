from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest
import torch
from tiny import CONFIG, part, write_bundle

from blemish.checkpoint import Bundle, pack
from blemish.errors import BundleError
from blemish.inversion.domain import PREFIX
from blemish.inversion.model import (
    forget_domain,
    learn_domain,
    load_model,
)
from blemish.recognition.statistics import PREFIX as OBJECT


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Of everything; not to be written to."""
    return write_bundle(tmp_path_factory.mktemp("encoded") / "bundle", encoder=True)


@pytest.fixture
def fresh(encoded: Bundle, tmp_path: Path) -> Bundle:
    """The same, to be written to."""
    return Bundle(copytree(encoded.path, tmp_path / "bundle"))


def test_a_whole_bundle_gives_everything_frozen(encoded: Bundle) -> None:
    model = load_model(encoded)
    assert model.encoder is not None and model.domain is not None and model.recognizer is not None
    assert model.device.type == "cpu"
    for network in (model.generator, model.critic, model.encoder):
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())


def test_a_bundle_may_lack_encoder_domain_and_statistics(bundle: Bundle, fresh: Bundle) -> None:
    model = load_model(bundle)
    assert model.encoder is None and model.domain is None and model.recognizer is None
    (fresh.path / "statistics.safetensors").unlink()
    model = load_model(fresh)
    assert model.encoder is not None and model.domain is None and model.recognizer is None


@pytest.mark.parametrize("name", ["generator", "critic", "encoder", "statistics"])
def test_a_torn_file_is_named(fresh: Bundle, name: str) -> None:
    file = fresh.path / f"{name}.safetensors"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(BundleError, match=rf"{name}\.safetensors, which can't be read"):
        load_model(fresh)


@pytest.mark.parametrize("name", ["generator", "critic"])
def test_a_generator_and_a_critic_must_be_there(fresh: Bundle, name: str) -> None:
    (fresh.path / f"{name}.safetensors").unlink()
    with pytest.raises(BundleError, match=name):
        load_model(fresh)


def test_the_domain_of_another_w_is_refused(fresh: Bundle, tmp_path: Path) -> None:
    narrow = write_bundle(tmp_path / "narrow", replace(CONFIG, w_dim=8), encoder=True)
    fresh.write("statistics", narrow.tensors("statistics"))
    with pytest.raises(BundleError, match=r"statistics\.safetensors, of the codes of another"):
        load_model(fresh)


def test_a_packed_bundle_is_worth_as_much(encoded: Bundle, tmp_path: Path) -> None:
    model, packed = load_model(encoded), load_model(pack(encoded, tmp_path / "packed"))
    assert model.domain is not None and packed.domain is not None
    assert torch.equal(model.domain.basis, packed.domain.basis)
    assert model.recognizer is not None and packed.recognizer is not None
    strange = model.recognizer.strangeness(part())
    assert packed.recognizer.strangeness(part()) == pytest.approx(strange, rel=1e-2, abs=1e-2)


def test_forgetting_leaves_what_is_not_of_the_encoder(fresh: Bundle) -> None:
    before = fresh.tensors("statistics")
    assert any(name.startswith(PREFIX) for name in before)
    forget_domain(fresh)
    after = fresh.tensors("statistics")
    assert {*after} == {name for name in before if not name.startswith(PREFIX)}
    assert all(torch.equal(after[name], before[name]) for name in after)


def test_forgetting_all_that_is_known_leaves_no_file(tmp_path: Path) -> None:
    plain = write_bundle(tmp_path / "plain", replace(CONFIG, defect=None), encoder=True)
    plain.forget(OBJECT)
    forget_domain(plain)
    assert not plain.has("statistics")
    assert load_model(plain).domain is None


def test_forgetting_what_is_not_known_writes_nothing(bundle: Bundle, fresh: Bundle) -> None:
    digest = bundle.digest
    forget_domain(bundle)
    assert Bundle(bundle.path).digest == digest
    (fresh.path / "statistics.safetensors").unlink()
    forget_domain(fresh)
    assert not fresh.has("statistics")


def test_what_is_learnt_stands_beside_what_was_known(fresh: Bundle) -> None:
    forget_domain(fresh)
    before, reported = fresh.tensors("statistics"), list[int]()
    learn_domain(fresh, samples=60, on_progress=reported.append)
    after = fresh.tensors("statistics")
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert reported == [50, 60]
    model = load_model(fresh)
    assert model.domain is not None and model.recognizer is not None


def test_a_domain_can_be_learnt_without_an_encoder(fresh: Bundle) -> None:
    for name in ("encoder", "statistics"):
        (fresh.path / f"{name}.safetensors").unlink()
    learn_domain(fresh, samples=20)
    domain = load_model(fresh).domain
    assert domain is not None and "cycle" not in domain.tables


def test_learning_twice_changes_nothing(fresh: Bundle) -> None:
    learn_domain(fresh, samples=20)
    first = fresh.tensors("statistics")
    learn_domain(fresh, samples=20)
    assert all(
        torch.equal(first[name], tensor) for name, tensor in fresh.tensors("statistics").items()
    )
