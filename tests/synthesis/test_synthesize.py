import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any, get_args

import numpy as np
import pytest
import torch
from same import files_in
from tiny import CONFIG, TYPES, part, request_of, spot, write_bundle, write_defects, write_scene

from blemish.checkpoint import Bundle, load_codes
from blemish.data import DefectFolder, check
from blemish.data.pairs import read_mask
from blemish.errors import BundleError, DataError, OptionError, UserError
from blemish.models.generator import DefectConfig, Generator
from blemish.names import (
    PLACEMENT_METHODS,
    MaskControl,
    PlacementChoice,
    PlacementName,
    ReferenceName,
)
from blemish.originals import Original
from blemish.pictures import fit_mask, mask_to_tensor, read_picture, write_picture
from blemish.synthesis.composite import within_reach
from blemish.synthesis.dataset import Dataset
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.part import GoodPart
from blemish.synthesis.placement.drawn import SearchPlacement
from blemish.synthesis.placement.methods import PLACEMENT
from blemish.synthesis.references.stitch import StitchSource
from blemish.synthesis.request import Request
from blemish.synthesis.synthesize import Synthesizer, in_turn, synthesize

CONTROLS = get_args(MaskControl)
REFERENCES = get_args(ReferenceName)
QUICK: dict[str, Any] = {"invert": "project", "space": "w+", "steps": 2}


def approach(control: MaskControl = "condition", steps: int = 2, **more) -> SynthesisOptions:
    return SynthesisOptions(
        mask_control=control, defect_steps=steps, defect_space="w+", **QUICK, **more
    )


def taken(real: Path, reference: str) -> Path | None:
    return None if reference == "none" else real


