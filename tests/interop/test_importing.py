"""From a foreign file to the main job."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from interop.standins import (
    DFMGAN,
    TINY,
    arguments,
    critic_arguments,
    networks,
    persistent,
    snapshot,
    snapshot_of,
    write_snapshot,
)
from tiny import request_of, write_scene

from blemish.checkpoint import find_bundle
from blemish.cli.import_model import import_model
from blemish.errors import BundleError
from blemish.inversion.model import Model
from blemish.inversion.project import Projection
from blemish.inversion.search import Search
from blemish.models.load import load_critic, load_generator
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.synthesize import Synthesizer


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return write_snapshot(tmp_path / "network-snapshot-000100.pkl", snapshot_of(TINY))


@pytest.fixture
def defective(tmp_path: Path) -> Path:
    config = replace(TINY, defect=DFMGAN)
    generator, critic = networks(config)
    made = persistent(generator.state_dict(), "Generator", **arguments(config))
    judge = persistent(critic.state_dict(), "Discriminator", **critic_arguments(config))
    return write_snapshot(tmp_path / "dfmgan.pkl", snapshot(made, {"D": judge}))


def test_the_verb_says_what_was_found_and_what_is_missing(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    import_model(plain, out)
    said = capsys.readouterr()
    assert f"{out}: a generator of 16² from stylegan2-ada; SHA-256 " in said.out
    assert f"blemish train windows DATA --bundle {out}" in said.out
    assert f"blemish train encoder DATA --bundle {out}" in said.out
    assert "Left out" in said.err
    assert find_bundle(out).config["source"]["file"] == plain.name


def test_the_verb_reports_to_programs(
    defective: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_model(defective, tmp_path / "bundle", types="crack", json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["generator"]["defect"]["types"] == ["crack"]
    assert found["missing"] == ["match_critic", "encoder"]


def test_a_refused_file_leaves_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04cos\nsystem\n.")
    with pytest.raises(BundleError, match=r"os\.system"):
        import_model(tmp_path / "a.pkl", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("types", ["../x", "a/b", "", "nul", "a\nb"])
def test_types_that_would_leave_their_folder_are_refused(
    defective: Path, tmp_path: Path, types: str
) -> None:
    with pytest.raises(BundleError, match="the defect type"):
        import_model(defective, tmp_path / "bundle", types=types)
    assert not (tmp_path / "bundle").exists()


def test_an_import_that_was_broken_off_is_begun_anew(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr("blemish.inversion.domain.fit_domain", interrupt)
        import_model(plain, tmp_path / "bundle")
    import_model(plain, tmp_path / "bundle")
    import_model(plain, tmp_path / "other")
    assert find_bundle(tmp_path / "bundle").digest == find_bundle(tmp_path / "other").digest
    assert find_bundle(tmp_path / "bundle").has("statistics")


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_photograph_is_inverted(plain: Path, tmp_path: Path) -> None:
    import_model(plain, tmp_path / "bundle")
    bundle = find_bundle(tmp_path / "bundle")
    generator, critic = load_generator(bundle), load_critic(bundle)
    target = generator(generator.codes(torch.randn(1, TINY.z_dim))).image
    how = Projection(space="w", search=Search(steps=3))
    rngs = [torch.Generator().manual_seed(0)]
    found = how.find(Model(generator=generator, critic=critic), target, rngs=rngs)
    codes, terms = found.codes, found.terms
    assert codes.w.shape == (1, TINY.layers, TINY.w_dim) and terms["pixels"].isfinite().all()


def test_a_branch_of_dfmgan_places_its_defect(defective: Path, tmp_path: Path) -> None:
    import_model(defective, tmp_path / "bundle", types="crack")
    approach = SynthesisOptions(invert="project", steps=2, mask_control="noise", defect_steps=4)
    worker = Synthesizer(find_bundle(tmp_path / "bundle"), approach)
    order = request_of(*write_scene(tmp_path / "scene"), "crack", worker.types)
    item = worker.make(order, 0)
    assert item.kind == "crack" and item.picture.picture.shape == order.picture.shape
    with pytest.raises(BundleError, match="takes no mask"):
        Synthesizer(worker.bundle, replace(approach, mask_control="condition"))
