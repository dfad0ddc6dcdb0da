import errno
import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
from commands import exit_code
from huggingface_hub import DatasetCard
from made import NAMES, UNCHANGED, blank, edit, masks, write_made
from same import files_in
from tiny import part, spot, write_bundle

import blemish
from blemish.checkpoint import Bundle
from blemish.data.unfinished import MARK
from blemish.decode import decode
from blemish.errors import BundleError, DataError, OutputError
from blemish.manifest import read_rows
from blemish.names import ExportFormat
from blemish.pictures import write_picture
from blemish.synthesis.dataset import Dataset
from blemish.synthesis.export.export import FORMATS, _write, export

DAY = date(2026, 1, 2)
LISTS = {"mvtec": (), "coco": ("annotations.json",), "yolo": ("data.yaml",)}
LISTS["hf-imagefolder"] = ("train/metadata.jsonl", "croissant.json")
LISTS |= {"label-studio": ("tasks.json",), "class-maps": ("classes.json",)}
CARD = "| licence of the weights | CC BY-SA 4.0, as the data's |\n| data | nuts, by the Society |\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_made(tmp_path_factory.mktemp("once") / "made")


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> ExportFormat:
    return request.param


def card_of(made: Path, out: Path, **options: Any) -> str:
    export(made, out, "mvtec", today=DAY, **options)
    return (out / "README.md").read_text(encoding="utf-8")


def test_every_format_is_offered() -> None:
    assert {*FORMATS} == {*get_args(ExportFormat)} == {*LISTS}


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("share", [0, 0.5])
def test_pictures_are_copied_byte_for_byte(
    made: Path, tmp_path: Path, format: ExportFormat, pairs: bool, share: float
) -> None:
    done = export(made, tmp_path / "out", format, pairs=pairs, share=share)
    source, written = {*files_in(made).values()}, files_in(tmp_path / "out")
    drawn = ("classes/", "classes_val/")  # class maps
    pictures = {
        path: data
        for path, data in written.items()
        if path.endswith(".png") and not path.startswith(drawn)
    }
    assert {*pictures.values()} <= source
    for name in masks():
        kept = [path for path in pictures if Path(path).stem == name]
        images = [made / k.image.relative_to(made) for k in done.items.items if k.name == name]
        assert images[0].read_bytes() in [pictures[path] for path in kept]
    twins = [path for path in pictures if "twin" in Path(path).parts]
    assert {Path(path).stem for path in twins} == ({*masks()} if pairs else set())
    assert all(pictures[path] == (made / "twin" / Path(path).name).read_bytes() for path in twins)


def test_what_is_reported_is_what_is_there(
    made: Path, tmp_path: Path, format: ExportFormat
) -> None:
    done = export(made, tmp_path / "out", format, share=0.5, pairs=True)
    assert {*done.files} == {*files_in(tmp_path / "out")}
    assert len({*done.files}) == len(done.files), "no file is written twice"
    assert len(done.items.items) == len(masks())
    assert done.items.unchanged == UNCHANGED
    assert not [path for path in done.files if "nut_4" in path]


def test_the_same_items_give_the_same_bytes(
    made: Path, tmp_path: Path, format: ExportFormat
) -> None:
    for day, name in ((1, "a/x"), (2, "b/x")):
        export(made, tmp_path / name, format, pairs=True, share=0.5, today=date(2026, 1, day))
    first, second = files_in(tmp_path / "a/x"), files_in(tmp_path / "b/x")
    cards = [files.pop("README.md").decode() for files in (first, second)]
    for files, day in ((first, b"2026-01-01"), (second, b"2026-01-02")):
        if "croissant.json" in files:
            files["croissant.json"] = files["croissant.json"].replace(day, b"a day")
    assert first == second
    assert cards[0].replace("2026-01-01", "2026-01-02") == cards[1] != cards[0]


def test_what_lists_pictures_comes_last(made: Path, tmp_path: Path, format: ExportFormat) -> None:
    files = export(made, tmp_path / "out", format).files
    lists = LISTS[format]
    assert files[len(files) - len(lists) :] == lists


def test_progress_ends_with_all(made: Path, tmp_path: Path, format: ExportFormat) -> None:
    reported: list[float] = []
    export(made, tmp_path / "out", format, on_progress=reported.append)
    assert reported == sorted(reported)
    assert reported[-1] == 1


def test_an_empty_folder_will_do(made: Path, tmp_path: Path, format: ExportFormat) -> None:
    assert export(made, tmp_path, format).files


@pytest.mark.parametrize(
    "what", ["file", "full folder", "hidden file", "the folder itself", "link"]
)
def test_a_place_that_is_taken_is_refused(made: Path, tmp_path: Path, what: str) -> None:
    out = made if what == "the folder itself" else tmp_path / "out"
    if what == "file":
        out.write_text("hello")
    elif what == "link":
        out.symlink_to(tmp_path / "nowhere")
    elif what != "the folder itself":
        out.mkdir()
        (out / (".x" if what == "hidden file" else "x")).write_text("hello")
    before = files_in(tmp_path), files_in(made)
    with pytest.raises(OutputError, match="a new or empty folder"):
        export(made, out, "coco")
    assert (files_in(tmp_path), files_in(made)) == before


