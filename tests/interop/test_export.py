import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny import CONFIG, write_bundle
from torch import Tensor

from blemish.checkpoint import Bundle
from blemish.cli.export_model import export_model
from blemish.errors import BundleError, OptionError, OutputError
from blemish.interop import onnx, read_foreign
from blemish.interop.export import export_state
from blemish.interop.onnx import export_onnx, graphs
from blemish.models.critic import build_critic
from blemish.models.generator import Generator, GeneratorConfig
from blemish.models.load import load_generator
from blemish.models.residual import ResidualConfig
from blemish.types import Codes

PLAIN = replace(CONFIG, defect=None)
TOLD = [
    "mapping.onnx: z -> w",
    "good.onnx: w -> image",
    "defect_mapping.onnx: z_defect, type -> w_defect",
    "defect.onnx: w, w_defect -> image, mask_logits",
    "placed.onnx: w, w_defect, mask -> image, mask_logits",
]
TOLERANCE = {"rtol": 0, "atol": 1e-4}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("models") / "nut")


def header(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return file.metadata()


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_published_network_comes_back_to_the_bit(shared: Path, tmp_path: Path) -> None:
    golden = shared / "golden" / "stylegan2_ada_32.safetensors"
    tensors, facts = load_file(golden), header(golden)
    config = GeneratorConfig(resolution=32, z_dim=64, w_dim=64, channel_base=1024, channel_max=64)
    bundle = Bundle(tmp_path)
    bundle.write("generator", under(tensors, "G."))
    bundle.write("critic", under(tensors, "D."))
    bundle.write_config({"generator": asdict(config)})
    net, critic = export_state(bundle, tmp_path / "out" / "net.safetensors")
    assert same(load_file(net.path), under(tensors, "G."))
    assert same(load_file(critic.path), under(tensors, "D."))
    del facts["made_with"]
    assert facts.items() <= header(net.path).items()


def test_the_backbone_alone_draws_the_good_twin(bundle: Bundle, tmp_path: Path) -> None:
    written = export_state(bundle, tmp_path / "nut.safetensors")
    assert [file.path.name for file in written] == ["nut.safetensors", "nut.critic.safetensors"]
    backbone, critic = Generator(PLAIN), build_critic(ResidualConfig(), PLAIN)
    backbone.load_state_dict(load_file(written[0].path))
    critic.load_state_dict(load_file(written[1].path))
    z, whole = torch.randn(3, CONFIG.z_dim), load_generator(bundle)
    good, twin = backbone.draw(backbone.codes(z)), whole.draw(whole.codes(z, psi=1))
    assert torch.equal(good.image, twin.image)
    assert torch.equal(backbone.mapping.w_avg, whole.mapping.w_avg)


@pytest.mark.parametrize(
    "change", [{}, {"conv_clamp": 256.0}, {"c_dim": 3}, {"critic_group": 2}, {"mapping_layers": 3}]
)
def test_what_is_exported_can_be_imported(tmp_path: Path, change: dict[str, float]) -> None:
    config = replace(PLAIN, **change)  # type: ignore[arg-type]
    bundle = write_bundle(tmp_path / "nut", config)
    export_state(bundle, tmp_path / "out.safetensors")
    foreign = read_foreign(tmp_path / "out.safetensors")
    assert foreign.config == config and foreign.critic is not None
    assert same(dict(foreign.generator), bundle.tensors("generator"))
    assert same(dict(foreign.critic), bundle.tensors("critic"))


@pytest.mark.parametrize("config", [CONFIG, PLAIN])
def test_it_is_said_what_is_in_a_file(tmp_path: Path, config: GeneratorConfig) -> None:
    bundle = write_bundle(tmp_path / "nut", config)
    for file in export_state(bundle, tmp_path / "out.safetensors"):
        assert header(file.path)["contents"] == file.contents
        assert header(file.path)["bundle"] == bundle.digest
    first = header(tmp_path / "out.safetensors")["contents"]
    assert ("defect branch is left out" in first) == (config.defect is not None)


def test_a_bundle_without_critic_makes_one_file(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "nut")
    (bundle.path / "critic.safetensors").unlink()
    (only,) = export_state(bundle, tmp_path / "out.safetensors")
    assert only.path == tmp_path / "out.safetensors"


@pytest.mark.parametrize("name", ["out.pkl", "out", "out.onnx"])
def test_a_state_dict_is_written_as_safetensors(bundle: Bundle, tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match=r"ends in \.safetensors"):
        export_state(bundle, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_of_a_broken_bundle(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "nut")
    (bundle.path / "critic.safetensors").write_bytes(b"torn")
    with pytest.raises(BundleError, match=r"critic\.safetensors"):
        export_state(bundle, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("format", ["stylegan2-ada-state", "onnx"])
def test_a_file_in_the_way_is_reported(bundle: Bundle, tmp_path: Path, format: str) -> None:
    pytest.importorskip("onnxscript")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"):
        export_model(str(bundle.path), tmp_path / "file" / "a.safetensors", format)  # type: ignore


def test_the_verb_names_every_file(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export_model(str(bundle.path), tmp_path / "nut.safetensors")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        str(tmp_path / "nut.safetensors"),
        str(tmp_path / "nut.critic.safetensors"),
    ]


def test_without_the_extra_it_is_named(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx, "find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"onnx and onnxscript.*pip install 'blemish\[onnx\]'"):
        export_onnx(bundle, tmp_path / "graphs")
    assert not (tmp_path / "graphs").exists()


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, "mapping good defect_mapping defect placed"),
        ({"takes_mask": False}, "mapping good defect_mapping defect"),
        (None, "mapping good"),
    ],
)
def test_graphs_are_of_what_the_bundle_has(changes: dict[str, bool] | None, names: str) -> None:
    branch = None if changes is None else replace(CONFIG.defect, **changes)  # type: ignore
    found = graphs(Generator(replace(CONFIG, defect=branch)))
    assert [graph.name for graph in found] == names.split()
    for graph in found:
        drawn = graph.network(*graph.inputs.values())
        drawn = drawn if isinstance(drawn, tuple) else (drawn,)
        assert len(drawn) == len(graph.outputs) and all(len(x) == 2 for x in drawn)


@pytest.mark.parametrize("classes", [0, 3])
def test_a_mapping_asks_for_the_class_where_there_are_some(classes: int) -> None:
    mapping, _ = graphs(Generator(replace(PLAIN, c_dim=classes)))
    assert list(mapping.inputs) == ["z", "label"][: 1 + (classes > 0)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Generator, Path]:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("onnx")
    bundle = write_small(folder / "nut")
    # In a process of its own: the tracer can't follow the checks of types that tests run under.
    code = "from sys import argv; from pathlib import Path; from blemish.cli import export_model\n"
    code += "export_model.export_model(argv[1], Path(argv[2]), 'onnx')"
    command = [sys.executable, "-W", "error::UserWarning", "-c", code, bundle.path, folder / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [line.rpartition("/")[2] for line in done.stdout.splitlines()] == TOLD
    return load_generator(bundle), folder / "out"


@torch.no_grad()
def write_small(path: Path) -> Bundle:
    """As small as a branch can be, since a trace takes a while; no weight of it is zero."""
    config = replace(CONFIG, resolution=8, channel_base=64)
    generator = Generator(config)
    for parameter in generator.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    path.mkdir()
    Bundle(path).write("generator", generator.state_dict())
    Bundle(path).write_config({"generator": asdict(config)})
    return Bundle(path)


def run(file: Path, **inputs: Tensor) -> dict[str, Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(file)
    found = session.run(None, {k: v.numpy() for k, v in inputs.items()})
    names = [output.name for output in session.get_outputs()]
    return {k: torch.from_numpy(v) for k, v in zip(names, found, strict=True)}


@pytest.mark.parametrize("n", [1, 3])
def test_graphs_give_what_the_networks_give(exported: tuple[Generator, Path], n: int) -> None:
    generator, out = exported
    z, kind = torch.randn(2, n, CONFIG.z_dim), torch.arange(n) % 2
    codes = generator.codes(z[0], z[1], kind)
    assert codes.w_defect is not None
    w = run(out / "mapping.onnx", z=z[0])["w"]
    torch.testing.assert_close(w, codes.w.contiguous(), **TOLERANCE)
    w_defect = run(out / "defect_mapping.onnx", z_defect=z[1], type=kind)["w_defect"]
    torch.testing.assert_close(w_defect, codes.w_defect.contiguous(), **TOLERANCE)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("name", ["good", "defect", "placed"])
def test_graphs_draw_what_the_generator_draws(
    exported: tuple[Generator, Path], name: str, n: int
) -> None:
    generator, out = exported
    config = generator.config
    w = torch.randn(n, config.layers, config.w_dim)
    w_defect = torch.randn(n, config.defect_layers, config.w_dim)
    mask = (torch.rand(n, 1, config.resolution, config.resolution) < 0.3).float()
    given = {"good": {}, "defect": {"w_defect": w_defect}}.get(
        name, {"w_defect": w_defect, "mask": mask}
    )
    codes = Codes(w=w, w_defect=given.get("w_defect"))
    expected = generator.draw(codes, mask=given.get("mask"))
    found = run(out / f"{name}.onnx", w=w, **given)
    torch.testing.assert_close(found["image"], expected.image, **TOLERANCE)
    if name == "good":
        assert found.keys() == {"image"}
    else:
        torch.testing.assert_close(found["mask_logits"], expected.mask_logits, **TOLERANCE)


def test_a_graph_names_its_free_axis_and_its_bundle(exported: tuple[Generator, Path]) -> None:
    import onnxruntime

    _, out = exported
    session = onnxruntime.InferenceSession(out / "placed.onnx")
    assert [value.shape[0] for value in (*session.get_inputs(), *session.get_outputs())] == [
        "n"
    ] * 5
    digest = Bundle(out.parent / "nut").digest
    assert session.get_modelmeta().custom_metadata_map["blemish.bundle"] == digest
    assert {file.suffix for file in out.iterdir()} == {".onnx"}
