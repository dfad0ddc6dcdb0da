import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import foreign_annotations as foreign
import numpy as np
import pytest
from commands import full_after
from foreign_annotations import (
    BOX_MASK,
    POLYGON,
    POLYGON_MASK,
    WRITERS,
    H,
    W,
    block,
    coco,
    compressed,
    flat,
    labelme,
    shape,
    uncompressed,
    write_json,
    write_photograph,
)
from PIL import Image
from same import files_in

from blemish.data import check
from blemish.data.folder import DefectFolder
from blemish.data.importing.coco import decompressed
from blemish.data.importing.importing import Imported, import_annotations
from blemish.data.pairs import read_mask, read_mask_for
from blemish.data.unfinished import MARK
from blemish.errors import DataError, OptionError, OutputError, UserError
from blemish.pictures import png, read_picture


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # test_files.py sees to that


def mask_of(out: Path, kind: str, name: str) -> np.ndarray:
    return read_mask(out / "ground_truth" / kind / f"{name}_mask.png")


@pytest.mark.parametrize("format", WRITERS)
def test_every_format_gives_the_same_folder(format: str, tmp_path: Path) -> None:
    source, out = WRITERS[format](tmp_path / "source"), tmp_path / "out"
    done = import_annotations(source, out)
    assert done.format == format
    assert (done.good, done.types, done.proposed) == (1, {"dent": 2, "scratch": 2}, ())
    assert (
        {*files_in(out)}
        == {*done.files}
        == {
            "train/good/good.png",
            *(f"test/scratch/{name}.png" for name in ("scratched", "both")),
            *(f"ground_truth/scratch/{name}_mask.png" for name in ("scratched", "both")),
            *(f"test/dent/{name}.png" for name in ("dented", "both")),
            *(f"ground_truth/dent/{name}_mask.png" for name in ("dented", "both")),
        }
    )
    for name in ("scratched", "both"):
        assert np.array_equal(mask_of(out, "scratch", name), POLYGON_MASK)
    for name in ("dented", "both"):
        assert np.array_equal(mask_of(out, "dent", name), BOX_MASK)


@pytest.mark.parametrize("format", WRITERS)
def test_photographs_keep_their_bytes(format: str, tmp_path: Path) -> None:
    source, out = WRITERS[format](tmp_path / "source"), tmp_path / "out"
    import_annotations(source, out)
    kept = {path.name: path.read_bytes() for path in source.rglob("*.png")}
    written = [*out.glob("t*/*/*.png")]
    assert len(written) == 5
    assert all(path.read_bytes() == kept[path.name] for path in written)


@pytest.mark.parametrize("format", WRITERS)
def test_what_is_imported_passes_the_check(format: str, tmp_path: Path) -> None:
    import_annotations(WRITERS[format](tmp_path / "source"), tmp_path / "out")
    found = check(tmp_path / "out")
    assert not found.complaints
    assert [note.path.name for note in found.notes if "also shows" in note.text] == ["both.png"]


@pytest.mark.parametrize("format", WRITERS)
def test_a_repeated_import_gives_the_same_bytes(format: str, tmp_path: Path) -> None:
    source = WRITERS[format](tmp_path / "source")
    for name in ("one", "two"):
        import_annotations(source, tmp_path / name, format=format)  # type: ignore[arg-type]
    assert files_in(tmp_path / "one") == files_in(tmp_path / "two")


def imported(tmp_path: Path, *annotations: dict[str, Any], **options: Any) -> Imported:
    source = tmp_path / "source"
    write_json(source / "list.json", coco(*annotations, files=("a.png",)))
    write_photograph(source / "a.png", 0)
    return import_annotations(source, tmp_path / "out", **options)


def scratch(**about: Any) -> dict[str, Any]:
    return {"image_id": 1, "category_id": 1, **about}


