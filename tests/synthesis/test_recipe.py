import os
from pathlib import Path

import pytest
from tiny import part, spot, write_bundle, write_defects

from blemish.errors import BundleError, DataError, OptionError, UserError
from blemish.pictures import write_picture
from blemish.synthesis.batch.recipe import Recipe, read_recipe
from blemish.synthesis.batch.tasks import DrawnPart, Task, task_of

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "recipe.toml"
GROUP = '[[group]]\ndefect = "crack"\ncount = 3\n'
WHOLE = """
bundle = "bundle"
seed = 7

[[group]]
defect = "crack"
count = 7
photographs = ["good", "nut.png"]
masks = "masks"
strength = [0.2, 0.9]
uneven = 0.5
invert = { method = "project", steps = 2 }

[[group]]
defect = "paint"
count = 5
parts = 2
draw = { kind = "blob", area = [0.05, 0.1], where = [0.2, 0.2, 0.6, 0.6], off_part = "refuse" }
search = { control = "noise", steps = 3 }

[[group]]
defect = "crack"
count = 2
parts = 2
real = "real"
draw = { kind = "real", area = 0.05 }
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, photographs, masks and real defects."""
    root = tmp_path_factory.mktemp("place")
    write_bundle(root / "bundle")
    write_defects(root / "real")
    for folder in ("good", "masks", "empty"):
        (root / folder).mkdir()
    for k in range(3):
        write_picture(root / "good" / f"{k}.png", part(seed=k))
        write_picture(root / "masks" / f"{k}.png", spot(at=(0.5, 0.4 + 0.1 * k)))
    write_picture(root / "nut.png", part(seed=9))
    (root / "torn").mkdir()
    (root / "torn" / "config.json").write_text("{")
    return root


def recipe_of(place: Path, text: str) -> Recipe:
    (place / "recipe.toml").write_text(text, encoding="utf-8")
    return read_recipe(place / "recipe.toml")


@pytest.fixture(scope="module")
def whole(place: Path) -> Recipe:
    return recipe_of(place, WHOLE)


@pytest.fixture(scope="module")
def tasks(whole: Recipe) -> list[Task]:
    return [task_of(whole, index) for index in range(len(whole))]


def test_a_recipe_names_its_files_by_folder(whole: Recipe, place: Path) -> None:
    first, second, _ = whole.groups
    assert first.photographs == ("good/0.png", "good/1.png", "good/2.png", "nut.png")
    assert first.masks == ("masks/0.png", "masks/1.png", "masks/2.png")
    assert second.photographs == second.masks == ()
    assert (len(whole), whole.seed, whole.here) == (14, 7, place)
    assert whole.bundle is not None
    assert whole.bundle.path == place / "bundle"
    whole.check()


def test_options_become_those_of_a_synthesis(whole: Recipe, place: Path) -> None:
    first, second, third = (group.options(place) for group in whole.groups)
    assert (first.invert, first.steps, first.mask_kind) == ("project", 2, None)
    assert (second.invert, second.mask_control, second.defect_steps) == ("auto", "noise", 3)
    assert (second.mask_kind, second.off_part) == ("blob", "refuse")
    assert (third.mask_kind, third.area, third.real) == ("real", 0.05, place / "real")
    assert third.without_masks().real is None, "masks alone ask for it"


@pytest.mark.parametrize("reference, learns", [("none", False), ("stitch", True)])
def test_real_masks_need_no_reference_and_a_reference_takes_their_folder(
    reference: str, learns: bool, place: Path
) -> None:
    text = f'bundle = "bundle"\n{SOME}real = "real"\ndraw = {{ kind = "real" }}\n'
    recipe = recipe_of(place, f'{text}reference = "{reference}"')
    task = task_of(recipe, 0)
    assert task.options.without_masks().real == (place / "real" if learns else None)
    assert (task.mask, task.options.real) == (None, place / "real")
    recipe.check()


def test_each_item_is_a_function_of_recipe_and_index(whole: Recipe, tasks: list[Task]) -> None:
    again = recipe_of(whole.here, WHOLE)
    assert [task_of(again, index) for index in reversed(range(14))] == tasks[::-1]
    other = recipe_of(whole.here, WHOLE.replace("seed = 7", "seed = 8"))
    seeds = [(task_of(other, index).seed, task_of(other, index).mask_seed) for index in range(14)]
    assert not {*seeds} & {(task.seed, task.mask_seed) for task in tasks}


def test_items_differ(tasks: list[Task]) -> None:
    assert [task.index for task in tasks] == [*range(14)]
    for values in ("name", "seed", "mask_seed"):
        assert len({getattr(task, values) for task in tasks}) == 14