def test_bad_items_are_found_before_anything_is_written(
    tmp_path: Path, format: ExportFormat
) -> None:
    root = write_made(tmp_path / "made")
    for mask in (root / "ground_truth").rglob("*.png"):
        blank(mask)
    with pytest.raises(DataError):
        export(root, tmp_path / "out", format)
    assert not (tmp_path / "out").exists()


def test_an_unfit_item_stops_no_other(tmp_path: Path, format: ExportFormat) -> None:
    root = write_made(tmp_path / "made")
    row = json.loads((root / "manifest.jsonl").read_text().splitlines()[0])
    blank(root / row["files"]["mask"])
    done = export(root, tmp_path / "out", format)
    assert [*done.items.unfit] == [row["name"]]
    assert len(done.items.items) == len(masks()) - 1
    assert not [path for path in done.files if row["name"] in path]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "items that could not be exported (1)" in card


def test_a_full_disk_is_reported_and_leaves_no_half_file(
    made: Path, tmp_path: Path, format: ExportFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = export(made, tmp_path / "whole", format, today=DAY).files
    write, left = Path.write_bytes, [len(whole) - 1]

    def write_bytes(path: Path, data: bytes) -> int:
        if data != b"blemish":  # the probe of a folder is small enough
            left[0] -= 1
        if left[0] < 0:
            write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OutputError, match="no space is left"):
        export(made, tmp_path / "out", format, today=DAY)
    monkeypatch.undo()
    written, complete = files_in(tmp_path / "out"), files_in(tmp_path / "whole")
    assert {*written} == {MARK.format("export"), *whole[:-2]}, "the lists are not there"
    del written[MARK.format("export")]
    assert all(data == complete[path] for path, data in written.items() if path != "README.md")


