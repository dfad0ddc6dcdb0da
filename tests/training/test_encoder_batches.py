from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import CONFIG, TYPES, part, spot

from blemish.data.augment import Symmetries
from blemish.data.stitch import Defects, cut_defects, parts_of
from blemish.models.generator import DefectConfig, Generator, GeneratorConfig
from blemish.pictures import fit_square, to_tensor
from blemish.training.encoder.batches import (
    GOOD,
    BatchSource,
    EncoderBatch,
    EncoderBatches,
    draw_flaws,
)
from blemish.types import Codes

PLAIN = replace(CONFIG, defect=None)
BRANCHES = [
    DefectConfig(first_resolution=8, types=TYPES),
    DefectConfig(first_resolution=8, types=TYPES, takes_mask=False),
    DefectConfig(first_resolution=16, types=("crack",), conditional=False),
]
MOVES = Symmetries(flip=True, rotate=True, shift=True)


def pictures(n: int) -> np.ndarray:
    return np.stack([fit_square(part(seed=seed), 16) for seed in range(n)])


def real_defects() -> Defects:
    """A black and a white spot on the middle of parts."""
    photographs, mask = (
        pictures(2),
        fit_square(np.repeat(spot()[:, :, None], 3, 2) * np.uint8(255), 16),
    )
    masks = np.stack([mask[:, :, 0] > 100] * 2)
    photographs[0][masks[0]], photographs[1][masks[1]] = 0, 255
    return cut_defects(photographs, masks.astype(np.uint8), [0, 1])


def source(*, real: bool = True, moves: Symmetries = MOVES) -> BatchSource:
    defects = real_defects() if real else None
    return BatchSource(photographs=pictures(5), defects=defects, symmetries=moves, placements=moves)


def batches(
    generator: Generator, *, real: bool = True, pairs: float = 0.5, defects: float = 0.5
) -> EncoderBatches:
    return EncoderBatches(generator, source(real=real), pairs=pairs, defects=defects)


def fresh(config: GeneratorConfig) -> Generator:
    return Generator(config).eval().requires_grad_(False)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_same(one: EncoderBatch, other: EncoderBatch) -> None:
    for name in ("image", "mask", "kind", "w", "w_defect"):
        a, b = getattr(one, name), getattr(other, name)
        assert a is b is None or torch.equal(a, b), name


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("n", [1, 7, 16])
@pytest.mark.parametrize("pairs", [0, 0.25, 1])
@pytest.mark.parametrize("defects", [0, 0.5, 1])
def test_a_lesson_has_so_many_of_each(
    generator: Generator, n: int, pairs: float, defects: float, real: bool
) -> None:
    batch = batches(generator, real=real, pairs=pairs, defects=defects).draw(n, rng())
    drawn = round(n * pairs)
    flawed = round((n - drawn) * defects) if real else 0
    assert batch.image.shape == (n, 3, 16, 16) and batch.mask.shape == (n, 1, 16, 16)
    assert batch.kind.shape == (n,)
    assert batch.good == n - drawn - flawed
    assert batch.w.shape == (drawn, CONFIG.layers, 16)
    assert batch.w_defect is not None
    assert batch.w_defect.shape == (drawn, CONFIG.defect_layers, 16)
    assert (batch.kind[: batch.good] == GOOD).all()
    reported = batch.kind[n - drawn :] != GOOD
    assert not reported[round(drawn * defects) :].any()


@pytest.mark.parametrize("branch", BRANCHES)
def test_what_is_good_has_an_empty_mask_and_the_rest_a_type(branch: DefectConfig) -> None:
    drawn = batches(fresh(replace(CONFIG, defect=branch))).draw(24, rng())
    marked = drawn.mask.sum(dim=(1, 2, 3)) > 0
    assert torch.equal(marked, drawn.kind != GOOD)
    assert {*drawn.mask.unique().tolist()} <= {0.0, 1.0}
    assert {*drawn.kind.tolist()} <= {GOOD, *range(2)}
    assert drawn.image.isfinite().all()
    assert drawn.image[12:].abs().max() <= 1


def test_masks_lie_on_parts(generator: Generator) -> None:
    """A stitched defect can't be told from its part's silhouette any more; a drawn twin can."""
    batch = batches(generator, pairs=1, defects=1).draw(16, rng())
    with torch.no_grad():
        part = parts_of(generator(Codes(w=batch.w)).image)
    assert (batch.mask <= part).all()
    assert batch.mask.any()


def test_stitched_defects_are_real_ones(generator: Generator) -> None:
    still = EncoderBatches(generator, source(moves=Symmetries()), pairs=0, defects=1)
    batch = still.draw(8, rng())
    assert batch.good == 0 and (batch.kind >= 0).any()
    for image, mask, kind in zip(batch.image, batch.mask, batch.kind, strict=True):
        inside = image[:, mask[0] > 0]
        assert (inside == (-1.0 if kind == 0 else 1.0)).all()


def test_photographs_are_those_of_the_folder(generator: Generator) -> None:
    plain = EncoderBatches(generator, source(moves=Symmetries()), pairs=0, defects=0)
    known = to_tensor(pictures(5))
    for image in plain.draw(8, rng()).image:
        assert any(torch.equal(image, photograph) for photograph in known)