def test_items_of_a_group_are_as_it_says(tasks: list[Task]) -> None:
    assert [task.kind for task in tasks] == ["crack"] * 7 + ["paint"] * 5 + ["crack"] * 2
    assert {task.mask for task in tasks[:7]} <= {f"masks/{k}.png" for k in range(3)}
    assert len({task.mask for task in tasks[:7]}) > 1
    strengths = [task.strength for task in tasks[:7]]
    assert all(0.2 <= strength <= 0.9 for strength in strengths)
    assert len({*strengths}) == 7
    assert {task.strength for task in tasks[7:]} == {1.0}
    assert [task.options.uneven for task in tasks] == [0.5] * 7 + [0] * 7


def test_photographs_are_shared_evenly_and_in_turn(tasks: list[Task]) -> None:
    names = [task.normal for task in tasks]
    assert names == sorted(names[:7]) + sorted(names[7:]), "each is left behind but once"
    counts = [names.count(name) for name in dict.fromkeys(names)]
    assert counts == [2, 2, 2, 1, 3, 2, 1, 1]


def test_parts_are_numbered_through_all_groups(tasks: list[Task]) -> None:
    parts = [task.photograph for task in tasks[7:]]
    assert all(isinstance(part, DrawnPart) for part in parts)
    known = {part for part in parts if isinstance(part, DrawnPart)}
    assert {part.number for part in known} == {0, 1, 2, 3}
    assert len({part.seed for part in known}) == 4
    assert {part.name for part in known} == {f"parts/part_{k:04d}.png" for k in range(4)}


@pytest.mark.parametrize("count, photographs", [(1, 3), (2, 3), (3, 3), (10, 3), (5, 1)])
def test_more_photographs_than_items_or_fewer(place: Path, count: int, photographs: int) -> None:
    names = ", ".join(f'"good/{k}.png"' for k in range(photographs))
    text = f'{GROUP}photographs = [{names}]\nmasks = "masks"'.replace("3", str(count), 1)
    recipe = recipe_of(place, 'bundle = "bundle"\n' + text)
    found = [task_of(recipe, index).normal for index in range(count)]
    counts = [found.count(name) for name in {*found}]
    assert len(counts) == min(count, photographs)
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("index", [14, 1000])
def test_there_is_no_item_behind_the_last(whole: Recipe, index: int) -> None:
    with pytest.raises(IndexError):
        task_of(whole, index)


def test_the_digests_are_of_content(place: Path, whole: Recipe) -> None:
    before = whole.digests()
    assert {"bundle", "good/0.png", "masks/2.png", "nut.png"} <= {*before}
    assert "real/ground_truth/crack/0.png" in before
    levels = (place / "nut.png").read_bytes()
    write_picture(place / "nut.png", part(seed=10))
    after = whole.digests()
    (place / "nut.png").write_bytes(levels)
    assert {name for name in before if before[name] != after[name]} == {"nut.png"}
    assert whole.digests() == before


def test_the_example_needs_no_data_and_is_understood() -> None:
    recipe = read_recipe(EXAMPLE)
    recipe.check()
    assert len(recipe) == 24
    assert {group.defect for group in recipe.groups} == {"colour"}
    assert not any(group.photographs or group.masks for group in recipe.groups)