@pytest.mark.parametrize("crowd", [0, 1])
@pytest.mark.parametrize("form", [compressed, uncompressed])
def test_run_lengths_of_coco(form: Callable, crowd: int, tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random((H, W)) < 0.3
    imported(tmp_path, scratch(segmentation=form(mask), iscrowd=crowd))
    assert np.array_equal(mask_of(tmp_path / "out", "scratch", "a"), mask)


@pytest.mark.parametrize("seed", range(20))
def test_compressed_run_lengths_of_any_length(seed: int) -> None:
    rng = np.random.default_rng(seed)
    side = int(rng.integers(1, 300))
    mask = np.repeat(rng.random((side, 1)) < 0.5, 200, axis=1) ^ (rng.random((side, 200)) < 0.01)
    assert decompressed(compressed(mask)["counts"]).tolist() == uncompressed(mask)["counts"]


def test_several_annotations_of_a_type_are_one_mask(tmp_path: Path) -> None:
    other = block(30, 15, 36, 20)
    polygons = [flat(POLYGON), [30, 15, 36, 15, 36, 20, 30, 20]]
    imported(tmp_path, scratch(segmentation=polygons), scratch(segmentation=compressed(BOX_MASK)))
    want = POLYGON_MASK | other | BOX_MASK
    assert np.array_equal(mask_of(tmp_path / "out", "scratch", "a"), want)


def test_a_point_slightly_outside_is_cut_off(tmp_path: Path) -> None:
    imported(tmp_path, scratch(segmentation=[[-1, -1, 5, -1, 5, 4, -1, 4]]))
    assert np.array_equal(mask_of(tmp_path / "out", "scratch", "a"), block(0, 0, 5, 4))


def test_classes_are_renamed_merged_and_dropped(tmp_path: Path) -> None:
    source, out = WRITERS["coco"](tmp_path / "source"), tmp_path / "out"
    done = import_annotations(source, out, classes={"scratch": "flaw", "dent": "flaw"})
    assert (done.types, done.several) == ({"flaw": 3}, ())
    assert np.array_equal(mask_of(out, "flaw", "both"), POLYGON_MASK | BOX_MASK)
    done = import_annotations(source, tmp_path / "other", classes={"dent": "good"})
    assert (done.good, done.types, done.dropped) == (2, {"scratch": 2}, 2)


def test_photographs_of_one_name_get_names_of_their_own(tmp_path: Path) -> None:
    source, files = tmp_path / "source", ("a/1.png", "b/1.png", "b/A_1.png", "2.png", "2.PNG")
    for seed, name in enumerate(files):
        write_photograph(source / "images" / name, seed)
    write_json(
        source / "list.json", coco({**scratch(), "segmentation": [flat(POLYGON)]}, files=files)
    )
    done = import_annotations(source, tmp_path / "out")
    names = [Path(path).stem.casefold() for path in done.files if path.startswith("t")]
    assert len({*names}) == len(files)
    assert not check(tmp_path / "out").complaints
    written = {path.read_bytes() for path in (tmp_path / "out").glob("t*/*/*")}
    assert written == {path.read_bytes() for path in (source / "images").rglob("*.*")}


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("stated", ["upright", "stored"])
def test_annotations_refer_to_the_upright_photograph(
    orientation: int, stated: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    path = write_photograph(source / "a.jpg", 0, orientation)
    h, w = read_picture(path).shape[:2]
    document = coco(scratch(segmentation=[flat(POLYGON)]), files=("a.jpg",))
    turned = stated == "stored" and orientation > 4
    document["images"][0].update(width=W if turned else w, height=H if turned else h)
    write_json(source / "list.json", document)
    import_annotations(source, tmp_path / "out")
    (photograph,) = DefectFolder(tmp_path / "out").defects()
    want = block(4, 3, 20, 9, W, H) if turned else block(4, 3, 20, 9, w, h)
    want = np.rot90(want, {6: -1, 8: 1}[orientation]) if turned else want
    assert np.array_equal(photograph.read_mask(), want)
    assert photograph.path.read_bytes() == path.read_bytes()


def one_of_labelme(tmp_path: Path, *shapes: dict[str, Any], **more: Any) -> Imported:
    source = tmp_path / "source"
    write_photograph(source / "a.png", 0)
    write_json(source / "a.json", labelme("a.png", *shapes, **more))
    return import_annotations(source, tmp_path / "out")


def test_a_circle_of_labelme(tmp_path: Path) -> None:
    one_of_labelme(tmp_path, shape("dent", [[20, 12], [27, 12]], "circle"))
    y, x = np.mgrid[:H, :W] + 0.5
    away = np.hypot(x - 20, y - 12)
    mask = mask_of(tmp_path / "out", "dent", "a")
    assert mask[away < 6.9].all() and not mask[away > 7].any()


@pytest.mark.parametrize("kind", ["line", "linestrip"])
def test_a_line_has_the_width_that_is_given(kind: str, tmp_path: Path) -> None:
    one_of_labelme(tmp_path, shape("dent", [[5, 10.5], [30, 10.5]], kind))
    mask = mask_of(tmp_path / "out", "dent", "a")
    assert mask[:, 10:25].sum(axis=0).tolist() == [3] * 15
    assert mask[9:12, 10:25].all()


def test_a_photograph_in_labelmes_file(tmp_path: Path) -> None:
    content = png(foreign.picture(7))
    document = labelme("..\\gone\\a.png", shape("dent", POLYGON))
    document["imageData"] = base64.b64encode(content).decode()
    write_json(tmp_path / "source" / "x.json", document)
    import_annotations(tmp_path / "source", tmp_path / "out")
    assert (tmp_path / "out" / "test" / "dent" / "a.png").read_bytes() == content


def test_a_path_may_lead_up_inside_the_source(tmp_path: Path) -> None:
    write_photograph(tmp_path / "source" / "images" / "a.png", 0)
    document = labelme("../images/a.png", shape("dent", POLYGON))
    write_json(tmp_path / "source" / "json" / "a.json", document)
    assert import_annotations(tmp_path / "source", tmp_path / "out").types == {"dent": 1}


def test_a_flag_is_a_defect_without_a_place(tmp_path: Path) -> None:
    done = one_of_labelme(tmp_path, flags={"dent": True, "scratch": False})
    assert (done.good, done.types, done.left_out) == (0, {}, {"a.png": ("dent",)})


def test_a_flag_may_say_that_a_part_is_good(tmp_path: Path) -> None:
    assert one_of_labelme(tmp_path, flags={"OK": True}).good == 1


def one_of_cvat(tmp_path: Path, shapes: str) -> Imported:
    source = tmp_path / "source"
    write_photograph(source / "sub" / "a.png", 0)
    (source / "annotations.xml").write_text(foreign.cvat(("sub/a.png", shapes)))
    return import_annotations(source, tmp_path / "out")


def test_an_ellipse_of_cvat(tmp_path: Path) -> None:
    one_of_cvat(tmp_path, '<ellipse label="dent" cx="20" cy="12" rx="12" ry="4" rotation="90"/>')
    y, x = np.mgrid[:H, :W] + 0.5
    away = np.hypot((x - 20) / 4, (y - 12) / 12)
    mask = mask_of(tmp_path / "out", "dent", "a")
    assert mask[away < 0.97].all() and not mask[away > 1].any()


def test_a_mask_of_cvat(tmp_path: Path) -> None:
    one_of_cvat(tmp_path, '<mask label="dent" rle="1,2,3" left="5" top="7" width="3" height="2"/>')
    want = np.zeros((H, W), bool)
    want[7, 6:8] = True
    assert np.array_equal(mask_of(tmp_path / "out", "dent", "a"), want)


def test_a_tag_of_cvat_is_a_defect_without_a_place(tmp_path: Path) -> None:
    done = one_of_cvat(tmp_path, '<tag label="dent" source="manual"/>')
    assert done.left_out == {"sub/a.png": ("dent",)}


@pytest.mark.parametrize("kind", ["coco", "labelme", "cvat", "yolo"])
def test_boxes_are_filled_without_a_proposal(kind: str, tmp_path: Path) -> None:
    boxed(kind, tmp_path / "source")
    done = import_annotations(tmp_path / "source", tmp_path / "out")
    assert done.proposed == ()
    assert np.array_equal(mask_of(tmp_path / "out", "dent", "a"), BOX_MASK)


def boxed(kind: str, source: Path) -> None:
    """A photograph with a box."""
    write_photograph(source / "a.png", 0)
    left, top, w, h = foreign.BOX
    right, bottom = left + w, top + h
    if kind == "coco":
        annotation = {"image_id": 1, "category_id": 5, "bbox": [*foreign.BOX], "segmentation": []}
        write_json(source / "list.json", coco(annotation, files=("a.png",)))
    elif kind == "labelme":
        box = shape("dent", [[right, top], [left, bottom]], "rectangle")
        write_json(source / "a.json", labelme("a.png", box))
    elif kind == "cvat":
        box = f'<box label="dent" xtl="{left}" ytl="{top}" xbr="{right}" ybr="{bottom}"/>'
        (source / "annotations.xml").write_text(foreign.cvat(("a.png", box)))
    else:
        box = f"0 {(left + w / 2) / W} {(top + h / 2) / H} {w / W} {h / H}\n"
        (source / "a.txt").write_text(box)
        (source / "classes.txt").write_text("dent\n")


def test_both_formats_of_one_source_must_be_distinguished(tmp_path: Path) -> None:
    source = tmp_path / "source"
    foreign.write_coco(source)
    (source / "annotations.xml").write_text(foreign.cvat(("good.png", "")))
    with pytest.raises(DataError, match="cvat and coco"):
        import_annotations(source, tmp_path / "out")
    assert import_annotations(source, tmp_path / "out", format="cvat").good == 1


def test_one_file_is_read_alone(tmp_path: Path) -> None:
    source = foreign.write_coco(tmp_path / "source")
    (source / "annotations.xml").write_text(foreign.cvat(("good.png", "")))
    found = import_annotations(source / "annotations.xml", tmp_path / "out")
    assert (found.format, found.good) == ("cvat", 1)
    list_ = source / "annotations" / "instances_default.json"
    assert import_annotations(list_, tmp_path / "other").types == {"dent": 2, "scratch": 2}


def spoiled(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """A COCO list that is changed."""

    def apply(source: Path) -> None:
        path = source / "annotations" / "instances_default.json"
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return apply


def first(**about: Any) -> Callable[[Path], object]:
    return spoiled(lambda document: document["annotations"][0].update(about))


def named(name: object) -> Callable[[Path], object]:
    return spoiled(lambda document: document["images"][1].update(file_name=name))


def rle(size: object, counts: object) -> Callable[[Path], object]:
    return first(segmentation={"size": size, "counts": counts})


COCO_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no JSON": (lambda s: (s / "annotations/instances_default.json").write_text("{"), "JSON"),
    "deep": (lambda s: (s / "annotations/a.json").write_text("[" * 99999), "nested too deeply"),
    "gone": (lambda s: (s / "images/scratched.png").unlink(), "files of this name: none"),
    "two": (
        lambda s: (
            [write_photograph(s / d / "scratched.png", 9) for d in ("x", "y")]
            and (s / "images/scratched.png").unlink()
        ),
        "files of this name: several",
    ),
    "up": (named("../../../etc/passwd.png"), "leads out"),
    "absolute": (named("/etc/passwd.png"), "is empty"),
    "hidden": (named(".a.png"), "starts with a dot"),
    "long": (named("x" * 300), "bytes long"),
    "no text": (named(3), "'file_name' is 3"),
    "no images": (spoiled(lambda d: d.update(images=None)), "'images' is missing"),
    "one id twice": (spoiled(lambda d: d["images"][1].update(id=1)), "another image has its id"),
    "no such image": (first(image_id=99), "its image is not in the list"),
    "no such category": (first(category_id=99), "category 99 is not in the list"),
    "far": (first(segmentation=[[900, 900, 950, 900, 950, 950]]), "lies outside"),
    "huge": (first(segmentation=[[1e300, 0, 5, 0, 5, 5]]), "not a number up to"),
    "not finite": (first(segmentation=[[float("nan"), 0, 5, 0, 5, 5]]), "not a number"),
    "text": (first(segmentation=[["a", 0, 5, 0, 5, 5]]), "not a number"),
    "two corners": (first(segmentation=[[0, 0, 5, 5]]), "3 points or more"),
    "odd": (first(segmentation=[[0, 0, 5, 5, 9, 9, 9]]), "7 coordinates"),
    "short runs": (rle([H, W], [3, 4]), "do not fill"),
    "negative runs": (rle([H, W], [-3, H * W + 3]), "do not fill"),
    "other size": (rle([H, W + 1], [H * (W + 1)]), "not the picture's"),
    "empty": (rle([H, W], [H * W]), "marks no pixel"),
    "huge runs": (rle([H, W], [2**63]), "not a number"),
    "no runs": (rle([H, W], "\x7f"), "can't be read"),
    "cut runs": (rle([H, W], "oooo"), "cut off"),
    "no box": (first(segmentation=None), "'bbox' is missing"),
    "short box": (first(segmentation=[], bbox=[1, 2]), "2 numbers"),
    "flat box": (first(segmentation=[], bbox=[1, 2, 0, 3]), "is empty"),
    "bad class": (
        spoiled(lambda d: d["categories"][0].update(name="a/b")),
        "--classes NAME=TYPE",
    ),
    "alike": (spoiled(lambda d: d["categories"][0].update(name="Dent")), "one folder"),
    "resized": (spoiled(lambda d: d["images"][0].update(width=99)), "annotated at 99"),
    "no picture": (lambda s: (s / "images/scratched.png").write_text("x"), "not an image"),
    "a pipe": (lambda s: os.mkfifo(s / "annotations/x.json"), "a pipe"),
}


def assert_refused_whole(source: Path, out: Path, text: str) -> None:
    with pytest.raises(UserError) as caught:
        import_annotations(source, out)
    assert text in str(caught.value)
    assert not out.exists()


@pytest.mark.parametrize("fault", COCO_FAULTS)
def test_a_broken_list_of_coco(fault: str, tmp_path: Path) -> None:
    spoil, text = COCO_FAULTS[fault]
    spoil(foreign.write_coco(tmp_path / "source"))
    assert_refused_whole(tmp_path / "source", tmp_path / "out", text)


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><annotations>&b;</annotations>'
CVAT_FAULTS = {
    BOMB: "document type",
    "<annotations><image>": "no element found",
    "<a>" * 5000: "nested too deeply",
    "<annotations></annotations>": "without annotations",
    foreign.cvat(("gone.png", "")): "files of this name: none",
    foreign.cvat(("good.png", "<polygon/>")): "'label' is missing",
    foreign.cvat(("good.png", '<polygon label="x"/>')): "'points' is missing",
    foreign.cvat(("good.png", '<polygon label="x" points="1,2;3"/>')): "is not a number",
    foreign.cvat(("good.png", '<spiral label="x"/>')): "shape is not known",
    foreign.cvat(("good.png", '<mask label="x" rle="9" left="0" top="0" width="2" height="2"/>')): (
        "do not fill"
    ),
    foreign.cvat(
        ("good.png", '<mask label="x" rle="0,4" left="39" top="0" width="2" height="2"/>')
    ): ("lies outside"),
    foreign.cvat(("good.png", '<ellipse label="x" cx="99" cy="0" rx="2" ry="2"/>')): "lies outside",
    foreign.cvat(("good.png", '<box label="x" xtl="9" ytl="0" xbr="2" ybr="2"/>')): "is empty",
}


@pytest.mark.parametrize("text", CVAT_FAULTS)
def test_a_broken_file_of_cvat(text: str, tmp_path: Path) -> None:
    source = foreign.write_cvat(tmp_path / "source")
    (source / "annotations.xml").write_text(text)
    assert_refused_whole(source, tmp_path / "out", CVAT_FAULTS[text])


LABELME_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"imagePath": "gone.png"}, "files of this name: none"),
    ({"imagePath": "gone.png", "imageData": "?"}, "not base64"),
    ({"imagePath": "gone.png", "imageData": "aGVsbG8="}, "no PNG, JPEG"),
    ({"imagePath": None}, "is a NoneType"),
    ({"shapes": {}}, "'shapes' is {}"),
    ({"shapes": [shape("x", [[1, 1]])]}, "3 points or more"),
    ({"shapes": [shape("x", POLYGON, "blob")]}, "its shape is 'blob'"),
    ({"shapes": [shape("x", [[1, 1], [1, 1]], "circle")]}, "is empty"),
    ({"shapes": [{**shape("x", [[1, 1], [2, 2]], "mask"), "mask": "aGk="}]}, "not an image"),
    ({"shapes": [shape("", POLYGON)]}, "is empty"),
]


