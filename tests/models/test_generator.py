from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blemish.errors import OptionError
from blemish.models.generator import (
    DISTANCE_PX,
    DefectConfig,
    Drawing,
    Generator,
    GeneratorConfig,
    Mapping,
    distance_map,
    mask_pyramid,
)
from blemish.types import Codes

BRANCH = DefectConfig(first_resolution=8, types=("crack", "print"))
TINY = GeneratorConfig(
    resolution=16, z_dim=8, w_dim=8, channel_base=128, channel_max=8, defect=BRANCH
)
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


def build(config: GeneratorConfig = TINY, **branch: Any) -> Generator:
    """A generator whose noise and biases do something."""
    if branch:
        config = replace(config, defect=replace(BRANCH, **branch))
    generator = Generator(config)
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.data.fill_(0.3)
        if name.endswith("bias") and "affine" not in name:
            nn.init.normal_(parameter)
    return generator


def learn_to_take(generator: Generator) -> Generator:
    for name, parameter in generator.named_parameters():
        if name.endswith("frommask.weight"):
            nn.init.normal_(parameter)
    return generator


def codes_of(generator: Generator, n: int = 2, kind: int = 0) -> Codes:
    z, z_defect = torch.randn(2, n, generator.config.z_dim).unbind()
    return generator.codes(z, z_defect, torch.full((n,), kind))


def square(side: int = 16, n: int = 2, at: slice = slice(5, 10)) -> Tensor:
    mask = torch.zeros(n, 1, side, side)
    mask[:, :, at, at] = 1
    return mask


def logits_of(drawing: Drawing) -> Tensor:
    assert drawing.mask_logits is not None
    return drawing.mask_logits


def loss_of_image_and_mask(drawing: Drawing) -> Tensor:
    target = square(drawing.image.shape[2], len(drawing.image))
    seen = F.binary_cross_entropy_with_logits(logits_of(drawing), target)
    return drawing.image.square().mean() + seen


@pytest.mark.parametrize(
    "resolution, first, layers, defect_layers",
    [(16, 8, 6, 5), (64, 16, 10, 7), (256, 64, 14, 7), (256, 256, 14, 3), (1024, 256, 18, 7)],
)
def test_a_config_counts_its_rows(
    resolution: int, first: int, layers: int, defect_layers: int
) -> None:
    config = GeneratorConfig(resolution=resolution, defect=DefectConfig(first_resolution=first))
    assert (config.layers, config.defect_layers) == (layers, defect_layers)
    assert config.resolutions()[0] == 4 and config.resolutions()[-1] == resolution
    assert config.defect_resolutions()[0] == first


def test_channels_halve_until_they_are_capped() -> None:
    config = GeneratorConfig(resolution=256, channel_base=4096, channel_max=128)
    channels = [config.channels(r) for r in config.resolutions()]
    assert channels == [128, 128, 128, 128, 64, 32, 16]


@pytest.mark.parametrize("resolution, first", [(8, 8), (16, 8), (32, 8), (32, 32)])
@pytest.mark.parametrize("refine", [False, True])
def test_shapes(resolution: int, first: int, refine: bool) -> None:
    branch = replace(BRANCH, first_resolution=first, refine=refine)
    generator = build(replace(TINY, resolution=resolution, defect=branch))
    codes = codes_of(generator, n=3)
    assert codes.w_defect is not None
    assert codes.w.shape == (3, generator.config.layers, 8)
    assert codes.w_defect.shape == (3, generator.config.defect_layers, 8)
    drawing = generator.draw(codes)
    assert drawing.image.shape == (3, 3, resolution, resolution)
    assert logits_of(drawing).shape == (3, 1, resolution, resolution)


def test_a_sample_is_in_range_with_a_binary_mask() -> None:
    generator = build()
    sample = generator(codes_of(generator, n=8))
    assert sample.image.abs().max() <= 1
    assert set(sample.mask.unique().tolist()) <= {0.0, 1.0}


def test_the_good_twin_has_an_empty_mask_and_a_given_mask_comes_back() -> None:
    generator, mask = build(), square()
    codes = codes_of(generator)
    assert generator(codes.good()).mask.count_nonzero() == 0
    assert torch.equal(generator(codes, mask=mask).mask, mask)


