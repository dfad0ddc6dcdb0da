"""Part, mask and window generator together draw what a search asks for."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from commands import exit_code
from tiny import CONFIG, add_masks, part, spot, write_bundle, write_defects, write_scene
from torch import Tensor

from blemish.checkpoint import Bundle, load_codes
from blemish.inversion.losses import mask_error
from blemish.manifest import read_rows
from blemish.models.load import load_generator
from blemish.names import CodeSpace
from blemish.pictures import fit_square, mask_to_tensor, to_tensor
from blemish.synthesis.masks.learned import load_masks
from blemish.synthesis.options import SearchOptions
from blemish.synthesis.placement.composed import ComposedDrawer, PartMasks
from blemish.synthesis.placement.drawers import BranchDrawer, Drawer
from blemish.synthesis.placement.search import Placed, place_defects
from blemish.types import Codes
from blemish.windows.paint import load_windows

SPACES = get_args(CodeSpace)
SIDE = 32
SHAPE = replace(CONFIG, resolution=SIDE, defect=None)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """One without a defect branch."""
    path = tmp_path_factory.mktemp("composed") / "bundle"
    found = write_bundle(path, SHAPE, windows=True)
    add_masks(found)
    return found


@pytest.fixture(scope="module")
def drawer(bundle: Bundle, photograph: Tensor) -> ComposedDrawer:
    masks = PartMasks(load_masks(bundle), photograph)
    return ComposedDrawer(load_generator(bundle), load_windows(bundle), masks, 2.0)


@pytest.fixture(scope="module")
def photograph() -> Tensor:
    return to_tensor(fit_square(part(), SIDE))[None]


@pytest.fixture(scope="module")
def mask() -> Tensor:
    return mask_to_tensor(spot(SIDE, SIDE, at=(0.45, 0.55)))[None]


def twin_of(drawer: ComposedDrawer) -> Codes:
    return drawer.part.codes(torch.zeros(1, SHAPE.z_dim))


def place(drawer: Drawer, photograph: Tensor, mask: Tensor, twin: Codes, **how: object) -> Placed:
    rngs = [torch.Generator().manual_seed(k) for k in range(2)]
    options = SearchOptions(**how)  # type: ignore[arg-type]
    return place_defects(drawer, twin, photograph, mask, 1, options, rngs=rngs)


def test_both_kinds_of_networks_are_drawers(drawer: ComposedDrawer) -> None:
    assert isinstance(drawer, Drawer) and isinstance(BranchDrawer(drawer.part), Drawer)


@pytest.mark.parametrize("space", SPACES)
def test_codes_come_nearer_to_a_mask(
    drawer: ComposedDrawer, photograph: Tensor, mask: Tensor, space: CodeSpace
) -> None:
    far = []
    for steps in (0, 10):
        how = {"mask_control": "codes", "defect_space": space, "defect_steps": steps}
        placed = place(drawer, photograph, mask, twin_of(drawer), **how)
        far.append(mask_error(placed.mask_logits, mask.expand(2, -1, -1, -1)))
    assert (far[1] < far[0]).all()
    assert placed.codes.w_mask is not None and placed.codes.w_defect is not None
    assert {*placed.terms} == {"mask", "image", "stay"}
    again = drawer.draw(placed.codes, 1, None)
    torch.testing.assert_close(again.image, placed.defective)
    torch.testing.assert_close(again.mask_logits, placed.mask_logits)
    torch.testing.assert_close(drawer.twin(placed.codes), placed.twin)


def test_a_given_mask_is_the_mask(drawer: ComposedDrawer, photograph: Tensor, mask: Tensor) -> None:
    placed = place(drawer, photograph, mask, twin_of(drawer))
    assert torch.equal(placed.mask_logits > 0, mask.expand(2, -1, -1, -1) > 0)
    change = (placed.defective - placed.twin).abs().amax(dim=1, keepdim=True)
    near = torch.nn.functional.max_pool2d(mask, 13, stride=1, padding=6)
    assert change.amax() > 0 and not (change * (1 - near)).any()


def test_a_mask_lies_where_its_frame_does(
    drawer: ComposedDrawer, photograph: Tensor, mask: Tensor
) -> None:
    """The mask in the image is the one that the photograph's own pixels would get."""
    leaves = drawer.start(twin_of(drawer), mask, 1, "w", [torch.Generator()])
    codes = drawer.codes(leaves, 1, "w")
    assert drawer.masks is not None and codes.w_mask is not None
    shown, model = drawer.masks.shown, drawer.masks.model
    own = model.generator.draw(shown.depth, Codes(w=codes.w_mask), model.index("paint"))
    wanted = torch.from_numpy(shown.on_photograph(own))
    found = drawer.draw(codes, 1, None).mask_logits
    assert found is not None and wanted.any()
    union = ((found[0, 0] > 0) | wanted).sum()
    assert ((found[0, 0] > 0) & wanted).sum() > 0.85 * union  # one interpolates, one clamps


def test_gradients_reach_all_codes(
    drawer: ComposedDrawer, photograph: Tensor, mask: Tensor
) -> None:
    leaves = drawer.start(twin_of(drawer), mask, 0, "w", [torch.Generator()])
    assert leaves.mask is not None
    variables = [x.requires_grad_() for x in (leaves.defect, leaves.mask, leaves.w)]
    image = drawer.draw(drawer.codes(leaves, 0, "w"), 0, None).image
    gradients = torch.autograd.grad(image.square().sum(), variables)
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.parametrize("control", ["codes", "condition"])
@pytest.mark.parametrize("reference", ["none", "distil", "stitch"])
def test_the_command_searches_with_them(
    control: str, reference: str, bundle: Bundle, tmp_path: Path
) -> None:
    write_scene(tmp_path)
    words = f"synthesize --normal {tmp_path}/nut.png --mask {tmp_path}/nut_mask.png --defect paint"
    words += f" --bundle {bundle.path} --method optimize --mask-control {control} --steps 2"
    words += f" --defect-steps 3 --reference {reference} --device cpu --out {tmp_path}/out"
    if reference != "none":
        write_defects(tmp_path / "real")
        words += f" --real {tmp_path}/real"
    assert exit_code(words) == 0
    (row,) = read_rows(tmp_path / "out" / "manifest.jsonl")
    codes = load_codes(tmp_path / "out" / row["files"]["codes"])
    assert (codes.w_mask is not None) == (control == "codes")
    assert codes.w_defect is not None
    assert ("reference" in row["scores"]) == (reference != "none")


def test_what_a_bundle_lacks_is_said(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scene(tmp_path)
    plain = write_bundle(tmp_path / "plain", SHAPE, windows=True)
    bare = write_bundle(tmp_path / "bare", SHAPE)
    words = f"synthesize --normal {tmp_path}/nut.png --mask {tmp_path}/nut_mask.png --defect paint"
    words += f" --method optimize --out {tmp_path}/out"
    for folder, control, said in (
        (bundle.path, "noise", "has no noise maps"),
        (plain.path, "codes", "train masks DATA"),
        (bare.path, "codes", "train windows DATA"),
    ):
        assert exit_code(f"{words} --bundle {folder} --mask-control {control}") == 2
        assert said in " ".join(capsys.readouterr().err.split())
