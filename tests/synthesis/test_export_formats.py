"""What readers find in an export: each format is read in the way of its own tools."""

import json
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from made import KINDS, NAMES, SIZE, edit, masks, plain, write_made
from PIL import Image
from pycocotools.coco import COCO
from tiny import part

from blemish.data import DefectFolder, check
from blemish.data.folder import GOOD
from blemish.data.pairs import read_mask
from blemish.names import ExportFormat
from blemish.originals import Original, read_original
from blemish.pictures import read_picture
from blemish.synthesis.export.export import FORMATS, export
from blemish.synthesis.export.outlines import connected_pieces

TYPE = dict(zip(NAMES, KINDS, strict=True))


SHOTS: dict[str, Callable[[np.ndarray], Original]] = {
    "plain": plain,
    "on its side": lambda p: Original(levels=p, orientation=6),
    "grey, upside down": lambda p: Original(levels=p[:, :, 0].copy(), orientation=3),
    "16 bits": lambda p: Original(levels=p.astype(np.uint16) * np.uint16(257)),
    "RGBA, 16 bits, on its side": lambda p: Original(
        levels=p[:, :, [0, 1, 2, 0]].astype(np.uint16) * np.uint16(257), orientation=8
    ),
}


@pytest.fixture(scope="module", params=SHOTS)
def shot(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, shot: str) -> Path:
    return write_made(tmp_path_factory.mktemp("once") / "made", shot=SHOTS[shot])


def exported(made: Path, out: Path, format: ExportFormat, **options: Any) -> Path:
    export(made, out, format, **options)
    return out


def pictures(root: Path) -> list[Path]:
    return sorted(root.rglob("*.png"))


@pytest.mark.parametrize("format", FORMATS)
def test_pictures_are_upright_without_a_tag_and_else_as_they_were(
    made: Path, tmp_path: Path, format: ExportFormat, shot: str
) -> None:
    out = exported(made, tmp_path / "out", format, pairs=True)
    sources = {read_original(path).levels.tobytes(): path for path in pictures(made)}
    for path in (path for path in pictures(out) if path.parent.name != "classes"):
        with Image.open(path) as image:
            assert not {**image.getexif()}
            assert image.size == SIZE[::-1]
        found = read_original(path).levels
        source = sources[found.tobytes()]
        as_it_was = path.read_bytes() == source.read_bytes()
        assert as_it_was == (SHOTS[shot](part(*SIZE)).orientation == 1)
        twin = "twin" in path.parts or GOOD in path.parts
        if twin:
            good = SHOTS[shot](part(*SIZE)).levels
            assert (found.dtype, found.shape) == (good.dtype, good.shape)


@pytest.mark.parametrize("share, apart", [(0, 0), (0.5, 2)])
@pytest.mark.parametrize("pairs", [False, True])
def test_mvtec_is_a_folder_that_we_read(
    made: Path, tmp_path: Path, share: float, apart: int, pairs: bool
) -> None:
    out = exported(made, tmp_path / "out", "mvtec", share=share, pairs=pairs)
    folder = DefectFolder(out)
    assert not check(out).complaints
    assert folder.types == ("crack", "paint")
    assert len(folder.good("test")) == apart
    assert len(folder.good("train")) == 4 - apart, "each photograph once"
    assert {photograph.path.stem for photograph in folder.defects()} == {*masks()}
    for photograph in folder.defects():
        assert photograph.mask_path is not None
        assert photograph.kind == TYPE[photograph.path.stem]
        assert np.array_equal(read_mask(photograph.mask_path), masks()[photograph.path.stem])


@pytest.mark.parametrize("share", [0, 0.5])
def test_mvtec_lies_three_deep_as_anomalib_takes_it(
    made: Path, tmp_path: Path, share: float
) -> None:
    out = exported(made, tmp_path / "out", "mvtec", share=share, pairs=True)
    steps = [path.relative_to(out).parts for path in pictures(out)]
    assert {len(parts) for parts in steps} == {3}
    defects = {split for split, kind, _ in steps if kind != GOOD}
    assert defects == {"test", "ground_truth"}, "all others are good, and need no mask"


def test_mvtec_masks_follow_their_pictures_when_sorted(made: Path, tmp_path: Path) -> None:
    out = exported(made, tmp_path / "out", "mvtec")
    images = [path for path in pictures(out / "test") if path.parent.name != GOOD]
    for image, mask in zip(images, pictures(out / "ground_truth"), strict=True):
        assert mask.name == f"{image.stem}_mask.png"
        assert mask.parent.name == image.parent.name


