import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from blemish import checkpoint
from blemish.checkpoint import (
    FORMAT,
    Bundle,
    embedded_bundles,
    find_bundle,
    load_codes,
    load_tensors,
    pack,
    save_codes,
    save_tensors,
)
from blemish.errors import BundleError, OutputError
from blemish.types import Codes

WEIGHTS = {
    "weight": torch.arange(6.0).view(2, 3) / 7,
    "scalar": torch.tensor(0.1),
    "steps": torch.tensor([3, 4]),
    "empty": torch.zeros(0, 4),
}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    bundle = Bundle(tmp_path)
    bundle.write_config({"name": "Nüsse", "generator": {"resolution": 16}})
    bundle.write("generator", WEIGHTS)
    return bundle


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(one[k], other[k]) and one[k].dtype == other[k].dtype for k in one
    )


def test_what_was_saved_is_loaded_to_the_bit(tmp_path: Path) -> None:
    save_tensors(tmp_path / "a.safetensors", WEIGHTS, metadata={"step": "7"})
    tensors, about = load_tensors(tmp_path / "a.safetensors")
    assert same(tensors, WEIGHTS) and about == {"step": "7"}


def test_half_precision_is_half_as_large_and_comes_back_wide(tmp_path: Path) -> None:
    weights = {"w": torch.randn(64, 64), "steps": torch.tensor([3])}
    for half in (False, True):
        save_tensors(tmp_path / f"{half}.safetensors", weights, half=half)
    sizes = [(tmp_path / f"{half}.safetensors").stat().st_size for half in (False, True)]
    assert sizes[1] < 0.55 * sizes[0]
    tensors, _ = load_tensors(tmp_path / "True.safetensors")
    assert same(tensors, {"w": weights["w"].half().float(), "steps": weights["steps"]})


def test_views_and_parameters_can_be_saved(tmp_path: Path) -> None:
    whole = nn.Parameter(torch.randn(4, 6))
    save_tensors(tmp_path / "a.safetensors", {"part": whole.T[1:3]})
    assert torch.equal(load_tensors(tmp_path / "a.safetensors")[0]["part"], whole.detach().T[1:3])


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, number: float) -> None:
    save_tensors(tmp_path / "a.safetensors", {"fine": torch.ones(2), "bad": torch.tensor([number])})
    with pytest.raises(BundleError, match=r"a\.safetensors.*NaN or infinite.*'bad'"):
        load_tensors(tmp_path / "a.safetensors")


def test_a_number_too_large_for_half_precision_is_refused(tmp_path: Path) -> None:
    save_tensors(tmp_path / "a.safetensors", {"w": torch.tensor([1e6])}, half=True)
    with pytest.raises(BundleError, match="infinite"):
        load_tensors(tmp_path / "a.safetensors")


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_torn_file_is_refused(tmp_path: Path, share: float) -> None:
    file = tmp_path / "a.safetensors"
    save_tensors(file, {"w": torch.randn(64, 64)})
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BundleError, match="can't be read as safetensors"):
        load_tensors(file)


class Trap:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return Path.mkdir, (Path("sprung"),)  # type: ignore[return-value]


def test_a_pickle_under_our_name_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, data in enumerate([pickle.dumps(Trap()), pickle.dumps(WEIGHTS)]):
        file = tmp_path / f"{number}.safetensors"
        file.write_bytes(data)
        with pytest.raises(BundleError, match="can't be read as safetensors"):
            load_tensors(file)
    torch.save(WEIGHTS, tmp_path / "2.safetensors")
    with pytest.raises(BundleError, match="can't be read as safetensors"):
        load_tensors(tmp_path / "2.safetensors")
    assert not (tmp_path / "sprung").exists()


def test_what_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"a\.safetensors"):
        load_tensors(tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").mkdir()
    with pytest.raises(BundleError, match=r"b\.safetensors"):
        load_tensors(tmp_path / "b.safetensors")


def test_a_bundle_gives_back_what_was_written(bundle: Bundle) -> None:
    again = Bundle(bundle.path)
    assert again.config == {
        "format": FORMAT,
        "name": "Nüsse",
        "generator": {"resolution": 16},
    }
    assert again.has("generator") and not again.has("critic")
    assert same(again.tensors("generator"), WEIGHTS)
    assert {file.name for file in bundle.path.iterdir()} == {"config.json", "generator.safetensors"}


def test_a_config_that_was_replaced_is_read_anew(bundle: Bundle) -> None:
    assert bundle.config["name"] == "Nüsse"
    Bundle(bundle.path).write_config({"name": "Mandeln"})
    assert bundle.config == {"format": FORMAT, "name": "Mandeln"}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "7", "{}", '{"format": 99}', '{"format": "1"}', "\udcff", "[" * 10**5],
)
def test_a_config_that_is_none_of_ours_is_refused(bundle: Bundle, text: str) -> None:
    (bundle.path / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BundleError, match=r"config\.json"):
        _ = bundle.config


def test_what_a_killed_writer_left_is_no_part_of_a_bundle(bundle: Bundle, tmp_path: Path) -> None:
    digest, parts = bundle.digest, [file.name for file in bundle.weights()]
    (bundle.path / ".blemish-1.other.safetensors").write_bytes(b"half")
    assert Bundle(bundle.path).digest == digest
    assert [file.name for file in pack(bundle, tmp_path / "packed").weights()] == parts


@pytest.mark.parametrize("name", ["generator", "training"])
@pytest.mark.parametrize("wrong", [None, 3, [], "a"])
def test_a_part_of_the_config_that_is_no_object_is_refused(
    bundle: Bundle, name: str, wrong: object
) -> None:
    bundle.write_config({**bundle.config, name: wrong})
    with pytest.raises(BundleError, match=name):
        _ = bundle.config


