import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from commands import IN_ORDER, draw_in_this_process
from same import files_in
from tiny import write_recipe

from blemish.data import check
from blemish.data.pairs import read_mask
from blemish.errors import DataError, OutputError
from blemish.pictures import read_picture
from blemish.synthesis.batch.batch import BatchFolder, Row
from blemish.synthesis.batch.items import Failed, Workplace, _bench
from blemish.synthesis.batch.recipe import Recipe, read_recipe
from blemish.synthesis.batch.record import differences
from blemish.synthesis.batch.summary import BatchSummary
from blemish.synthesis.batch.tasks import task_of
from blemish.synthesis.dataset import Dataset
from blemish.synthesis.request import Request
from blemish.synthesis.synthesize import Synthesizer
from blemish.types import Codes

RECIPE = """
bundle = "bundle"
seed = 3

[[group]]
defect = "crack"
count = 6
photographs = "good"
masks = "masks"
strength = [0.5, 1]
invert = { steps = 2 }

[[group]]
defect = "paint"
count = 4
parts = 2
draw = { kind = "blob", area = [0.05, 0.1] }
invert = { steps = 2 }
"""
COUNT = 10
FAILING = {2: "1_torn.png", 3: "1_torn.png"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe with good photographs and a bad one among them."""
    root = tmp_path_factory.mktemp("place")
    places = ((0.5, 0.4), (0.5, 0.6))
    return write_recipe(root, RECIPE, ("0", "1_torn", "2"), "1_torn", places)


@pytest.fixture(scope="module")
def recipe(place: Path) -> Recipe:
    return read_recipe(place / "recipe.toml")


@pytest.fixture(scope="module")
def made(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing broke, by two processes."""
    root = tmp_path_factory.mktemp("made") / "out"
    run(recipe, root, workers=2)
    return root


def run(recipe: Recipe, root: Path, *, workers: int, **options: Any) -> list[Row]:
    batch = BatchFolder(recipe, root, **options)
    rows = list(batch.make(workers=workers))
    batch.finish()
    return rows


def rows_of(root: Path) -> list[Row]:
    return [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]


def test_each_item_has_a_row_in_order(made: Path) -> None:
    rows = rows_of(made)
    assert [row["index"] for row in rows] == [*range(COUNT)]
    assert len({row["name"] for row in rows}) == COUNT
    assert [row["type"] for row in rows] == ["crack"] * 6 + ["paint"] * 4
    assert {row["outcome"] for row in rows} <= {"kept", "refused", "failed"}


def test_what_fails_is_recorded_with_its_reason(made: Path) -> None:
    failed = {row["index"]: row for row in rows_of(made) if row["outcome"] == "failed"}
    assert {index: Path(row["normal"]).name for index, row in failed.items()} == FAILING
    for row in failed.values():
        (reason,) = row["reasons"]
        assert reason.startswith("Got good/1_torn.png, which ")
        assert not row["files"]


def test_the_rest_goes_on_and_is_a_data_set(made: Path) -> None:
    kept = [row for row in rows_of(made) if row["outcome"] == "kept"]
    assert len(kept) > COUNT // 2
    assert not check(made).complaints
    for row in kept:
        picture, twin = (read_picture(made / row["files"][kind]) for kind in ("image", "twin"))
        mask = read_mask(made / row["files"]["mask"])
        assert ((picture != twin).any(axis=2) == mask).all()


def test_rows_name_files_from_the_recipe_or_from_the_folder(made: Path, place: Path) -> None:
    for row in rows_of(made):
        if row["outcome"] != "failed":
            homes = {"good": place, "masks": place, "parts": made, "drawn": made}
            for name in (row["normal"], row["requested"]):
                assert (homes[name.split("/")[0]] / name).is_file()
    text = b"".join(data for name, data in files_in(made).items() if "json" in name).decode()
    assert str(made) not in text
    assert str(place) not in text


def test_the_figures_are_those_of_the_rows(made: Path) -> None:
    figures, rows = json.loads((made / "report.json").read_text()), rows_of(made)
    for outcome in ("kept", "refused", "failed"):
        count = sum(row["outcome"] == outcome for row in rows)
        assert figures[outcome] == count
        assert sum(kind[outcome] for kind in figures["types"].values()) == count
    assert figures["items"] == COUNT
    assert [failure["name"] for failure in figures["failures"]] == [
        "000002_1_torn",
        "000003_1_torn",
    ]


@pytest.mark.parametrize("folder", ["parts", "drawn"])
def test_what_stopped_processes_leave_half_written_is_removed(
    folder: str, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, foreign = (tmp_path / "out" / folder / name for name in (".blemish-123.probe", ".mine"))

    def stopped(*_: Any, workers: int) -> Iterator[Any]:
        for path in (left, foreign):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"half")
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(IN_ORDER, stopped)
    with pytest.raises(KeyboardInterrupt):
        list(BatchFolder(recipe, tmp_path / "out").make(workers=1))
    assert foreign.exists() and not left.exists()


@pytest.mark.parametrize("stop", [1, 4, COUNT - 1])
def test_stopped_and_carried_on_by_one_process_it_is_the_same(
    stop: int, recipe: Recipe, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_in_this_process(monkeypatch)
    rows = BatchFolder(recipe, tmp_path / "out").make(workers=1)
    begun = [next(rows) for _ in range(stop)]
    rows.close()
    assert rows_of(tmp_path / "out") == begun
    left = tmp_path / "out" / "twin" / ".blemish-123.torn.png"
    left.write_text("left by a run that was killed")
    run(recipe, tmp_path / "out", workers=1)
    assert files_in(tmp_path / "out") == files_in(made)


def test_what_is_done_is_not_made_again(recipe: Recipe, made: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (made / "test").rglob("*.png")}
    again = BatchFolder(recipe, made)
    assert (again.done, len(again)) == (COUNT, COUNT)
    assert list(again.make(workers=1)) == []
    assert before == {path: path.stat().st_mtime_ns for path in (made / "test").rglob("*.png")}


def test_a_near_duplicate_loses_its_picture_and_is_remembered(
    recipe: Recipe, made: Path, tmp_path: Path
) -> None:
    first = next(row for row in rows_of(made) if row["outcome"] == "kept")
    for keep_all in (False, True):
        batch = BatchFolder(recipe, tmp_path / str(keep_all), keep_all=keep_all)
        for kind in ("image", "mask"):
            copy = batch.root / first["files"][kind]
            copy.parent.mkdir(parents=True)
            copy.write_bytes((made / first["files"][kind]).read_bytes())
        assert batch.comparison.decide(first) == first
        again = batch.comparison.decide({**first, "name": "again"})
        assert (again["outcome"], again["duplicate_of"]) == ("refused", first["name"])
        assert again["reasons"] == [f"near-duplicate: like {first['name']}"]
        for kind in ("image", "mask"):
            assert (kind in again["files"]) == keep_all
            assert (batch.root / first["files"][kind]).exists() == keep_all


def raising(error: Exception) -> Callable[..., NoReturn]:
    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    return fail


@pytest.mark.parametrize(
    "error, reason",
    [
        (ValueError("odd\nthing"), "Blemish failed with ValueError: odd"),
        (MemoryError(), "Blemish failed with MemoryError: "),
        (DataError(got="dust", expected="none", todo="Blow."), "Got dust. Expected none. Blow."),
    ],
)
def test_whatever_an_item_raises_is_its_reason(
    error: Exception,
    reason: str,
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Synthesizer, "make", raising(error))
    assert Workplace(root=tmp_path).make(task_of(recipe, 9)) == Failed(reason=reason)


def test_a_place_that_cannot_be_written_is_no_item_s_fault(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OutputError(got="a full disk", expected="some space", todo="Free some.")
    monkeypatch.setattr(Dataset, "write", raising(error))
    with pytest.raises(OutputError):
        Workplace(root=tmp_path).make(task_of(recipe, 9))


def test_items_on_one_photograph_are_inverted_once(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inverted: list[Path] = []
    invert = Synthesizer.invert

    def counted(self: Synthesizer, request: Request) -> Codes | None:
        inverted.append(request.normal)
        return invert(self, request)

    monkeypatch.setattr(Synthesizer, "invert", counted)
    _bench.cache_clear()
    for index in range(6, 10):
        assert not isinstance(Workplace(root=tmp_path).make(task_of(recipe, index)), Failed)
    assert [path.name for path in inverted] == ["part_0000.png", "part_0001.png"]


CHANGES = [
    ("seed = 3", "seed = 4", "recipe.seed was 3, is 4"),
    ("count = 6", "count = 7", "recipe.group 1.count was 6, is 7"),
    ("strength = [0.5, 1]", "strength = 1", "recipe.group 1.strength was [0.5, 1.0], is 1"),
    ("parts = 2", "parts = 3", "recipe.group 2.parts was 2, is 3"),
]


@pytest.mark.parametrize("old, new, reported", CHANGES)
def test_another_recipe_cannot_carry_on(
    old: str, new: str, reported: str, place: Path, made: Path
) -> None:
    (place / "other.toml").write_text(RECIPE.replace(old, new, 1))
    before = files_in(made)
    with pytest.raises(DataError) as caught:
        BatchFolder(read_recipe(place / "other.toml"), made)
    assert reported in caught.value.got
    assert files_in(made) == before


def test_nor_can_other_photographs_or_another_bundle(
    recipe: Recipe, place: Path, made: Path
) -> None:
    for name, reported in (
        ("good/2.png", "sha256.good/2.png"),
        ("bundle/config.json", "sha256.bundle"),
    ):
        before = (place / name).read_bytes()
        (place / name).write_bytes(before + b"\n")
        with pytest.raises(DataError) as caught:
            BatchFolder(read_recipe(recipe.file), made)
        (place / name).write_bytes(before)
        assert f"{reported} was " in caught.value.got


@pytest.mark.parametrize("options", [{"keep_all": True}, {"device": "cuda"}])
def test_nor_can_other_options(options: dict[str, Any], recipe: Recipe, made: Path) -> None:
    with pytest.raises(DataError) as caught:
        BatchFolder(recipe, made, **options)
    assert next(iter(options)) in caught.value.got


def test_a_folder_of_something_else_is_left_alone(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="that belong to no batch"):
        BatchFolder(recipe, tmp_path)
    (tmp_path / "recipe.json").write_text("[")
    with pytest.raises(DataError, match="can't be read as JSON"):
        BatchFolder(recipe, tmp_path)


def test_a_manifest_that_was_edited_is_refused(recipe: Recipe, made: Path, tmp_path: Path) -> None:
    first, second, *rest = (made / "manifest.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "recipe.json").write_bytes((made / "recipe.json").read_bytes())
    for lines, line in (
        ([second, *rest], 1),
        ([first, *rest], 2),
        ([first, second, *rest, first], 11),
    ):
        (tmp_path / "manifest.jsonl").write_text("".join(lines))
        with pytest.raises(DataError, match=f"line {line} belongs to another item"):
            BatchFolder(recipe, tmp_path)


@pytest.mark.parametrize(
    "old, new, reported",
    [
        (1, 1, []),
        ({"a": 1}, {"a": 2}, ["a was 1, is 2"]),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, ["a.b 2 was 2, is 3"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a was [1], is [1, 2]"]),
        ({}, {"a": "x"}, ['a was absent, is "x"']),
        ({"a": 1, "b": 2}, {"b": 3}, ["a was 1, is absent", "b was 2, is 3"]),
    ],
)
def test_differences_are_reported_in_words(old: Any, new: Any, reported: list[str]) -> None:
    assert list(differences(old, new)) == reported


REASONS = {
    "too faint": ["too faint: contrast 2.1, below 4.0", "too faint: contrast 3.0, below 4.0"],
    "nothing changed": ["nothing changed"],
    "mask drift": ["mask drift: 0.61, above 0.25"],
    "mask not met": ["mask not met: 12%, below 30%"],
    "near-duplicate": ["near-duplicate: like 000001_a", "near-duplicate: like 000002_b"],
}


def test_reasons_are_counted_without_their_figures() -> None:
    tally = BatchSummary()
    for reason in (reason for reasons in REASONS.values() for reason in reasons):
        tally.add({"name": "a", "type": "x", "outcome": "refused", "reasons": [reason]})
    for area in (1.0, 5.0, 3.0):
        tally.add({"type": "y", "outcome": "kept", "reasons": [], "scores": {"area": area}})
    figures = tally.figures()
    assert figures["reasons"] == {cause: len(reasons) for cause, reasons in REASONS.items()}
    assert [figures[key] for key in ("items", "kept", "refused", "failed")] == [10, 3, 7, 0]
    assert figures["types"]["y"]["medians"] == {"area": 3.0}
