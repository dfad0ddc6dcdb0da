from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import CONFIG, write_bundle

from blemish.checkpoint import Bundle
from blemish.errors import BundleError
from blemish.models.encoder import Encoder, Encoding, ResidualBlock, load_encoder
from blemish.models.generator import DefectConfig, GeneratorConfig

PLAIN = replace(CONFIG, defect=None)
SHAPES = [
    CONFIG,
    PLAIN,
    replace(PLAIN, resolution=4, channel_base=32),
    replace(PLAIN, resolution=32, w_dim=6, c_dim=3),
    replace(CONFIG, resolution=32, w_dim=6),
    replace(CONFIG, defect=DefectConfig(first_resolution=16, types=("dent",))),
    replace(CONFIG, defect=DefectConfig(first_resolution=8, conditional=False, takes_mask=False)),
]
every_shape = pytest.mark.parametrize("config", SHAPES)


def pictures(config: GeneratorConfig, n: int = 3) -> torch.Tensor:
    return torch.rand(n, 3, config.resolution, config.resolution) * 2 - 1


def tensors(encoding: Encoding) -> list[torch.Tensor]:
    parts = [encoding.w, encoding.w_defect, encoding.mask_logits, encoding.kind_logits]
    return [part for part in parts if part is not None]


def settled(config: GeneratorConfig) -> Encoder:
    """In evaluation mode, with statistics that batches have left."""
    encoder = Encoder(config).train().requires_grad_(False)
    for _ in range(3):
        encoder(pictures(config, 8))
    return encoder.eval()


@pytest.mark.parametrize("training", [True, False])
@every_shape
def test_what_is_read_has_the_shapes_of_codes(config: GeneratorConfig, training: bool) -> None:
    found = Encoder(config).train(training)(pictures(config))
    assert found.w.shape == (3, config.layers, config.w_dim)
    assert all(part.isfinite().all() for part in tensors(found))
    if config.defect is None:
        assert found.w_defect is None and found.mask_logits is None and found.kind_logits is None
        return
    assert found.w_defect is not None and found.mask_logits is not None
    assert found.w_defect.shape == (3, config.defect_layers, config.w_dim)
    assert found.mask_logits.shape == (3, 1, config.resolution, config.resolution)
    assert found.kind_logits is not None
    assert found.kind_logits.shape == (3, max(1, len(config.defect.types)))


def test_pooling_before_the_shortcut_gives_the_same_with_fixed_statistics() -> None:
    block = ResidualBlock(4, 6).requires_grad_(False)
    for _ in range(3):
        block(torch.randn(8, 4, 16, 16) * 2 + 1)
    x = torch.randn(2, 4, 16, 16)
    block.eval()
    found = block(x)
    block.training = True  # the block alone: its normalisations keep their fixed statistics
    assert torch.allclose(found, block(x), atol=1e-6)


@every_shape
def test_every_parameter_gets_a_finite_gradient(config: GeneratorConfig) -> None:
    encoder = Encoder(config)
    torch.stack(
        [part.square().sum() for part in tensors(encoder(pictures(config)))]
    ).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@every_shape
def test_a_batch_of_one_is_an_item_of_a_batch(config: GeneratorConfig) -> None:
    encoder, image = settled(config), pictures(config, 3)
    together = tensors(encoder(image))
    for k in range(3):
        alone = tensors(encoder(image[k : k + 1]))
        for whole, item in zip(together, alone, strict=True):
            torch.testing.assert_close(whole[k : k + 1], item, atol=1e-5, rtol=1e-4)


@every_shape
def test_different_pictures_are_read_differently(config: GeneratorConfig) -> None:
    encoder = settled(config)
    for part in tensors(encoder(pictures(config, 2))):
        assert not torch.allclose(part[0], part[1]) or part.shape[1:] == (1,)


def test_codes_are_read_about_the_mean() -> None:
    encoder, image = settled(CONFIG), pictures(CONFIG)
    before = encoder(image)
    encoder.w_mean.fill_(3)
    encoder.w_defect_mean.fill_(-2)
    after = encoder(image)
    torch.testing.assert_close(after.w, before.w + 3)
    torch.testing.assert_close(after.w_defect, before.w_defect - 2)


def test_only_training_moves_the_statistics_of_batches() -> None:
    encoder, image = Encoder(CONFIG), pictures(CONFIG)
    before = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    encoder.eval()(image)
    assert all(torch.equal(buffer, before[k]) for k, buffer in encoder.named_buffers())
    encoder.train()(image)
    moved = {k for k, buffer in encoder.named_buffers() if not torch.equal(buffer, before[k])}
    assert moved == {k for k in before if not k.endswith("w_mean") and "w_defect" not in k}


def test_the_mask_teaches_no_code() -> None:
    """What is seen under the mask gives the defect's code; the code must not bend the mask."""
    encoder = Encoder(CONFIG)
    found = encoder(pictures(CONFIG))
    assert found.w_defect is not None and encoder.defect is not None
    found.w_defect.square().sum().backward()
    assert encoder.defect.tomask.weight.grad is None


def test_a_bundle_gives_its_encoder_frozen(tmp_path: Path) -> None:
    encoded = write_bundle(tmp_path / "bundle", encoder=True)
    encoder = load_encoder(encoded)
    assert not encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert encoder.w_mean.any() and encoder.w_defect_mean.any()
    stored, loaded = encoded.tensors("encoder"), encoder.state_dict()
    assert stored.keys() == loaded.keys()
    assert all(torch.equal(stored[name], loaded[name]) for name in stored)


def test_without_an_encoder_the_message_says_how_to_get_one(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=f"train encoder DATA --bundle {bundle.path}"):
        load_encoder(bundle)


def test_an_encoder_of_another_shape_is_refused(tmp_path: Path) -> None:
    unfit = write_bundle(tmp_path / "bundle")
    unfit.write("encoder", Encoder(replace(CONFIG, w_dim=8)).state_dict())
    with pytest.raises(BundleError, match=r"does not fit config\.json"):
        load_encoder(unfit)