def test_photographs_are_moved(generator: Generator) -> None:
    moved = batches(generator, pairs=0, defects=0).draw(8, rng()).image
    known = to_tensor(pictures(5))
    assert not all(any(torch.equal(image, photo) for photo in known) for image in moved)


@pytest.mark.parametrize("takes_mask", [True, False])
def test_known_codes_draw_the_picture_again(takes_mask: bool) -> None:
    generator = fresh(replace(CONFIG, defect=replace(BRANCHES[0], takes_mask=takes_mask)))
    batch = batches(generator, pairs=1).draw(8, rng())
    assert batch.w_defect is not None
    good = generator(Codes(w=batch.w[4:]))
    torch.testing.assert_close(batch.image[4:], good.image)
    codes = Codes(w=batch.w[:4], w_defect=batch.w_defect[:4])
    flawed = generator(codes, mask=batch.mask[:4] if takes_mask else None)
    torch.testing.assert_close(batch.image[:4], flawed.image)
    assert torch.equal(batch.mask[:4], flawed.mask)


def test_a_defect_s_code_goes_by_its_type(generator: Generator) -> None:
    batch = batches(generator, pairs=1, defects=1).draw(64, rng())
    assert batch.w_defect is not None
    assert torch.equal(batch.w_defect, batch.w_defect[:, :1].expand_as(batch.w_defect))
    means = [batch.w_defect[batch.kind == kind, 0].mean(dim=0) for kind in (0, 1)]
    z = torch.randn(2000, CONFIG.z_dim, generator=rng(5))
    for kind in (0, 1):
        goal = generator.defect_mapping(z, torch.full((2000,), kind)).mean(dim=0)
        far = [(mean - goal).norm() for mean in means]
        assert far[kind] < far[1 - kind]


@pytest.mark.parametrize("config", [CONFIG, PLAIN])
@pytest.mark.parametrize("real", [True, False])
def test_a_lesson_is_a_function_of_its_rng(config: GeneratorConfig, real: bool) -> None:
    made = batches(fresh(config), real=real)
    first, other, again = (made.draw(6, rng(seed)) for seed in (0, 1, 0))
    assert_same(first, again)
    assert not torch.equal(first.image, other.image)
    assert_same(first, batches(made.generator, real=real).draw(6, rng()))


def test_without_a_branch_nothing_shows_a_drawn_defect() -> None:
    made = batches(fresh(PLAIN), real=False)
    batch = made.draw(8, rng())
    assert batch.w_defect is None
    assert batch.good == 4
    assert (batch.kind == GOOD).all() and not batch.mask.any()
    assert not made.w_defect_mean.any()


def test_moments_are_those_of_fresh_codes(generator: Generator) -> None:
    made = batches(generator)
    w = generator.mapping(torch.randn(20_000, CONFIG.z_dim, generator=rng(1)))
    torch.testing.assert_close(made.w_mean, w.mean(dim=0), atol=0.06, rtol=0)
    assert made.variance == pytest.approx(w.var(dim=0).mean().item(), rel=0.1)
    kinds = torch.arange(20_000) % 2
    rows = generator.defect_mapping(torch.randn(20_000, CONFIG.z_dim, generator=rng(1)), kinds)
    torch.testing.assert_close(made.w_defect_mean, rows.mean(dim=0), atol=0.06, rtol=0)
    assert made.defect_variance == pytest.approx(rows.var(dim=0).mean().item(), rel=0.1)


@pytest.mark.parametrize("real, count", [(True, 4), (False, 1)])
def test_all_that_is_learnt_from_is_named(generator: Generator, real: bool, count: int) -> None:
    data = batches(generator, real=real).data()
    assert [len(tensor) for tensor in data] == [5, 2, 2, 2][:count]


@pytest.mark.parametrize("real", [True, False])
def test_drawn_flaws_lie_on_the_part(real: bool) -> None:
    twin = to_tensor(pictures(6))
    mask = draw_flaws(twin, torch.arange(6) % 2, source(real=real), rng())
    assert mask.shape == (6, 1, 16, 16)
    assert (mask <= parts_of(twin)).all()
    assert (mask.sum(dim=(1, 2, 3)) > 0).all()


def test_real_masks_under_drawn_flaws_have_the_type_of_the_flaw() -> None:
    learnt = source(moves=Symmetries())
    assert learnt.defects is not None
    learnt.defects.mask[1] = 0
    learnt.defects.mask[1, 0, 6:12, 6:12] = 1
    kind = torch.arange(40) % 2
    twin = to_tensor(np.repeat(pictures(1), len(kind), axis=0))
    found = draw_flaws(twin, kind, learnt, rng())
    real = learnt.defects.mask * parts_of(twin[:1])
    same = (found[:, None] == real).flatten(2).all(dim=2)
    of_type = torch.nn.functional.one_hot(kind).bool()
    assert same[of_type].sum() > len(kind) / 3
    assert not same[~of_type].any()


def test_no_gradient_is_kept(generator: Generator) -> None:
    batch = batches(generator).draw(4, rng())
    assert not any(x.requires_grad for x in (batch.image, batch.mask, batch.w))