@pytest.fixture(scope="session")
def order(tmp_path_factory: pytest.TempPathFactory) -> Request:
    return request_of(*write_scene(tmp_path_factory.mktemp("scene")), "paint", TYPES)


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_defects(tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def worker(bundle: Bundle) -> Synthesizer:
    return Synthesizer(bundle, approach())


Make = Callable[..., tuple[Path, list[dict]]]


@pytest.fixture
def make(worker: Synthesizer, order: Request, tmp_path: Path) -> Make:
    def make(
        name: str, count: int, seed: int = 0, *, by: Synthesizer = worker, of: Request = order
    ):
        rows = synthesize(by, in_turn([of]), Dataset(tmp_path / name), count=count, seed=seed)
        return tmp_path / name, rows

    return make


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("reference", REFERENCES)
def test_each_approach_runs_to_a_sound_folder(
    make: Make,
    bundle: Bundle,
    real: Path,
    order: Request,
    control: MaskControl,
    reference: ReferenceName,
) -> None:
    by = Synthesizer(bundle, approach(control, 4, reference=reference, real=taken(real, reference)))
    root, rows = make("made", 2, by=by)
    assert [row["seed"] for row in rows] == [0, 1]
    assert rows == Dataset(root).rows()
    made = [row for row in rows if "image" in row["files"]]
    assert made == [row for row in rows if row["scores"]["area"]]
    if control == "condition":
        assert made == rows
        assert not check(root).complaints
    beyond = ~within_reach(order.requested)
    for row in made:
        picture = read_picture(root / row["files"]["image"])
        twin = read_picture(root / row["files"]["twin"])
        changed = (picture != twin).any(axis=2)
        assert np.array_equal(twin, order.picture)
        assert np.array_equal(changed, read_mask(root / row["files"]["mask"]))
        assert not (changed & beyond).any()
        assert ("reference" in row["scores"]) == (reference != "none")


def test_a_long_search_changes_the_place(make: Make, bundle: Bundle) -> None:
    root, rows = make("made", 2, by=Synthesizer(bundle, approach("noise", 60)))
    assert not check(root).complaints
    for row in rows:
        assert row["scores"]["iou_generator_requested"] > 0.2
        assert row["scores"]["iou_requested"] > 0.1
        assert row["scores"]["pixels_changed_beyond_reach"] == 0


@pytest.mark.parametrize("size", [(64, 64), (97, 61), (300, 400)])
def test_any_size_will_do(
    make: Make, worker: Synthesizer, tmp_path: Path, size: tuple[int, int]
) -> None:
    order = request_of(*write_scene(tmp_path / "scene", *size), "crack", worker.types)
    root, (row,) = make("made", 1, of=order)
    assert read_picture(root / row["files"]["image"]).shape == (*size, 3)
    assert read_mask(root / row["files"]["mask"]).shape == size
    assert row["scores"]["iou_requested"] > 0.5


def test_the_row_says_all(make: Make, bundle: Bundle, order: Request, real: Path) -> None:
    by = Synthesizer(bundle, approach(steps=4, reference="stitch", real=real))
    root, (row,) = make("made", 1, 5, by=by)
    assert json.loads((root / "manifest.jsonl").read_text()) == row
    assert row["seed"] == 5
    assert row["type"] == "paint"
    assert row["normal"] == str(order.normal)
    assert row["requested"] == str(order.mask)
    assert row["bundle"] == {"name": "bundle", "digest": bundle.digest}
    assert row["options"]["search"]["control"] == "condition"
    assert row["options"]["invert"]["search"]["steps"] == 2
    assert row["options"]["real"] == str(real)
    codes = load_codes(root / row["files"]["codes"])
    assert codes.w.shape == (1, 6, 16)
    assert codes.w_defect is not None
    assert np.array_equal(read_mask(root / row["files"]["requested"]), order.requested)
    scores = row["scores"]
    changed = read_mask(root / row["files"]["mask"])
    assert scores["area"] == pytest.approx(changed.mean(), abs=1e-6)
    overlap = (changed & order.requested).sum() / (changed | order.requested).sum()
    assert scores["iou_requested"] == pytest.approx(overlap, abs=1e-4)
    assert scores["reach_px"] == 2
    assert scores["pixels_changed_beyond_reach"] == 0
    assert {"mask", "image", "stay", "reference"} <= {*scores}


@torch.no_grad()
def test_the_codes_draw_the_defect_again(
    make: Make, worker: Synthesizer, generator: Generator, order: Request
) -> None:
    root, rows = make("made", 2)
    wanted = mask_to_tensor(fit_mask(order.requested, 16))[None]
    for row in rows:
        codes = load_codes(root / row["files"]["codes"])
        change = generator.draw(codes, mask=wanted).image - generator.draw(codes.good()).image
        picture, twin = (read_picture(root / row["files"][name]) for name in ("image", "twin"))
        inside = (picture.astype(float) - twin)[order.requested].mean(axis=0) / 127.5
        drawn = (change * wanted).sum(dim=(0, 2, 3)) / wanted.sum()
        # Photographs are cut to their range; the change as drawn is not.
        assert np.corrcoef(inside, drawn)[0, 1] > 0.8


def test_seeds_differ_and_repeat(make: Make) -> None:
    first, rows = make("a", 3, 7)
    again, _ = make("b", 3, 7)
    assert files_in(first) == files_in(again)
    pictures = {(first / row["files"]["image"]).read_bytes() for row in rows}
    assert len(pictures) == 3


@pytest.mark.parametrize(
    "control, pieces",
    [
        ("condition", [3, 6]),
        ("condition", [1, 2, 6]),
        ("condition", [6, 3]),
        ("codes", [3, 6]),
        ("noise", [3, 6]),
    ],
)
def test_a_set_made_in_pieces_is_that_made_at_once(
    make: Make, bundle: Bundle, control: MaskControl, pieces: list[int]
) -> None:
    at_once, _ = make("whole", 6, by=Synthesizer(bundle, approach(control)))
    for count in pieces:
        _, rows = make("pieces", count, by=Synthesizer(bundle, approach(control)))
        assert [row["seed"] for row in rows] == list(range(count))
    assert files_in(at_once.parent / "pieces") == files_in(at_once)


@pytest.mark.parametrize(
    "control, reference",
    [("condition", "none"), ("condition", "stitch"), ("codes", "none"), ("noise", "none")],
)
def test_an_item_is_its_seed_s_whatever_it_is_made_with(
    make: Make, bundle: Bundle, real: Path, control: MaskControl, reference: ReferenceName
) -> None:
    by = Synthesizer(bundle, approach(control, reference=reference, real=taken(real, reference)))
    together, rows = make("together", 2, 3, by=by)
    for row in rows:
        alone, (again,) = make(f"alone{row['seed']}", 1, row["seed"], by=by)
        assert again == row
        for path in row["files"].values():
            assert (alone / path).read_bytes() == (together / path).read_bytes()


def test_what_is_there_is_not_made_again(
    make: Make, worker: Synthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, rows = make("made", 3)
    before = files_in(root)
    monkeypatch.setattr(worker, "invert", lambda *_, **__: pytest.fail("nothing is to be made"))
    _, again = make("made", 3)
    assert again == rows
    assert files_in(root) == before


def test_only_what_is_missing_is_made(
    make: Make, worker: Synthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("made", 2, 1)
    worked, original = [], worker.make
    monkeypatch.setattr(
        worker, "make", lambda order, s, **k: worked.append(s) or original(order, s, **k)
    )
    make("made", 4)
    assert worked == [0, 3]


def test_what_a_user_removed_stays_removed(make: Make) -> None:
    root, rows = make("made", 3)
    (root / rows[1]["files"]["image"]).unlink()
    _, again = make("made", 3)
    assert again == rows
    assert not (root / rows[1]["files"]["image"]).exists()


def test_names_are_by_content(worker: Synthesizer, bundle: Bundle, order: Request) -> None:
    name = worker.items.name(order, 0)
    assert name.startswith("nut_")
    assert Synthesizer(bundle, approach()).items.name(order, 0) == name
    elsewhere = replace(
        order, part=GoodPart(Path("/other/nut.png"), order.original), mask=Path("x.png")
    )
    assert worker.items.name(elsewhere, 0) == name
    requested = np.roll(order.requested, 2, axis=0)
    others = [
        worker.items.name(order, 1),
        worker.items.name(replace(order, kind="crack"), 0),
        worker.items.name(replace(order, requested=requested), 0),
        Synthesizer(bundle, approach("codes")).items.name(order, 0),
        Synthesizer(bundle, approach(steps=3)).items.name(order, 0),
    ]
    assert len({name, *others}) == 6


@pytest.mark.parametrize("stem", ["x" * 250, ".hidden", "Nuß 1", "a.b"])
def test_any_file_name_gives_a_name_that_can_be_read(
    make: Make, worker: Synthesizer, order: Request, stem: str
) -> None:
    root, (row,) = make(
        "made", 1, of=replace(order, part=GoodPart(Path(f"{stem}.png"), order.original))
    )
    assert len(DefectFolder(root).photographs) == 1
    assert len(row["name"]) < 60


def test_items_of_several_orders_live_together(
    make: Make, worker: Synthesizer, order: Request
) -> None:
    other = replace(order, kind="crack", requested=np.roll(order.requested, 3, axis=1))
    make("made", 2)
    root, _ = make("made", 2, of=other)
    assert [row["type"] for row in Dataset(root).rows()] == ["paint"] * 2 + ["crack"] * 2
    assert not check(root).complaints


def test_another_mask_puts_the_defect_elsewhere(make: Make, order: Request) -> None:
    boxes = []
    for at in ((0.4, 0.35), (0.6, 0.65)):
        moved = replace(order, requested=spot(at=at))
        root, (row,) = make(f"at{at}", 1, of=moved)
        changed = read_mask(root / row["files"]["mask"])
        assert row["scores"]["iou_requested"] > 0.5
        boxes.append(np.argwhere(changed).mean(axis=0))
    assert np.allclose(boxes[1] - boxes[0], 64 * np.array([0.2, 0.3]), atol=2)


def test_progress_is_reported(worker: Synthesizer, order: Request, tmp_path: Path) -> None:
    heard: list[str] = []
    synthesize(
        worker, in_turn([order]), Dataset(tmp_path), count=2, seed=0, on_progress=heard.append
    )
    assert heard[0] == "inverting, 0%"
    assert [words for words in heard if words.startswith("made")] == [
        f"made {worker.items.name(order, seed)}" for seed in (0, 1)
    ]


@pytest.mark.parametrize("count, seed", [(0, 0), (-1, 0), (1, -1), (1, 2**63), (2, 2**63 - 1)])
def test_bad_counts_and_seeds(
    worker: Synthesizer, order: Request, tmp_path: Path, count: int, seed: int
) -> None:
    with pytest.raises(OptionError):
        synthesize(worker, in_turn([order]), Dataset(tmp_path), count=count, seed=seed)
    assert not [*tmp_path.iterdir()]


def test_distilling_needs_no_folder_where_the_bundle_knows(
    make: Make, bundle: Bundle, real: Path
) -> None:
    pictures = []
    for name, folder in (("bundle", None), ("real", real)):
        by = Synthesizer(bundle, approach(steps=4, reference="distil", real=folder))
        by.prepare("paint")
        root, (row,) = make(name, 1, by=by)
        assert row["scores"]["reference"] > 0
        pictures.append(read_picture(root / row["files"]["image"]))
    assert not np.array_equal(*pictures)


def test_a_stitched_reference_brings_its_colour(
    make: Make, bundle: Bundle, real: Path, order: Request
) -> None:
    off = {}
    for steps in (0, 20):
        by = Synthesizer(
            bundle,
            SynthesisOptions(
                defect_steps=steps,
                reference_weight=10,
                image_weight=0,
                reference="stitch",
                real=real,
                **QUICK,
            ),
        )
        root, (row,) = make(f"steps{steps}", 1, by=by)
        twin, made = (read_picture(root / row["files"][name]) for name in ("twin", "image"))
        wanted = np.array([230, 20, 20])[None] - twin[order.requested]
        got = made[order.requested].astype(int) - twin[order.requested]
        off[steps] = np.abs(wanted - got).mean()
    assert off[20] < off[0]


def spoil_masks(root: Path) -> None:
    for path in (root / "ground_truth/paint").iterdir():
        write_picture(path, spot(48, 48) & False)


SHORT: list[tuple[ReferenceName, Callable[[Path], object] | None, type[UserError], str]] = [
    ("stitch", None, OptionError, "--reference stitch without real defects"),
    ("stitch", lambda root: root / "none", DataError, "which does not exist"),
    ("distil", lambda root: root / "none", DataError, "which does not exist"),
    ("stitch", lambda root: (root / "test/paint").rename(root / "away"), OptionError, "no 'paint'"),
    ("stitch", spoil_masks, OptionError, "has no 'paint'"),
    ("distil", spoil_masks, OptionError, "has no 'paint'"),
    (
        "stitch",
        lambda root: (root / "test/paint/0.png").write_text("hello"),
        DataError,
        "is not an image",
    ),
    (
        "distil",
        lambda root: (root / "ground_truth/paint/0.png").unlink(),
        DataError,
        "without a mask",
    ),
]


@pytest.mark.parametrize("reference, spoil, kind, message", SHORT)
def test_what_a_reference_lacks_is_reported_beforehand(
    bundle: Bundle,
    tmp_path: Path,
    reference: ReferenceName,
    spoil: Callable[[Path], object] | None,
    kind: type[UserError],
    message: str,
) -> None:
    root = write_defects(tmp_path / "real")
    found = spoil(root) if spoil else None
    real = None if spoil is None else root / "none" if found == root / "none" else root
    worker = Synthesizer(bundle, approach(reference=reference, real=real))
    with pytest.raises(kind, match=message):
        worker.prepare("paint")


def test_masks_that_mark_nothing_are_left_out(bundle: Bundle, tmp_path: Path) -> None:
    root = write_defects(tmp_path)
    write_picture(root / "ground_truth/paint/1.png", spot(48, 48) & False)
    worker = Synthesizer(bundle, approach(reference="stitch", real=root))
    assert isinstance(worker.placement, SearchPlacement)
    worker.prepare("paint")
    assert isinstance(worker.placement.reference, StitchSource)
    pictures, masks = worker.placement.reference.real.load("paint")
    assert len(pictures) == len(masks) == 2


@pytest.mark.parametrize("lost", ["statistics", "match_critic"])
def test_a_bundle_without_what_distilling_needs(tmp_path: Path, lost: str) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    (bundle.path / f"{lost}.safetensors").unlink()
    with pytest.raises(UserError):
        Synthesizer(bundle, approach(reference="distil")).prepare("paint")
    Synthesizer(bundle, approach()).prepare("paint")


@pytest.mark.parametrize(
    "branch, message",
    [
        (None, "without defect types"),
        (DefectConfig(first_resolution=8), "without defect types"),
        (DefectConfig(first_resolution=8, types=TYPES, takes_mask=False), "takes no mask"),
    ],
)
def test_a_bundle_that_cannot_do_it_is_refused(
    tmp_path: Path, branch: DefectConfig | None, message: str
) -> None:
    bundle = write_bundle(tmp_path / "bundle", replace(CONFIG, defect=branch))
    with pytest.raises(BundleError, match=message):
        Synthesizer(bundle, approach())


def test_a_branch_that_takes_no_mask_can_be_searched(tmp_path: Path, make: Make) -> None:
    branch = DefectConfig(first_resolution=8, types=TYPES, takes_mask=False)
    bundle = write_bundle(tmp_path / "bundle", replace(CONFIG, defect=branch))
    _, rows = make("made", 1, by=Synthesizer(bundle, approach("noise")))
    assert len(rows) == 1


def test_real_defects_are_read_once(
    make: Make, bundle: Bundle, real: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by = Synthesizer(bundle, approach(reference="stitch", real=real))
    by.prepare("paint")
    monkeypatch.setattr(
        "blemish.synthesis.real.defects.load_pictures", lambda *_: pytest.fail("read before")
    )
    make("made", 3, by=by)


def test_a_change_too_slight_leaves_a_line_and_no_sample(
    make: Make, worker: Synthesizer, order: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blemish.synthesis.composite.VISIBLE_LEVELS", 256)
    root, rows = make("made", 2)
    assert [row["scores"]["area"] for row in rows] == [0, 0]
    assert not (root / "test").exists()
    assert (root / "contact_sheet.png").exists()


def test_pictures_of_other_parts_give_other_items(make: Make, order: Request) -> None:
    other = replace(order, original=Original(levels=part(seed=4)))
    (first, (row,)), (second, (other_row,)) = make("a", 1), make("b", 1, of=other)
    assert row["name"] != other_row["name"]
    assert np.array_equal(read_picture(second / other_row["files"]["twin"]), other.picture)
    assert np.array_equal(read_picture(first / row["files"]["twin"]), order.picture)


def test_real_defects_without_a_reference_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="without a use"):
        Synthesizer(bundle, approach(real=tmp_path))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With a window generator."""
    return write_bundle(tmp_path_factory.mktemp("whole") / "bundle", windows=True)


def placed(placement: PlacementChoice, real: Path | None = None, **more) -> SynthesisOptions:
    invert = QUICK if placement == "optimize" else {}
    if placement != "auto" and PLACEMENT_METHODS[placement].needs_real:
        more["real"] = real
    return SynthesisOptions(method=placement, defect_steps=2, **invert, **more)


@pytest.mark.parametrize("placement", PLACEMENT)
def test_each_method_makes_items_that_are_their_seeds(
    make: Make, whole: Bundle, real: Path, order: Request, placement: PlacementName
) -> None:
    by = Synthesizer(whole, placed(placement, real))
    together, rows = make("together", 2, 3, by=by)
    assert {row["options"]["way"] for row in rows} == {placement}
    assert not check(together).complaints
    one, other = (read_picture(together / row["files"]["image"]) for row in rows)
    assert not np.array_equal(one, other)
    alone, (again,) = make("alone", 1, 4, by=Synthesizer(whole, placed(placement, real)))
    assert again == rows[1]
    assert all(
        (alone / path).read_bytes() == (together / path).read_bytes()
        for path in again["files"].values()
    )


def test_windows_are_usual_where_there_are_some(whole: Bundle, bundle: Bundle, real: Path) -> None:
    assert Synthesizer(whole, SynthesisOptions()).method == "window"
    assert Synthesizer(bundle, SynthesisOptions()).method == "optimize"
    for searching in (
        SynthesisOptions(**QUICK),
        SynthesisOptions(mask_control="noise"),
        SynthesisOptions(reference="stitch", real=real),
    ):
        assert Synthesizer(whole, searching).method == "optimize"


def test_mapper_of_an_earlier_release_is_ignored(bundle: Bundle, tmp_path: Path) -> None:
    old = Bundle(copytree(bundle.path, tmp_path / "old"))
    old.write("mapper", {"fc0.weight": torch.ones(2, 2)})
    assert Synthesizer(old, SynthesisOptions()).method == "optimize"


def test_label_of_a_window_covers_the_mask_and_nothing_beyond_its_reach(
    make: Make, whole: Bundle, order: Request
) -> None:
    root, (row,) = make("window", 1, by=Synthesizer(whole, placed("window")))
    label = read_mask(root / row["files"]["mask"])
    assert label[order.requested].all()
    assert not (label & ~within_reach(order.requested)).any()
    assert row["scores"]["pixels_changed_beyond_reach"] == 0


def test_a_window_inverts_nothing(whole: Bundle, order: Request) -> None:
    by = Synthesizer(whole, placed("window"))
    assert by.invert(order) is None
    assert not by.items.record()["invert"]


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"method": "window", "mask_control": "noise"}, "window does not search"),
        ({"method": "window", **QUICK}, "a way to invert"),
        ({"invert": "encode", "steps": 3}, "3 steps for the inversion method encode"),
    ],
)
def test_options_that_contradict_each_other_are_refused(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        SynthesisOptions(**bad)


def test_a_stronger_defect_is_seen_more(make: Make, whole: Bundle, order: Request) -> None:
    changes, areas = [], []
    for strength in (0.2, 0.5, 1.0):
        weaker = replace(order, strength=strength)
        root, (row,) = make(
            f"at{strength}", 1, by=Synthesizer(whole, SynthesisOptions()), of=weaker
        )
        assert row["strength"] == strength
        twin = read_picture(root / row["files"]["twin"]).astype(int)
        image = read_picture(root / row["files"].get("image", row["files"]["twin"]))
        changes.append(np.abs(image - twin).sum())
        areas.append(row["scores"]["area"])
    assert changes == sorted(changes) and areas == sorted(areas)
    assert changes[0] < changes[-1]


def test_masks_are_taken_in_turn(make: Make, whole: Bundle, order: Request, tmp_path: Path) -> None:
    other = replace(order, requested=np.roll(order.requested, 6, axis=1))
    worker, requests = Synthesizer(whole, SynthesisOptions()), in_turn([order, other])
    rows = synthesize(worker, requests, Dataset(tmp_path), count=4, seed=1)
    asked = [read_mask(tmp_path / row["files"]["requested"]) for row in rows]
    for seed, mask in zip(range(1, 5), asked, strict=True):
        assert np.array_equal(mask, [order, other][seed % 2].requested)


def test_pasting_needs_no_bundle(make: Make, order: Request, real: Path) -> None:
    by = Synthesizer(None, SynthesisOptions(method="paste", real=real))
    assert {*by.types} == {*TYPES}
    root, (row,) = make("pasted", 1, by=by)
    assert row["bundle"] is None
    assert "codes" not in row["files"]
    assert not check(root).complaints
    assert row["scores"]["iou_requested"] > 0.5
    assert row["scores"]["pixels_changed_beyond_reach"] == 0


def test_pasting_refuses_what_has_no_effect_on_it(real: Path) -> None:
    with pytest.raises(OptionError, match="the method paste"):
        SynthesisOptions(method="paste", real=real, mask_control="codes")
