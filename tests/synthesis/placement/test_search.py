from dataclasses import replace
from math import nan
from typing import get_args

import pytest
import torch
from torch import Tensor

from blemish.errors import OptionError
from blemish.inversion.losses import mask_error
from blemish.models.generator import Generator
from blemish.names import CodeSpace, MaskControl
from blemish.synthesis.options import SearchOptions
from blemish.synthesis.placement.drawers import BranchDrawer
from blemish.synthesis.placement.search import (
    Placed,
    place_defects,
)
from blemish.synthesis.references.stitch import Stitched
from blemish.types import Codes

CONTROLS = get_args(MaskControl)
SPACES = get_args(CodeSpace)


def square(top: int, left: int, side: int = 5) -> Tensor:
    mask = torch.zeros(1, 1, 16, 16)
    mask[:, :, top : top + side, left : left + side] = 1
    return mask


def rngs(n: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed + k) for k in range(n)]


@pytest.fixture(scope="module")
def twin(generator: Generator) -> Codes:
    with torch.no_grad():
        return generator.codes(torch.randn(1, 16, generator=torch.Generator().manual_seed(5)))


@pytest.fixture(scope="module")
def photograph(generator: Generator, twin: Codes) -> Tensor:
    with torch.no_grad():
        return generator(twin).image


@pytest.fixture
def place(generator: Generator, twin: Codes, photograph: Tensor):
    def place(
        how: SearchOptions, *, n: int = 2, seed: int = 0, mask: Tensor | None = None, **more
    ) -> Placed:
        wanted, kind = square(4, 5) if mask is None else mask, more.pop("kind", 0)
        codes = more.pop("twin", twin)
        return place_defects(
            BranchDrawer(generator),
            codes,
            photograph,
            wanted,
            kind,
            how,
            rngs=rngs(n, seed),
            **more,
        )

    return place


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("space", SPACES)
def test_each_control_runs_in_each_space(
    place, generator: Generator, twin: Codes, control: MaskControl, space: CodeSpace
) -> None:
    placed = place(SearchOptions(mask_control=control, defect_space=space, defect_steps=8))
    assert placed.defective.shape == placed.twin.shape == (2, 3, 16, 16)
    assert placed.mask_logits.shape == (2, 1, 16, 16)
    assert placed.codes.w.shape == (2, generator.config.layers, 16)
    assert placed.codes.w_defect is not None
    assert placed.codes.w_defect.shape == (2, generator.config.defect_layers, 16)
    assert not torch.equal(placed.defective[0], placed.defective[1])
    searched = {"mask", "image", "stay"} | ({"noise"} if control == "noise" else set())
    assert {*placed.terms} == (set() if control == "condition" else searched)
    if space != "w+":
        assert torch.equal(placed.codes.w_defect[:, 0], placed.codes.w_defect[:, -1])
    kept = torch.equal(placed.codes.w[0], twin.w[0])
    assert kept == (control == "condition"), "the polish moves the part's own codes too"


@pytest.mark.parametrize("control", CONTROLS)
def test_the_codes_draw_what_came_back(place, generator: Generator, control: MaskControl) -> None:
    placed = place(SearchOptions(mask_control=control, defect_steps=5))
    given = square(4, 5).expand(2, -1, -1, -1) if control == "condition" else None
    drawing = generator.draw(placed.codes, mask=given)
    assert drawing.mask_logits is not None
    torch.testing.assert_close(drawing.image, placed.defective)
    torch.testing.assert_close(drawing.mask_logits, placed.mask_logits)
    torch.testing.assert_close(generator.draw(placed.codes.good()).image, placed.twin)


@pytest.mark.parametrize("control", CONTROLS)
def test_nothing_that_comes_back_tracks_gradients(place, control: MaskControl) -> None:
    placed = place(SearchOptions(mask_control=control, defect_steps=2))
    tensors = [placed.codes.w, placed.codes.w_defect, *placed.codes.noise.values()]
    tensors += [placed.defective, placed.twin, placed.mask_logits, *placed.terms.values()]
    assert not any(tensor.requires_grad for tensor in tensors)


def test_each_search_is_nearer_than_the_start(place) -> None:
    mask = square(4, 5).expand(2, -1, -1, -1)
    start = mask_error(place(SearchOptions(mask_control="codes", defect_steps=0)).mask_logits, mask)
    found = {
        control: place(SearchOptions(mask_control=control, defect_steps=24)).terms["mask"]
        for control in ("codes", "noise")
    }
    assert (found["codes"] < start).all()
    assert (found["noise"] < found["codes"]).all(), "noise maps are freer than codes"