SOME = GROUP + "parts = 1\n"
GIVEN = SOME + 'masks = "masks"\n'
BLOB = 'draw = { kind = "blob" }\n'
REFUSED = [
    ("seed = ", DataError, "which is not valid TOML"),
    ("", OptionError, "a recipe without groups"),
    ("sed = 3", OptionError, "the unknown key 'sed'"),
    ("seed = -1", OptionError, "without groups"),
    (f"seed = -1\n{SOME}{BLOB}", OptionError, "--seed -1"),
    ('seed = "3"', OptionError, 'seed = "3"'),
    ("seed = 2024-01-01", OptionError, 'seed = "2024-01-01"'),
    ("group = 3", OptionError, "group = 3"),
    (f'bundle = "none"\n{SOME}{BLOB}', BundleError, "none', which is not a folder"),
    (f"{SOME}{BLOB}cuont = 4", OptionError, "group 1: the unknown key 'cuont'"),
    (f"{SOME}{BLOB}{SOME}", OptionError, "group 2: neither a mask nor a mask kind"),
    ('[[group]]\ndefect = "crack"', OptionError, "no 'count'"),
    (f"{GIVEN}{BLOB}", OptionError, "both a mask and a mask kind"),
    (f"{GROUP}{BLOB}", OptionError, "neither of photographs and parts"),
    (f'{SOME}photographs = "good"\n{BLOB}', OptionError, "both of photographs and parts"),
    (f"{SOME}{BLOB}".replace("3", "0"), OptionError, "count = 0"),
    (f"{SOME}{BLOB}".replace("3", '"3"'), OptionError, 'count = "3"'),
    (f"{SOME}{BLOB}".replace("3", "true"), OptionError, "count = true"),
    (f"{SOME}{BLOB}".replace("3", "3.0"), OptionError, "count = 3.0"),
    (f"{SOME}{BLOB}".replace("parts = 1", "parts = 0"), OptionError, "parts = 0"),
    (f"{SOME}{BLOB}strength = 0", OptionError, "strength = 0"),
    (f"{SOME}{BLOB}strength = nan", OptionError, "strength = [nan, nan]"),
    (f"{SOME}{BLOB}strength = [0.9, 0.2]", OptionError, "strength = [0.9, 0.2]"),
    (f'{SOME}{BLOB}strength = "full"', OptionError, 'strength = "full"'),
    (f"{SOME}{BLOB}strength = [0.1, 0.2, 0.3]", OptionError, "strength = [0.1, 0.2, 0.3]"),
    (f"{SOME}{BLOB}uneven = 1.2", OptionError, "uneven = 1.2"),
    (f'{SOME}draw = {{ kind = "dent" }}', OptionError, 'mask_kind = "dent"'),
    (f"{SOME}draw = {{ kidn = 3 }}", OptionError, "the unknown key 'draw.kidn'"),
    (f'{SOME}draw = "blob"', OptionError, "the unknown key 'draw'"),
    (f"{SOME}draw = {{ area = 0.9 }}", OptionError, "a mask area of 0.9"),
    (f'{SOME}draw = {{ where = "up" }}', OptionError, 'where = "up"'),
    (f"{SOME}draw = {{ where = [0.5, 0, 0.9, 1] }}", OptionError, "a box 0.5 0.0 0.9"),
    (f'{SOME}draw = {{ folder = "real" }}', OptionError, "the unknown key 'draw.folder'"),
    (
        f'{SOME}draw = {{ kind = "real" }}',
        OptionError,
        "of the kind real without real",
    ),
    (
        f'{SOME}draw = {{ where = "edge" }}\nwhere = "edge"',
        OptionError,
        "both draw.where",
    ),
    (f'{SOME}{BLOB}real = "real"', OptionError, "real = real without a use for it"),
    (f'{SOME}{BLOB}tone = "real"', OptionError, "the option tone, which this version no longer"),
    (f"{SOME}{BLOB}detail = true", OptionError, "the option detail, which this version no longer"),
    (f"{SOME}{BLOB}polish = 3", OptionError, "the option polish, which this version no longer"),
    (f'{SOME}{BLOB}method = "one-pass"', OptionError, "the method one-pass, which this version"),
    (f'{SOME}{BLOB}method = "hybrid"', OptionError, "the method hybrid, which this version"),
    (f'{SOME}{BLOB}real = "none"\nreference = "stitch"', DataError, "real = 'none'"),
    (f'{SOME}{BLOB}method = "magic"', OptionError, 'method = "magic"'),
    (f"{SOME}{BLOB}search = {{ steps = -1 }}", OptionError, "-1 steps"),
    (f"{SOME}{BLOB}search = {{ stay_weight = inf }}", OptionError, "the stay weight inf"),
    (f"{SOME}{BLOB}search = {{ stpes = 1 }}", OptionError, "the unknown key 'search.stpes'"),
    (f'{SOME}{BLOB}invert = {{ method = "guess" }}', OptionError, 'invert = "guess"'),
    (f'{SOME}masks = "none"', DataError, "masks = 'none'"),
    (f'{SOME}masks = ["masks", "empty"]', DataError, "masks = 'empty'"),
    (f"{SOME}masks = [3]", OptionError, "masks.0 = 3"),
    (f'{GROUP}photographs = "empty"\n{BLOB}', DataError, "photographs = 'empty'"),
]


@pytest.mark.parametrize("text, kind, got", REFUSED)
def test_what_is_wrong_is_named(text: str, kind: type[UserError], got: str, place: Path) -> None:
    with pytest.raises(kind) as caught:
        recipe_of(place, text)
    assert caught.value.got.startswith(str(place / "recipe.toml"))
    assert got in caught.value.got
    assert caught.value.expected
    assert caught.value.todo.endswith((".", "?", "}"))