def test_a_generator_without_a_branch_draws_good_parts() -> None:
    generator = Generator(replace(TINY, defect=None))
    drawing = generator.draw(generator.codes(torch.randn(2, 8)))
    assert drawing.image.shape == (2, 3, 16, 16) and drawing.mask_logits is None


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("gate", ["hard", "straight-through"])
@pytest.mark.parametrize("refine", [False, True])
def test_every_parameter_of_the_branch_gets_a_gradient(
    gate: str, refine: bool, given: bool
) -> None:
    generator = build(gate=gate, refine=refine)
    drawing = generator.draw(codes_of(generator), mask=square() if given else None)
    loss_of_image_and_mask(drawing).backward()
    for name, parameter in generator.named_parameters():
        if name.startswith(("defect_mapping", "synthesis.res_")):
            wanted = given or "frommask" not in name  # it starts at zero, and learns all the same
            assert (parameter.grad is not None) == wanted, name
            if parameter.grad is not None:
                assert parameter.grad.isfinite().all() and parameter.grad.any(), name


@pytest.mark.parametrize("given", [False, True])
def test_every_row_of_the_codes_gets_a_gradient(given: bool) -> None:
    generator = build()
    codes = codes_of(generator)
    assert codes.w_defect is not None
    w, w_defect = (t.detach().clone().requires_grad_() for t in (codes.w, codes.w_defect))
    drawing = generator.draw(Codes(w=w, w_defect=w_defect), mask=square() if given else None)
    loss_of_image_and_mask(drawing).backward()
    for gradient in (w.grad, w_defect.grad):
        assert gradient is not None and gradient.isfinite().all()
        assert gradient.abs().amax(dim=2).min() > 0


def test_without_refinement_the_last_defect_row_is_dead() -> None:
    """The trap in the published branch, which `refine` is the way out of."""
    generator = build(refine=False)
    codes = codes_of(generator)
    assert codes.w_defect is not None
    w_defect = codes.w_defect.detach().clone().requires_grad_()
    loss_of_image_and_mask(generator.draw(Codes(w=codes.w, w_defect=w_defect))).backward()
    assert w_defect.grad is not None
    assert not w_defect.grad[:, -1].any()
    assert w_defect.grad[:, :-1].abs().amax(dim=2).min() > 0


@pytest.mark.parametrize("gate", ["hard", "straight-through"])
def test_only_a_straight_through_gate_lets_the_image_move_the_mask(gate: str) -> None:
    generator = build(gate=gate)
    image = generator.draw(codes_of(generator)).image
    (gradient,) = torch.autograd.grad(
        image.square().mean(),
        [generator.get_parameter("synthesis.res_b16.torgb.weight")],
        allow_unused=True,
    )
    assert (gradient is None) == (gate == "hard")
    assert gradient is None or gradient.any()


def test_both_gates_draw_the_same_to_the_bit() -> None:
    soft, hard = build(), build(gate="hard")
    hard.load_state_dict(soft.state_dict())
    codes = codes_of(soft)
    assert torch.equal(soft.draw(codes).image, hard.draw(codes).image)


def test_a_mask_that_is_the_branchs_own_changes_nothing_before_it_has_learnt() -> None:
    generator = build(first_resolution=16)  # one resolution, so that the mask is not averaged
    codes = codes_of(generator)
    own = generator.draw(codes)
    mask = (logits_of(own) >= 0).float()
    assert 0 < mask.mean() < 1
    given = generator.draw(codes, mask=mask)
    assert torch.equal(given.image, own.image)
    assert torch.equal(logits_of(given), logits_of(own))


def test_a_branch_that_can_take_a_mask_is_the_old_one_without() -> None:
    taking, old = learn_to_take(build()), build(takes_mask=False)
    state = {k: v for k, v in taking.state_dict().items() if "frommask" not in k}
    old.load_state_dict(state)
    codes = codes_of(taking)
    assert torch.equal(taking.draw(codes).image, old.draw(codes).image)
    assert torch.equal(logits_of(taking.draw(codes)), logits_of(old.draw(codes)))


def test_a_branch_that_takes_no_mask_says_so() -> None:
    generator = build(takes_mask=False)
    with pytest.raises(ValueError, match="does not accept one"):
        generator.draw(codes_of(generator), mask=square())


def test_the_good_twin_takes_no_notice_of_a_mask_or_of_the_branch() -> None:
    generator, backbone = learn_to_take(build()), Generator(replace(TINY, defect=None))
    of_backbone = ("mapping.", "synthesis.b")
    state = {k: v for k, v in generator.state_dict().items() if k.startswith(of_backbone)}
    backbone.load_state_dict(state)
    codes = codes_of(generator)
    twin = generator.draw(codes.good(), mask=square())
    assert twin.mask_logits is None
    assert torch.equal(twin.image, backbone.draw(codes.good()).image)
    assert not torch.equal(twin.image, generator.draw(codes).image)