@pytest.mark.parametrize("space", SPACES)
def test_a_given_mask_says_where(place, space: CodeSpace) -> None:
    how = SearchOptions(defect_space=space)
    places = [square(2, 2), square(9, 9)]
    placed = [place(how, mask=mask) for mask in places]
    assert torch.equal(placed[0].codes.w_defect, placed[1].codes.w_defect), "the look is the same"
    for here, there in ((0, 1), (1, 0)):
        change = (placed[here].defective - placed[here].twin).abs()
        inside, elsewhere = (
            (change * mask).sum(dim=(1, 2, 3)) / mask.sum()
            for mask in (places[here], places[there])
        )
        assert (inside > 10 * elsewhere).all()


def test_kinds_look_different(place) -> None:
    crack, paint = (place(SearchOptions(), kind=kind).defective for kind in (0, 1))
    assert not torch.allclose(crack, paint, atol=1e-2)


@pytest.mark.parametrize("control", CONTROLS)
def test_a_batch_is_its_items(place, control: MaskControl) -> None:
    how = SearchOptions(mask_control=control, defect_steps=4)
    together = place(how, n=5)
    for k in (0, 3):
        alone = place(how, n=1, seed=k)
        torch.testing.assert_close(
            together.defective[k : k + 1], alone.defective, atol=5e-3, rtol=1e-2
        )
        torch.testing.assert_close(together.codes.w[k : k + 1], alone.codes.w, atol=5e-3, rtol=1e-2)


@pytest.mark.parametrize("control", CONTROLS)
def test_the_same_seed_gives_the_same_defect(place, control: MaskControl) -> None:
    how = SearchOptions(mask_control=control, defect_steps=3)
    first, again, other = place(how), place(how), place(how, seed=7)
    assert torch.equal(first.defective, again.defective)
    assert not torch.equal(first.defective, other.defective)


@pytest.mark.parametrize("control", CONTROLS)
def test_a_reference_is_approached(place, control: MaskControl) -> None:
    mask, target = (
        square(4, 5),
        torch.zeros(2, 3, 16, 16) + torch.tensor([0.9, -0.9, 0])[:, None, None],
    )
    reference, far = Stitched(target), {}
    for steps in (0, 12):
        how = SearchOptions(mask_control=control, defect_steps=steps, reference_weight=3)
        placed = place(how, reference=reference)
        far[steps] = reference.error(placed.defective, mask.expand(2, -1, -1, -1))
    assert (far[12] < far[0]).all()
    torch.testing.assert_close(placed.terms["reference"], far[12])


def test_a_heavy_stay_weight_holds_the_code(place) -> None:
    found = [
        place(SearchOptions(mask_control="codes", defect_steps=12, stay_weight=weight)).terms[
            "stay"
        ]
        for weight in (0.0, 1e4)
    ]
    assert (found[1] < 0.1 * found[0]).all()


def test_noise_maps_stay_normal(place) -> None:
    placed = place(SearchOptions(mask_control="noise", defect_steps=8))
    assert placed.codes.noise
    assert all(name.startswith("res_") for name in placed.codes.noise)
    for noise in placed.codes.noise.values():
        torch.testing.assert_close(noise.mean(dim=(1, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
        torch.testing.assert_close(noise.square().mean(dim=(1, 2, 3)), torch.ones(2))


def test_the_twin_s_own_noise_is_kept(place, generator: Generator, twin: Codes) -> None:
    own = torch.randn(1, 1, 8, 8)
    placed = place(
        SearchOptions(mask_control="noise", defect_steps=3),
        twin=replace(twin, noise={"b8.conv0": own}),
    )
    assert torch.equal(placed.codes.noise["b8.conv0"], own.expand(2, -1, -1, -1))
    assert "res_b8.conv0" in placed.codes.noise
    torch.testing.assert_close(generator.draw(placed.codes.good()).image, placed.twin)


def test_the_search_reports_each_step(place) -> None:
    heard: list[int] = []
    place(SearchOptions(mask_control="codes", defect_steps=8), on_progress=heard.append)
    assert heard == [*range(8), 0, 1], "the fit, then a quarter of it for the polish"


def test_the_generator_is_left_alone(place, generator: Generator) -> None:
    before = [w.clone() for w in generator.parameters()]
    place(SearchOptions(mask_control="noise", defect_steps=3))
    for weight, then in zip(generator.parameters(), before, strict=True):
        assert weight.grad is None
        assert torch.equal(weight, then)


@pytest.mark.parametrize(
    "options",
    [
        {"defect_steps": -1},
        {"defect_learning_rate": 0},
        {"mask_weight": -1},
        {"image_weight": nan},
        {"reference_weight": 1e10},
        {"stay_weight": -0.1},
        {"noise_weight": nan},
    ],
)
def test_bad_options_are_refused(options: dict) -> None:
    with pytest.raises(OptionError):
        SearchOptions(**options)