@pytest.mark.parametrize("name, got", [("none.toml", "can't be read"), ("good", "can't be read")])
def test_a_file_that_is_none(name: str, got: str, place: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_recipe(place / name)
    assert got in caught.value.got


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 5000 + "]" * 5000,
        "a = " + "{ b = " * 3000 + "1" + " }" * 3000,
        "a." * 20_000 + "b = 1",
        "[" + "a." * 20_000 + "b]" + "\nc = 1" * 20_000,
        "seed = " + "9" * 5000,
        f"seed = {2**64}\n{SOME}{BLOB}",
        f"{SOME}{BLOB}".replace("count = 3", f"count = {2**70}"),
        f"{SOME}{BLOB}".replace("count = 3", f"count = {10**12}"),
        f"{SOME}{BLOB}".replace("parts = 1", f"parts = {2**63}"),
        f"{SOME}{BLOB}search = {{ steps = {2**80} }}",
        f"{SOME}{BLOB}strength = {'9' * 400}",
        "\0",
        "a = '\x07'",
    ],
    ids=lambda text: text[:30],
)
def test_deep_and_huge_recipes_are_refused(text: str, place: Path) -> None:
    with pytest.raises(UserError, match=r"recipe\.toml"):
        recipe_of(place, text)


def test_a_recipe_that_never_ends_is_refused(place: Path) -> None:
    (place / "endless.toml").symlink_to("/dev/zero")
    os.mkfifo(place / "fifo.toml")
    for name in ("endless.toml", "fifo.toml"):
        with pytest.raises(DataError, match="not a regular file"):
            read_recipe(place / name)


def test_names_that_are_not_utf_8_are_refused(place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "good"
    folder.mkdir()
    os.link(next((place / "good").glob("*.png")), os.fsencode(folder) + b"/\xff.png")
    with pytest.raises(DataError, match="not UTF-8"):
        recipe_of(place, f'{GROUP}photographs = "{folder}"\n{BLOB}')


UNFIT = [
    ('bundle = "bundle"\n' + SOME.replace("crack", "rust") + BLOB, "the defect type 'rust'"),
    ('bundle = "torn"\n' + SOME + BLOB, "config.json"),
    ('bundle = "bundle"\n' + SOME + BLOB + 'reference = "stitch"', "--reference stitch"),
    ('bundle = "bundle"\n' + SOME + BLOB + 'method = "window"', "without a window generator"),
    (
        'bundle = "bundle"\n' + SOME + 'draw = { kind = "real" }\nreal = "good"',
        "without photographs",
    ),
]


@pytest.mark.parametrize("text, got", UNFIT)
def test_what_the_bundle_cannot_do(text: str, got: str, place: Path) -> None:
    with pytest.raises(UserError) as caught:
        recipe_of(place, text).check()
    assert caught.value.got.startswith(f"{place / 'recipe.toml'}, group 1: ")
    assert got in caught.value.got


def test_near_misses_are_suggested(place: Path) -> None:
    with pytest.raises(OptionError) as caught:
        recipe_of(place, SOME + BLOB + "streng = 1")
    assert caught.value.todo == "Did you mean 'strength'?"
    assert "strength" in caught.value.expected


def test_each_arm_of_a_union_is_offered(place: Path) -> None:
    with pytest.raises(OptionError) as caught:
        recipe_of(place, SOME + 'draw = { where = "up" }')
    assert caught.value.expected == "'anywhere', 'centre', 'edge' or 'there' or a list"


PASTED = """
[[group]]
defect = "crack"
count = 2
photographs = "good"
mask_kind = "real"
real = "real"
method = "paste"
"""


def test_a_recipe_that_only_pastes_needs_no_bundle(place: Path) -> None:
    recipe = recipe_of(place, 'bundle = "missing"\n' + PASTED)
    recipe.check()
    assert recipe.bundle is None and "bundle" not in recipe.digests()
    assert task_of(recipe, 0).bundle is None


def test_only_groups_that_need_the_bundle_are_made_by_it(place: Path) -> None:
    recipe = recipe_of(place, 'bundle = "bundle"\n' + PASTED + PASTED.replace("paste", "optimize"))
    assert recipe.bundle is not None
    assert [task_of(recipe, index).bundle for index in (0, 2)] == [None, recipe.bundle]


def test_pasted_defects_on_parts_that_a_bundle_draws(place: Path) -> None:
    parts = PASTED.replace('photographs = "good"', "parts = 1")
    recipe = recipe_of(place, 'bundle = "bundle"\n' + parts)
    assert recipe.bundle is not None
    assert task_of(recipe, 0).bundle == recipe.bundle