@pytest.mark.parametrize("about, text", LABELME_FAULTS, ids=[text for _, text in LABELME_FAULTS])
def test_a_broken_file_of_labelme(about: dict[str, Any], text: str, tmp_path: Path) -> None:
    write_photograph(tmp_path / "source" / "a.png", 0)
    write_json(tmp_path / "source" / "a.json", {**labelme("a.png"), **about})
    assert_refused_whole(tmp_path / "source", tmp_path / "out", text)


YOLO_FAULTS = {
    "labels/train/good.txt": [
        ("7 0.1 0.1 0.2 0.2", "no class 7"),
        ("x 0.1 0.1 0.2 0.2", "not a number"),
        ("0 0.1 0.1 0.2", "3 points or more"),
        ("0 0.1 0.1 0.2 0.2 0.9", "5 coordinates"),
        ("0 9 9 0.2 0.2", "lies outside"),
        ("0 nan 0.1 0.2 0.2", "not a number"),
    ],
    "labels/train/gone.txt": [("0 0.5 0.5 0.2 0.2", "labels without a photograph")],
    "data.yaml": [
        ("names: 3", "'names' is neither"),
        ("names: [", "flow"),
        ("x: &a [1]\nnames: *a", "aliases"),
        ("train: images", "without annotations"),
        ("names: {x: y}", "not a number"),
    ],
}