def test_an_export_that_was_broken_off_is_repeated(
    made: Path, tmp_path: Path, format: ExportFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("blemish.synthesis.export.export._write", stopped_after(3))
        with pytest.raises(OutputError):
            export(made, out, format, today=DAY)
    with pytest.raises(OutputError, match="another interrupted export"):
        export(made, out, format, pairs=True, today=DAY)
    export(made, out, format, today=DAY)
    export(made, tmp_path / "whole" / "out", format, today=DAY)
    assert files_in(out) == files_in(tmp_path / "whole" / "out")
    with pytest.raises(OutputError, match="not empty"):
        export(made, out, format, today=DAY)


def test_an_export_killed_at_its_first_file_is_repeated(made: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".blemish-999999999.mark").write_bytes(b"half")
    export(made, tmp_path / "out", "mvtec", today=DAY)
    assert not [*(tmp_path / "out").rglob(".*")]


def test_a_card_is_written_for_items_of_any_real_defects(made: Path, tmp_path: Path) -> None:
    rows = copied(made, tmp_path / "odd")
    rows[0]["options"]["real"] = 7
    (tmp_path / "odd" / "manifest.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows))
    assert '"real": 7' in card_of(tmp_path / "odd", tmp_path / "out")


def copied(made: Path, place: Path) -> list[dict[str, Any]]:
    """A copy of a set of items; returns its rows."""
    shutil.copytree(made, place)
    return [*read_rows(place / "manifest.jsonl")]


def stopped_after(files: int) -> Callable[..., None]:
    """What writes so many files of an export, then finds the disk full."""
    left = iter(range(files))

    def write(*args: Any) -> None:
        if next(left, None) is None:
            raise OutputError(got="no space is left", expected="some", todo="Free some.")
        _write(*args)

    return write


def test_the_card_says_what_it_is(made: Path, tmp_path: Path) -> None:
    text = card_of(made, tmp_path / "nuts", pairs=True, share=0.5)
    known = DatasetCard(text)
    assert known.text.startswith("\n# nuts: a data card\n")
    assert {"synthetic", "crack", "paint"} <= {*known.data.to_dict()["tags"]}
    assert known.data.to_dict()["size_categories"] == "n<1K"
    for says in (
        "| what | 5 photographs of parts with a synthetic defect",
        "| types | crack 3, paint 2 |",
        "| layout | folders as in MVTec AD; test has all items",
        "| held out | 2 of 4 photographs, and the items on them (",
        "| left out | items in which nothing changed (1) |",
        f"| bundle | gone, SHA-256 {'0' * 64} |",
        "| licence of the weights | unknown",
        "| made | 2026-01-02, with Blemish ",
        "| iou_requested | 0.7 | 0.5 | 1 |",
        "## Photographs (4)\n\n- photo_0.jpg\n- photo_1.jpg\n- photo_2.jpg\n- photo_4.jpg\n",
        "Of 4 items in 5:",
        "Of 1 items in 5:",
    ):
        assert says in text


def test_the_card_counts_what_was_not_kept(tmp_path: Path) -> None:
    root = write_made(tmp_path / "made")
    edit(root, 0, outcome="refused", reasons=["too faint"])
    Dataset(root).fail("bolt_9", "crack", {}, "the photograph is torn")
    says = (
        "| left out | items in which nothing changed (1), items that were refused (1), "
        "items that failed (1) |"
    )
    assert says in card_of(root, tmp_path / "nuts")


def test_the_card_leaves_out_what_is_not(made: Path, tmp_path: Path) -> None:
    text = card_of(made, tmp_path / "nuts")
    assert "| pairs | left out |" in text
    assert "held out" not in text


def test_the_card_hands_on_no_folder_of_its_maker(
    made: Path, tmp_path: Path, format: ExportFormat
) -> None:
    export(made, tmp_path / "out", format, pairs=True)
    assert not [path for path, data in files_in(tmp_path / "out").items() if b"/home/" in data]
    assert '"real": "real"' in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("how", ["by name", "by option", "under another name"])
def test_the_card_names_the_bundle_s_licence(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    (bundle.path / "README.md").write_text(CARD)
    name = "bundle" if how == "by name" else "elsewhere"
    root = write_made(tmp_path / "made", name=name, digest=bundle.digest)
    monkeypatch.chdir(tmp_path)
    text = card_of(root, tmp_path / "out", bundle="bundle" if how == "by option" else None)
    known = how != "under another name"
    assert ("| licence of the weights | CC BY-SA 4.0, as the data's |" in text) == known
    assert ("| data behind the bundle | nuts, by the Society |" in text) == known
    assert ("unknown" in text) != known


def test_a_bundle_that_has_changed_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    (bundle.path / "README.md").write_text(CARD)
    root = write_made(tmp_path / "made", name="bundle", digest="1" * 64)
    monkeypatch.chdir(tmp_path)
    assert "CC BY-SA" not in card_of(root, tmp_path / "out")
    with pytest.raises(BundleError, match="which made none of the items"):
        export(root, tmp_path / "other", "coco", bundle="bundle")
    with pytest.raises(BundleError, match="not a folder with a config"):
        export(root, tmp_path / "other", "coco", bundle="nowhere")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("card", [None, "", "hello", "| licence of the weights |\n", "\udcff"])
def test_a_bundle_s_card_may_be_anything(
    card: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle: Bundle = write_bundle(tmp_path / "bundle")
    if card is not None:
        (bundle.path / "README.md").write_bytes(card.encode(errors="surrogateescape"))
    root = write_made(tmp_path / "made", name="bundle", digest=bundle.digest)
    monkeypatch.chdir(tmp_path)
    assert "| licence of the weights | unknown" in card_of(root, tmp_path / "out")


def test_two_bundles_are_both_named(tmp_path: Path) -> None:
    root = write_made(tmp_path / "made")
    edit(root, 0, bundle={"name": "another", "digest": "f" * 64})
    text = card_of(root, tmp_path / "out")
    assert f"| bundle (1) | gone, SHA-256 {'0' * 64} |" in text
    assert f"| bundle (2) | another, SHA-256 {'f' * 64} |" in text


def test_names_break_no_table(tmp_path: Path) -> None:
    root = write_made(tmp_path / "made")
    edit(root, -1, bundle={"name": "a|b\nc", "digest": "f" * 64}, normal="x|y\nz.jpg")
    text = card_of(root, tmp_path / "out")
    assert "| bundle (2) | a\\|b c, SHA-256" in text
    assert "- x\\|y z.jpg\n" in text
    assert NAMES[0] not in text


def test_class_maps_of_combined_items_are_numbered_anew(tmp_path: Path) -> None:
    """The item's own file counts types in the bundle's order; an export may count otherwise."""
    place, opened = (
        tmp_path / "made",
        blemish.load(write_bundle(tmp_path / "bundle", windows=True).path, device="cpu"),
    )
    write_picture(tmp_path / "nut.png", part())
    for k, at in enumerate(((0.4, 0.5), (0.6, 0.5))):
        write_picture(tmp_path / f"{k}.png", spot(at=at))
    given = f"--mask {tmp_path / '0.png'} --mask {tmp_path / '1.png'} --defect crack --defect paint"
    words = f"--normal {tmp_path / 'nut.png'} --bundle {opened.files.path} --device cpu"
    assert exit_code(f"synthesize {words} {given} --out {place}") == 0
    options = {"doubtful": True, "classes": ["paint", "crack", "combined"]}
    export(place, tmp_path / "out", "class-maps", **options)
    named = json.loads((tmp_path / "out" / "classes.json").read_text())
    assert named == {"0": "background", "1": "paint", "2": "crack"}
    (row,) = read_rows(place / "manifest.jsonl")
    old = decode(place / row["files"]["classes"]).levels
    (new,) = (decode(path).levels for path in (tmp_path / "out" / "classes").glob("*.png"))
    numbers = {kind: int(number) for number, kind in row["classes"].items()}
    crack, paint = numbers["crack"], numbers["paint"]
    assert ((old == crack) == (new == 2)).all() and ((old == paint) == (new == 1)).all()
    assert (new == 1).any() and (new == 2).any()