@pytest.mark.parametrize("resolution, first", [(16, 16), (32, 16), (32, 8), (64, 16), (64, 8)])
@pytest.mark.parametrize("seed", range(3))
def test_a_given_mask_changes_nothing_beyond_its_reach(
    resolution: int, first: int, seed: int
) -> None:
    """Exactly nothing beyond 4·(resolution / first - 1) pixels: 12 where the branch begins at a
    quarter of the side. That is the receptive field of what follows, the mask's coarsest pixels
    included, and it was measured to be reached."""
    branch = replace(BRANCH, first_resolution=first)
    shape = replace(TINY, resolution=resolution, channel_base=8 * resolution, defect=branch)
    generator = learn_to_take(build(shape))
    row, column = torch.randint(resolution, (2,), generator=torch.Generator().manual_seed(seed))
    mask = torch.zeros(1, 1, resolution, resolution)
    mask[0, 0, row, column] = 1
    codes = codes_of(generator, n=1)
    change = generator.draw(codes, mask=mask).image - generator.draw(codes.good()).image
    axis = torch.arange(resolution)
    far = torch.maximum((axis[:, None] - row).abs(), (axis - column).abs())
    changed = change.abs().amax(dim=(0, 1)) > 0
    assert changed[row, column]
    assert far[changed].max() <= 4 * (resolution // first - 1)


def test_an_empty_mask_draws_the_good_twin() -> None:
    generator = learn_to_take(build())
    codes = codes_of(generator)
    drawn = generator.draw(codes, mask=torch.zeros(2, 1, 16, 16)).image
    assert torch.equal(drawn, generator.draw(codes.good()).image)


@pytest.mark.parametrize("given", [False, True])
def test_a_batch_of_one_equals_an_item_of_a_batch(given: bool) -> None:
    generator = learn_to_take(build())
    codes, mask = codes_of(generator, n=3), square(n=3) if given else None
    assert codes.w_defect is not None
    batch = generator.draw(codes, mask=mask)
    for k in range(3):
        one = Codes(w=codes.w[k : k + 1], w_defect=codes.w_defect[k : k + 1])
        alone = generator.draw(one, mask=None if mask is None else mask[k : k + 1])
        torch.testing.assert_close(alone.image[0], batch.image[k], **CLOSE)
        torch.testing.assert_close(logits_of(alone)[0], logits_of(batch)[k], **CLOSE)


def test_constant_noise_is_the_same_each_time_and_none_is_none() -> None:
    generator = build()
    codes = codes_of(generator)
    constant = generator.draw(codes).image
    assert torch.equal(constant, generator.draw(codes, noise="const").image)
    assert not torch.equal(constant, generator.draw(codes, noise="none").image)
    for _, layer in generator.synthesis.layers():
        layer.noise_strength.data.zero_()
    torch.testing.assert_close(
        generator.draw(codes).image, generator.draw(codes, noise="none").image
    )


def test_random_noise_is_what_its_generator_says() -> None:
    generator = build()
    codes = codes_of(generator)

    def drawn(seed: int) -> Tensor:
        rng = torch.Generator().manual_seed(seed)
        return generator.draw(codes, noise="random", rng=rng).image

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_a_codes_own_noise_comes_before_any_mode() -> None:
    generator = build()
    constants = {
        name: layer.noise_const[None, None] for name, layer in generator.synthesis.layers()
    }
    assert {"b4.conv1", "b16.conv0", "res_b8.conv0", "res_b16.conv1"} <= constants.keys()
    plain = codes_of(generator)
    own = replace(plain, noise=constants)
    assert torch.equal(generator.draw(own, noise="none").image, generator.draw(plain).image)
    one = {"b8.conv1": torch.randn(2, 1, 8, 8)}
    assert not torch.equal(
        generator.draw(replace(plain, noise=one)).image, generator.draw(plain).image
    )


def test_types_condition_the_defect_code_and_nothing_else() -> None:
    generator = build()
    z, z_defect = torch.randn(2, 2, 8).unbind()
    crack, print_ = (generator.codes(z, z_defect, torch.tensor([k, k])) for k in (0, 1))
    assert crack.w_defect is not None and print_.w_defect is not None
    assert torch.equal(crack.w, print_.w)
    assert not torch.allclose(crack.w_defect, print_.w_defect)
    mixed = generator.codes(z, z_defect, torch.tensor([0, 1])).w_defect
    assert mixed is not None
    torch.testing.assert_close(mixed[0], crack.w_defect[0])
    torch.testing.assert_close(mixed[1], print_.w_defect[1])


def test_a_branch_without_types_asks_for_none() -> None:
    generator = build(types=())
    assert generator.codes(torch.randn(2, 8), torch.randn(2, 8)).w_defect is not None
    with pytest.raises(AssertionError):
        build().codes(torch.randn(2, 8), torch.randn(2, 8))


def test_the_scale_of_a_latent_does_not_matter() -> None:
    mapping, z = Mapping(z_dim=8, w_dim=8, layers=2), torch.randn(4, 8)
    torch.testing.assert_close(mapping(3 * z), mapping(z))


@pytest.mark.parametrize("psi", [0.0, 0.5, 1.0])
def test_truncation_goes_towards_the_mean(psi: float) -> None:
    generator, z = build(), torch.randn(4, 8)
    generator.mapping.w_avg.copy_(torch.randn(8))
    mean, w = generator.mapping.w_avg, generator.mapping(z)
    truncated = generator.codes(z, psi=psi, space="w")
    assert truncated.space == "w"
    torch.testing.assert_close(truncated.w[:, 0], mean + psi * (w - mean))
    assert (truncated.w == truncated.w[:, :1]).all()


def test_rounded_logits_are_half_precision_numbers() -> None:
    generator = build(float16_logits=True)
    logits = logits_of(generator.draw(codes_of(generator)))
    assert torch.equal(logits, logits.half().float())


def blobs(n: int = 4, side: int = 32) -> Tensor:
    smooth = F.avg_pool2d(torch.randn(n, 1, side, side), 9, stride=1, padding=4)
    return (smooth > 0.05).float()


def test_a_distance_map_is_deep_inside_one_and_far_outside_minus_one() -> None:
    far = distance_map(square(64, 1, slice(16, 48)))[0, 0]
    assert far[32, 32] == 1 and far[0, 0] == -1
    row = far[32] * DISTANCE_PX
    expected = torch.arange(8.0).tolist()
    assert row[16:24].tolist() == expected  # the first pixel of the mask is at its edge
    assert row[8:16].tolist() == [-x for x in reversed(expected)]  # and so is the last outside


def test_a_distance_map_is_antisymmetric_bounded_and_monotone() -> None:
    mask = blobs()
    larger = F.max_pool2d(mask, 3, stride=1, padding=1)
    far = distance_map(mask)
    assert far.abs().max() <= 1
    torch.testing.assert_close(distance_map(1 - mask), -far)
    assert (distance_map(larger) >= far).all()
    assert ((far > 0) <= (mask == 1)).all() and ((far < 0) <= (mask == 0)).all()


def test_a_distance_map_climbs_by_a_step_a_pixel_at_most() -> None:
    far = distance_map(blobs())
    step = 1 / DISTANCE_PX + 1e-6
    assert far.diff(dim=2).abs().max() <= step and far.diff(dim=3).abs().max() <= step


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_distance_map_of_an_even_mask_is_even(value: float) -> None:
    far = distance_map(torch.full((1, 1, 16, 16), value))
    assert torch.equal(far, torch.full_like(far, 2 * value - 1))


def test_a_pyramid_keeps_the_share_of_the_mask() -> None:
    mask = blobs()
    pyramid = mask_pyramid(mask, [8, 16, 32])
    assert {r: tuple(p.shape) for r, p in pyramid.items()} == {r: (4, 2, r, r) for r in (8, 16, 32)}
    for level in pyramid.values():
        share = (level[:, 0].mean(dim=(1, 2)) + 1) / 2
        torch.testing.assert_close(share, mask.mean(dim=(1, 2, 3)))
    assert torch.equal(pyramid[32][:, :1], 2 * mask - 1)


@pytest.mark.parametrize("resolution, first", [(48, 16), (64, 24), (32, 64), (2048, 64)])
def test_sides_that_no_generator_has_are_refused(resolution: int, first: int) -> None:
    with pytest.raises(OptionError, match="powers of two"):
        GeneratorConfig(resolution=resolution, defect=DefectConfig(first_resolution=first))


def test_an_image_of_a_smaller_side_is_the_coarser_generators() -> None:
    fine, coarse = (build(replace(TINY, resolution=r, defect=None)) for r in (32, 16))
    coarse.load_state_dict(fine.state_dict(), strict=False)
    codes = fine.codes(torch.randn(2, TINY.z_dim))
    rows = Codes(w=codes.w[:, : coarse.config.layers])
    assert torch.equal(fine.draw(codes, side=16).image, coarse.draw(rows).image)