@pytest.mark.parametrize(
    "name, text, says",
    [(name, text, says) for name, faults in YOLO_FAULTS.items() for text, says in faults],
)
def test_broken_files_of_yolo(name: str, text: str, says: str, tmp_path: Path) -> None:
    source = foreign.write_yolo(tmp_path / "source")
    (source / name).write_text(text)
    assert_refused_whole(source, tmp_path / "out", says)


def test_a_link_must_not_lead_out(tmp_path: Path) -> None:
    source = foreign.write_coco(tmp_path / "source")
    secret = write_photograph(tmp_path / "secret.png", 3)
    (source / "images/scratched.png").unlink()
    (source / "images/scratched.png").symlink_to(secret)
    assert_refused_whole(source, tmp_path / "out", "leads out")


def test_a_missing_source_and_an_archive(tmp_path: Path) -> None:
    assert_refused_whole(tmp_path / "no", tmp_path / "out", "does not exist")
    (tmp_path / "x.zip").write_bytes(b"PK")
    assert_refused_whole(tmp_path / "x.zip", tmp_path / "out", "an archive")
    (tmp_path / "empty").mkdir()
    assert_refused_whole(tmp_path / "empty", tmp_path / "out", "without annotations")


def test_the_folder_must_be_new_and_elsewhere(tmp_path: Path) -> None:
    source = foreign.write_coco(tmp_path / "source")
    with pytest.raises(OptionError, match="in the source"):
        import_annotations(source, source / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(OutputError, match="not empty"):
        import_annotations(source, tmp_path / "full")


def test_an_unknown_class_is_refused(tmp_path: Path) -> None:
    source = foreign.write_coco(tmp_path / "source")
    with pytest.raises(OptionError, match="dent, scratch"):
        import_annotations(source, tmp_path / "out", classes={"rust": "x"})


@pytest.mark.parametrize("writes", range(1, 9, 2))
def test_an_interrupted_import_is_carried_on(
    writes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = foreign.write_coco(tmp_path / "source")
    with monkeypatch.context() as patched:
        full_after(writes, patched)
        with pytest.raises(OutputError):
            import_annotations(source, tmp_path / "out")
    assert not [*(tmp_path / "out").rglob(".blemish-*")]
    with pytest.raises(OutputError, match="another interrupted import"):
        import_annotations(source, tmp_path / "out", classes={"dent": "other"})
    import_annotations(source, tmp_path / "out")
    import_annotations(source, tmp_path / "whole")
    assert files_in(tmp_path / "out") == files_in(tmp_path / "whole")
    assert not (tmp_path / "out" / MARK.format("import")).exists()


def test_masks_read_as_those_of_their_photographs(tmp_path: Path) -> None:
    import_annotations(foreign.write_coco(tmp_path / "source"), tmp_path / "out")
    for photograph in DefectFolder(tmp_path / "out").defects():
        assert photograph.mask_path is not None
        assert read_mask_for(photograph.path, photograph.mask_path).any()


def test_16_bits_and_any_format_are_copied(tmp_path: Path) -> None:
    source = tmp_path / "source"
    levels = np.random.default_rng(0).integers(0, 65536, (H, W)).astype(np.uint16)
    source.mkdir()
    Image.fromarray(levels).save(source / "a.TIF")
    write_json(source / "list.json", coco(scratch(segmentation=[flat(POLYGON)]), files=("a.TIF",)))
    import_annotations(source, tmp_path / "out")
    written = tmp_path / "out" / "test" / "scratch" / "a.tif"
    assert written.read_bytes() == (source / "a.TIF").read_bytes()