@pytest.mark.parametrize(
    "names, kept",
    [
        (("nut", "nut_01"), False),
        (("nut", "nut1"), False),
        (("nut", "nutS"), False),
        (("nut_01_mask", "nut"), False),
        (("nut", "nuts"), True),
        (("nut", "nut-1"), True),
        (("000001_nut", "000002_nut_01"), True),
    ],
)
def test_mvtec_numbers_names_whose_masks_would_be_sorted_otherwise(
    names: tuple[str, str], kept: bool, tmp_path: Path
) -> None:
    root = write_made(tmp_path / "made")
    for line, name in zip((5, 4), names, strict=True):
        edit(root, line, name=name)
    out = exported(root, tmp_path / "out", "mvtec", pairs=True)
    images = [path for path in pictures(out / "test") if path.parent.name != GOOD]
    stems = [path.stem for path in images]
    assert ({*names} <= {*stems}) == kept
    assert kept or all(re.fullmatch(r"\d_.+", stem) for stem in stems)
    for image, mask in zip(images, pictures(out / "ground_truth"), strict=True):
        assert mask.name == f"{image.stem}_mask.png"
        twin = read_picture(out / "twin" / GOOD / image.name)
        assert np.array_equal((read_picture(image) != twin).any(axis=2), read_mask(mask))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
@pytest.mark.parametrize("share, lists", [(0, 1), (0.5, 2)])
def test_pycocotools_reads_masks_back(made: Path, tmp_path: Path, share: float, lists: int) -> None:
    out, seen = exported(made, tmp_path / "out", "coco", share=share), []
    files = sorted(out.glob("annotations*.json"))
    assert len(files) == lists
    for file in files:
        with redirect_stdout(StringIO()):
            found = COCO(str(file))
        kinds = {known["id"]: known["name"] for known in found.loadCats(found.getCatIds())}
        assert kinds == {1: "crack", 2: "paint"}
        for image in found.loadImgs(found.getImgIds()):
            name = Path(image["file_name"]).stem
            seen.append(name)
            assert read_picture(out / "images" / image["file_name"]).shape[:2] == SIZE
            assert (image["height"], image["width"]) == SIZE
            about = found.loadAnns(found.getAnnIds(imgIds=image["id"]))
            assert {kinds[one["category_id"]] for one in about} == {TYPE[name]}
            read = np.array([found.annToMask(one) for one in about])
            assert np.array_equal(read.sum(axis=0), masks()[name]), "and no pixel twice"
            assert np.array_equal(read, [*connected_pieces(masks()[name])])
    assert sorted(seen) == sorted(masks())


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
def test_coco_s_boxes_and_areas_are_those_of_the_masks(made: Path, tmp_path: Path) -> None:
    out = exported(made, tmp_path / "out", "coco")
    with redirect_stdout(StringIO()):
        found = COCO(str(out / "annotations.json"))
    numbers = found.getAnnIds()
    assert numbers == [*range(1, len(numbers) + 1)]
    for one in found.loadAnns(numbers):
        y, x = np.nonzero(found.annToMask(one))
        box = [x.min(), y.min(), x.max() + 1 - x.min(), y.max() + 1 - y.min()]
        assert one["bbox"] == box
        assert one["area"] == len(x)
        assert one["iscrowd"] == 0


@pytest.mark.parametrize("share", [0, 0.5])
def test_yolo_s_labels_give_the_masks(made: Path, tmp_path: Path, share: float) -> None:
    out = exported(made, tmp_path / "out", "yolo", share=share)
    labels = sorted(out.glob("labels/*/*.txt"))
    assert sorted(path.stem for path in labels) == sorted(masks())
    for label in labels:
        image = out / "images" / label.parent.name / f"{label.stem}.png"
        assert image.is_file(), "as YOLO finds labels: images becomes labels"
        drawn = np.zeros(SIZE, int)
        for line in label.read_text().splitlines():
            number, *shares = line.split()
            assert ["crack", "paint"][int(number)] == TYPE[label.stem]
            drawn += inside(np.array(shares, float).reshape(-1, 2))
        assert np.array_equal(drawn, masks()[label.stem])


def inside(corners: np.ndarray) -> np.ndarray:
    """Pixels whose centre lies inside a polygon of shares by the even-odd rule."""
    h, w = SIZE
    assert len(corners) >= 3
    assert ((corners >= 0) & (corners <= 1)).all()
    odd = np.zeros(SIZE, bool)
    y, x = (np.mgrid[:h, :w] + 0.5).reshape(2, h, w)
    ends = np.roll(corners, -1, axis=0) * (w, h)
    for (x_0, y_0), (x_1, y_1) in zip(corners * (w, h), ends, strict=True):
        if abs(y_1 - y_0) > 0.1:
            meets = x_0 + (y - y_0) / (y_1 - y_0) * (x_1 - x_0)
            odd ^= (np.minimum(y_0, y_1) < y) & (y < np.maximum(y_0, y_1)) & (meets < x)
    return odd