def test_weights_fill_a_network_of_their_shape(bundle: Bundle) -> None:
    one, other = nn.Linear(3, 2), nn.Linear(3, 2)
    bundle.write("critic", one.state_dict())
    bundle.load_into(other, "critic")
    assert same(one.state_dict(), other.state_dict())


@pytest.mark.parametrize(
    "network", [nn.Linear(3, 4), nn.Linear(3, 2, bias=False), nn.Conv2d(3, 2, 1)]
)
def test_weights_of_another_shape_are_refused(bundle: Bundle, network: nn.Module) -> None:
    bundle.write("critic", nn.Linear(3, 2).state_dict())
    with pytest.raises(BundleError, match=r"critic\.safetensors.*does not fit config\.json"):
        bundle.load_into(network, "critic")


def test_a_change_comes_before_what_the_file_says(bundle: Bundle) -> None:
    network = nn.Linear(3, 2)
    bundle.write("critic", {**network.state_dict(), "branch.weight": torch.ones(1)})
    bundle.load_into(network, "critic", {"bias": torch.ones(2)}, without=("branch.",))
    assert torch.equal(network.bias, torch.ones(2))


def test_the_same_model_has_the_same_digest_wherever_it_lies(
    bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Bundle(tmp_path_factory.mktemp("elsewhere"))
    other.write("generator", WEIGHTS)
    other.write_config(bundle.config)
    (other.path / "README.md").write_text("a card, which is not part of the model")
    assert len(bundle.digest) == 64
    assert other.digest == bundle.digest == Bundle(bundle.path).digest


def test_another_model_has_another_digest(bundle: Bundle) -> None:
    digests = [bundle.digest]
    bundle.write("generator", {**WEIGHTS, "scalar": torch.tensor(0.2)})
    digests.append(bundle.digest)
    bundle.write("critic", WEIGHTS)
    digests.append(bundle.digest)
    bundle.write_config({"name": "Mandeln"})
    digests.append(bundle.digest)
    (bundle.path / "critic.safetensors").rename(bundle.path / "encoder.safetensors")
    digests.append(Bundle(bundle.path).digest)
    assert len({*digests}) == len(digests)


def test_a_bundle_is_found_by_its_folder(bundle: Bundle) -> None:
    assert find_bundle(bundle.path).config == bundle.config
    assert find_bundle(str(bundle.path)).digest == bundle.digest


@pytest.mark.parametrize("name", ["nosuch", "", "/", "../src"])
def test_an_unknown_bundle_lists_the_known_ones(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = Bundle(tmp_path / "bundles" / "nut")
    embedded.path.mkdir(parents=True)
    embedded.write_config({})
    monkeypatch.setattr(checkpoint, "EMBEDDED", embedded.path.parent)
    monkeypatch.chdir(tmp_path)
    assert embedded_bundles() == ["nut"]
    assert find_bundle("nut").path == embedded.path
    with pytest.raises(BundleError, match=r"shipped one \(nut\).*blemish train generator"):
        find_bundle(name)


def test_a_packed_bundle_has_all_but_the_training(bundle: Bundle, tmp_path: Path) -> None:
    bundle.write("critic", {"w": torch.randn(32, 32)})
    (bundle.path / "training" / "generator").mkdir(parents=True)
    save_tensors(bundle.path / "training" / "generator" / "state.safetensors", WEIGHTS)
    packed = pack(bundle, tmp_path / "packed")
    assert packed.config == bundle.config
    names = {file.name for file in packed.path.iterdir()}
    assert names == {"config.json", "critic.safetensors", "generator.safetensors"}
    for name in ("critic", "generator"):
        rounded = {
            k: v.half().float() if v.is_floating_point() else v
            for k, v in bundle.tensors(name).items()
        }
        assert same(packed.tensors(name), rounded)


def codes(**changes: object) -> Codes:
    noise = {"b8.conv1": torch.randn(1, 1, 8, 8), "res_b16.conv0": torch.randn(1, 1, 16, 16)}
    plain = Codes(w=torch.randn(1, 6, 8), w_defect=torch.randn(1, 5, 8), noise=noise, space="w+")
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{}, {"noise": None}, {"w_defect": None}, {"space": "z"}])
def test_codes_come_back(tmp_path: Path, changes: dict[str, object]) -> None:
    before = codes(**changes)
    save_codes(tmp_path / "codes.safetensors", before)
    after = load_codes(tmp_path / "codes.safetensors")
    assert after.space == before.space and torch.equal(after.w, before.w)
    assert (after.w_defect is None) == (before.w_defect is None)
    assert before.w_defect is None or torch.equal(after.w_defect, before.w_defect)  # type: ignore
    assert same(after.noise or {}, before.noise or {})


def test_what_are_no_codes_is_refused(tmp_path: Path) -> None:
    save_tensors(tmp_path / "a.safetensors", WEIGHTS, metadata={"space": "w"})
    save_tensors(tmp_path / "b.safetensors", {"w": torch.randn(1, 6, 8)}, metadata={"space": "v"})
    for name in ("a", "b"):
        with pytest.raises(BundleError, match="has no codes"):
            load_codes(tmp_path / f"{name}.safetensors")


def test_a_write_that_fails_leaves_the_old_weights(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="no space"):
        bundle.write("generator", {"other": torch.ones(3)})
    assert same(bundle.tensors("generator"), WEIGHTS)


def test_a_config_is_readable_by_people(bundle: Bundle) -> None:
    text = (bundle.path / "config.json").read_text(encoding="utf-8")
    assert "Nüsse" in text and text.endswith("}\n") and len(text.splitlines()) > 4
    assert json.loads(text)["format"] == FORMAT
