"""Data sets and transforms give the same items whoever asks, and masks that say what changed."""

from pathlib import Path

import pytest
import torch
from tiny import part, write_bundle
from torch.utils.data import DataLoader

import blemish
from blemish.api.bundle import OpenBundle
from blemish.errors import DataError, OptionError
from blemish.pictures import write_picture
from blemish.torch import AddDefect, Synthetic, SyntheticFolder, SyntheticRecipe


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenBundle:
    path = tmp_path_factory.mktemp("torch") / "bundle"
    return blemish.load(write_bundle(path, windows=True).path, device="cpu")


@pytest.fixture
def made(opened: OpenBundle) -> Synthetic:
    photos = [part(seed=0), part(seed=1)]
    return Synthetic(opened, photos, 5, seed=3, mask_kind="spots", area=0.05)


def test_an_item_depends_on_its_index_alone(made: Synthetic, opened: OpenBundle) -> None:
    assert len(made) == 5
    first, again = made[3], made[3]
    assert all(
        torch.equal(torch.as_tensor(a), torch.as_tensor(b))
        for a, b in zip(first, again, strict=True)
    )
    longer = Synthetic(opened, made.photos, 9, seed=3, mask_kind="spots", area=0.05)
    assert torch.equal(longer[3][0], first[0]) and torch.equal(made[-2][0], first[0])
    assert not torch.equal(made[1][0], first[0])


def test_photographs_and_types_take_turns(made: Synthetic) -> None:
    kinds = [made[k][2] for k in range(5)]
    assert kinds == [0, 0, 1, 1, 0]
    assert [made.item(k).defect for k in range(5)] == [made.defects[k] for k in kinds]
    for k in range(5):
        image, mask, _ = made[k]
        twin = torch.from_numpy(made.photos[k % 2]).permute(2, 0, 1) / 255
        assert image.shape == (3, 64, 64) and mask.shape == (1, 64, 64)
        assert ((image != twin).any(dim=0) == (mask[0] > 0)).all() and mask.any()


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_give_what_one_process_gives(context: str, made: Synthetic) -> None:
    loader = DataLoader(made, batch_size=2, num_workers=1, multiprocessing_context=context)
    images = torch.cat([images for images, _, _ in loader])
    assert torch.equal(images, torch.stack([made[k][0] for k in range(5)]))


def test_an_end_is_an_end(made: Synthetic) -> None:
    for index in (5, -6):
        with pytest.raises(IndexError):
            made[index]


def test_a_recipe_and_its_folder_give_the_same_items(opened: OpenBundle, tmp_path: Path) -> None:
    write_picture(tmp_path / "nut.png", part())
    (tmp_path / "torn.png").write_bytes(b"torn")
    group = 'count = 2\nphotographs = ["nut.png", "torn.png"]\nmask_kind = "blob"\narea = 0.05'
    text = f'bundle = "{opened.files.path}"\n[[group]]\ndefect = "paint"\n{group}\n'
    (tmp_path / "recipe.toml").write_text(text)
    made = SyntheticRecipe(tmp_path / "recipe.toml", device="cpu")
    made.items.write(tmp_path / "out", workers=1)
    kept = SyntheticFolder(tmp_path / "out")
    assert (len(made), len(kept), made.defects, kept.defects) == (2, 1, ("paint",), ("paint",))
    for fresh, read in zip(made[0], kept[0], strict=True):
        assert torch.equal(torch.as_tensor(fresh), torch.as_tensor(read))
    assert made[0][1].any()
    with pytest.raises(DataError, match=r"torn\.png"):
        made[1]


def test_a_transform_changes_what_its_mask_says(opened: OpenBundle) -> None:
    image = torch.from_numpy(part()).permute(2, 0, 1).float() / 255
    always = AddDefect(opened, defects=["paint"], probability=1)
    torch.manual_seed(0)
    changed, mask = always(image)
    torch.manual_seed(0)
    batch, masks = always(torch.stack([image, image]))
    assert torch.equal(batch[0], changed) and torch.equal(masks[0], mask)
    assert not torch.equal(masks[1], mask)
    assert mask.any() and ((changed != image).any(dim=0) == (mask[0] > 0)).all()
    never, empty = AddDefect(opened, probability=0)(image)
    assert torch.equal(never, image) and not empty.any()


def test_unfit_arguments_are_refused(opened: OpenBundle) -> None:
    with pytest.raises(OptionError, match="0 photographs"):
        Synthetic(opened, [], 1)
    with pytest.raises(OptionError, match="0 items"):
        Synthetic(opened, [part()], 0)
    with pytest.raises(OptionError, match="rust"):
        Synthetic(opened, [part()], 1, defects=["rust"])
    with pytest.raises(OptionError, match="probability"):
        AddDefect(opened, probability=1.5)