@pytest.mark.parametrize("share, val", [(0, "train"), (0.5, "val")])
def test_yolo_s_list_names_places_and_classes(
    made: Path, tmp_path: Path, share: float, val: str
) -> None:
    out = exported(made, tmp_path / "out", "yolo", share=share)
    lines = (out / "data.yaml").read_text(encoding="utf-8").splitlines()
    assert lines == [
        "train: images/train",
        f"val: images/{val}",
        "names:",
        '  0: "crack"',
        '  1: "paint"',
    ]
    assert pictures(out / "images" / val)


@pytest.mark.parametrize("share", [0, 0.5])
def test_label_studio_s_polygons_give_the_masks(made: Path, tmp_path: Path, share: float) -> None:
    out = exported(made, tmp_path / "out", "label-studio", share=share)
    tasks = [
        task for file in out.glob("tasks*.json") for task in json.loads(file.read_text("utf-8"))
    ]
    assert sorted(task["meta"]["name"] for task in tasks) == sorted(masks())
    interface = ElementTree.parse(out / "labels.xml")
    assert [label.get("value") for label in interface.iter("Label")] == ["crack", "paint"]
    names = {found.tag: found.get("name") for found in interface.iter() if found.get("name")}
    for task in tasks:
        place, name = task["data"][names["Image"]], task["meta"]["name"]
        assert (out / unquote(place.removeprefix("/data/local-files/?d="))).is_file()
        drawn = np.zeros(SIZE, int)
        for result in task["predictions"][0]["result"]:
            assert (result["from_name"], result["to_name"]) == (
                names["PolygonLabels"],
                names["Image"],
            )
            assert result["value"]["polygonlabels"] == [TYPE[name]]
            assert (result["original_height"], result["original_width"]) == SIZE
            drawn += inside(np.array(result["value"]["points"]) / 100)
        assert np.array_equal(drawn, masks()[name])


@pytest.mark.parametrize("share", [0, 0.5])
def test_class_maps_have_the_number_of_the_type(made: Path, tmp_path: Path, share: float) -> None:
    out = exported(made, tmp_path / "out", "class-maps", share=share, classes=["paint", "crack"])
    named = json.loads((out / "classes.json").read_text("utf-8"))
    assert named == {"0": "background", "1": "paint", "2": "crack"}
    found = sorted(out.glob("classes*/*.png"))
    assert sorted(path.stem for path in found) == sorted(masks())
    for path in found:
        assert (out / path.parent.name.replace("classes", "images") / path.name).is_file()
        number = 1 if TYPE[path.stem] == "paint" else 2
        with Image.open(path) as image:
            assert np.array_equal(np.array(image), masks()[path.stem] * number)


def test_croissant_names_the_lists_by_their_digests(made: Path, tmp_path: Path) -> None:
    out = exported(made, tmp_path / "out", "hf-imagefolder", share=0.5)
    about = json.loads((out / "croissant.json").read_text("utf-8"))
    lists = [one for one in about["distribution"] if one["@type"] == "cr:FileObject"]
    assert {one["contentUrl"] for one in lists} == {
        path.relative_to(out).as_posix() for path in out.glob("*/metadata.jsonl")
    }
    for one in lists:
        data = (out / one["contentUrl"]).read_bytes()
        assert one["sha256"] == sha256(data).hexdigest()
        first = json.loads(data.splitlines()[0])
        (records,) = (r for r in about["recordSet"] if one["contentUrl"].startswith(r["@id"]))
        columns = {field["source"]["extract"]["column"] for field in records["field"]}
        assert columns <= {*first}


@pytest.mark.parametrize("share, folders", [(0, {"train"}), (0.5, {"train", "validation"})])
@pytest.mark.parametrize("pairs", [False, True])
def test_an_image_folder_lists_its_files(
    made: Path, tmp_path: Path, share: float, folders: set[str], pairs: bool
) -> None:
    out = exported(made, tmp_path / "out", "hf-imagefolder", share=share, pairs=pairs)
    assert {path.name for path in out.iterdir() if path.is_dir()} == folders
    seen, listed = [], []
    for file in sorted(out.glob("*/metadata.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            files = {key: file.parent / path for key, path in row.items() if "file_name" in key}
            assert {*files} == {"file_name", "mask_file_name"} | (
                {"twin_file_name"} if pairs else set()
            )
            assert np.array_equal(read_mask(files["mask_file_name"]), masks()[row["name"]])
            assert row["type"] == TYPE[row["name"]]
            assert row["photograph"].startswith("photo_")
            seen.append(row["name"])
            listed += files.values()
    assert sorted(seen) == sorted(masks())
    assert sorted(listed) == pictures(out), "no picture that is not listed"
