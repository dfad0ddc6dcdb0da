import errno
import json
import pickle
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import part, spot

from blemish.checkpoint import load_codes
from blemish.data import DefectFolder, check
from blemish.data.pairs import read_mask
from blemish.errors import DataError, OutputError
from blemish.files import append_line
from blemish.originals import Original, read_original
from blemish.pictures import read_picture
from blemish.synthesis.batch.summary import write_report
from blemish.synthesis.dataset import SHEET_ROWS, SHEET_SIDE, Dataset, SyntheticItem
from blemish.types import Codes

KINDS = ("image", "mask", "twin", "requested", "codes")


def item(
    seed: int = 0, *, kind: str = "crack", name: str | None = None, good: Original | None = None
) -> SyntheticItem:
    twin, requested = good or Original(levels=part(40, 52, seed=seed)), spot(40, 52)
    changed = requested & (np.arange(52) < 28)
    return SyntheticItem(
        name=name or f"nut_{seed}",
        kind=kind,
        picture=twin.with_change(255 - twin.picture, changed),
        changed=changed,
        twin=twin,
        requested=requested,
        codes=Codes(
            w=torch.full((1, 6, 16), float(seed)),
            w_defect=torch.ones(1, 5, 16),
            noise={"res_b8.conv0": torch.zeros(1, 1, 8, 8)},
        ),
        facts={"seed": seed, "scores": {"area": 0.1}},
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset(tmp_path / "deep" / "made")


def test_an_item_comes_back_as_it_was(dataset: Dataset) -> None:
    given = item(3)
    row = dataset.add(given)
    assert dataset.rows() == [*dataset] == [row]
    assert row["name"] == "nut_3"
    assert row["type"] == "crack"
    assert row["seed"] == 3
    files = {kind: dataset.root / path for kind, path in row["files"].items()}
    assert {*files} == {*KINDS}
    assert np.array_equal(read_picture(files["image"]), given.picture.picture)
    assert np.array_equal(read_picture(files["twin"]), given.twin.picture)
    assert np.array_equal(read_mask(files["mask"]), given.changed)
    assert np.array_equal(read_mask(files["requested"]), given.requested)
    codes = load_codes(files["codes"])
    assert given.codes is not None
    assert torch.equal(codes.w, given.codes.w)
    assert codes.noise and {*codes.noise} == {"res_b8.conv0"}


def test_the_layout_is_that_of_its_docstring(dataset: Dataset) -> None:
    files = dataset.add(item(0, kind="paint"))["files"]
    assert files == {
        "image": "test/paint/nut_0.png",
        "mask": "ground_truth/paint/nut_0_mask.png",
        "twin": "twin/nut_0.png",
        "requested": "requested/nut_0.png",
        "codes": "codes/nut_0.safetensors",
    }


def test_a_detector_can_read_it(dataset: Dataset) -> None:
    for seed, kind in enumerate(("crack", "crack", "paint")):
        dataset.add(item(seed, kind=kind))
    found = check(dataset.root)
    assert not found.complaints
    assert [(row.split, row.kind, row.count) for row in found.rows] == [
        ("test", "crack", 2),
        ("test", "paint", 1),
    ]
    assert DefectFolder(dataset.root).types == ("crack", "paint")


def test_an_item_in_which_nothing_changed_is_no_sample(dataset: Dataset) -> None:
    given = item(1)
    row = dataset.add(replace(given, picture=given.twin, changed=given.changed & False))
    assert (row["outcome"], row["reasons"]) == ("refused", ["nothing changed"])
    assert {*row["files"]} == {"twin", "requested", "codes"}
    assert all((dataset.root / path).exists() for path in row["files"].values())
    assert not (dataset.root / "test").exists()
    dataset.add(item(2))
    assert not check(dataset.root).complaints
    sheet = read_picture(dataset.contact_sheet())
    assert not sheet[:SHEET_SIDE, -2 * SHEET_SIDE : -SHEET_SIDE - 2].any()


def test_rows_stay_in_order_through_another_object(dataset: Dataset) -> None:
    for seed in (5, 1, 3):
        Dataset(dataset.root).add(item(seed))
    assert [row["seed"] for row in dataset.rows()] == [5, 1, 3]


def test_the_line_comes_last(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Path, row: dict[str, Any]) -> None:
        assert all((dataset.root / file).exists() for file in row["files"].values())
        raise KeyboardInterrupt

    monkeypatch.setattr("blemish.synthesis.dataset.append_row", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dataset.add(item())
    assert not dataset.rows()


def test_the_picture_comes_behind_its_mask(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(
        "blemish.originals.write_atomically",
        lambda path, _: written.append(path.relative_to(dataset.root).parts[0]),
    )
    dataset.add(item())
    assert written == ["twin", "requested", "ground_truth", "test"]


def test_a_torn_line_is_no_item(dataset: Dataset) -> None:
    first = dataset.add(item(0))
    with dataset.manifest.open("a") as file:
        file.write('{"name": "nut_1", "fil')
    assert dataset.rows() == [first]
    second = dataset.add(item(2))
    assert dataset.rows() == [first, second]


@pytest.mark.parametrize("line", ["hello", "{}", "[]", '{"name": "x"}', "3", "", '{"files": {}}'])
def test_a_stranger_s_manifest_is_refused(dataset: Dataset, line: str) -> None:
    dataset.add(item(0))
    append_line(dataset.manifest, line)
    with pytest.raises(DataError, match=r"manifest\.jsonl, whose line 2 is not a valid"):
        dataset.rows()
    with pytest.raises(DataError):
        Dataset(dataset.root)


def test_names_of_any_kind(dataset: Dataset) -> None:
    names = ["Nuß 1", "a'bc", "[red]", "日本"]
    for seed, name in enumerate(names):
        dataset.add(item(seed, name=name))
    assert [row["name"] for row in dataset.rows()] == names
    dataset.contact_sheet()


@pytest.mark.parametrize("change", [{"name": "\udcff"}, {"name": "../x"}, {"kind": "../../x"}])
def test_names_that_leave_the_folder_are_refused(dataset: Dataset, change: dict[str, str]) -> None:
    with pytest.raises(DataError):
        dataset.add(replace(item(), **change))
    assert not dataset.rows()


@pytest.mark.parametrize(
    "n, rows, columns", [(1, 1, 4), (4, 4, 4), (5, 3, 8), (12, 6, 8), (SHEET_ROWS + 3, 6, 8)]
)
def test_the_contact_sheet_has_its_size(dataset: Dataset, n: int, rows: int, columns: int) -> None:
    made = [dataset.add(item(seed)) for seed in range(n)]
    path = dataset.contact_sheet()
    assert path == dataset.root / "contact_sheet.png"
    sheet, step = read_picture(path), SHEET_SIDE + 2
    assert sheet.shape == (rows * step - 2, columns * step - 2, 3)
    oldest = read_picture(dataset.root / made[max(0, n - SHEET_ROWS)]["files"]["twin"])
    shown = sheet[:SHEET_SIDE, :SHEET_SIDE].reshape(SHEET_SIDE, -1).mean()
    assert shown == pytest.approx(oldest.mean(), abs=2), "the last items, oldest first"


def test_the_contact_sheet_shows_the_four(dataset: Dataset) -> None:
    given = item(0)
    dataset.add(given)
    sheet, step = read_picture(dataset.contact_sheet()), SHEET_SIDE + 2
    twin, requested, image, mask = (
        sheet[:, k * step : k * step + SHEET_SIDE].astype(float).mean() for k in range(4)
    )
    assert twin == pytest.approx(given.twin.picture.mean(), abs=2)
    assert image == pytest.approx(given.picture.picture.mean(), abs=2)
    assert requested == pytest.approx(255 * given.requested.mean(), abs=2)
    assert mask == pytest.approx(255 * given.changed.mean(), abs=2)


def test_the_contact_sheet_passes_over_what_a_user_removed(dataset: Dataset) -> None:
    rows = [dataset.add(item(seed)) for seed in range(2)]
    (dataset.root / rows[0]["files"]["image"]).unlink()
    sheet, step = read_picture(dataset.contact_sheet()), SHEET_SIDE + 2
    gone = sheet[:SHEET_SIDE, 2 * step : 2 * step + SHEET_SIDE]
    assert not gone.any()
    assert sheet[step:, 2 * step : 2 * step + SHEET_SIDE].any()


@pytest.mark.parametrize("after", range(6))
def test_a_full_disk_leaves_no_half_file(
    dataset: Dataset, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = dataset.add(item(0))
    whole, write, left = {*dataset.root.rglob("*")}, Path.write_bytes, [after]

    def write_bytes(path: Path, data: bytes) -> int:
        if data == b"blemish":  # the probe of a folder is small enough
            return write(path, data)
        if not left[0]:
            write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        left[0] -= 1
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    if after < len(KINDS):
        with pytest.raises(OutputError, match="no space is left"):
            dataset.add(item(1))
        assert dataset.rows() == [first]
    else:
        dataset.add(item(1))
    monkeypatch.undo()

    fresh = {*dataset.root.rglob("*")} - whole
    assert len([path for path in fresh if path.is_file()]) == min(after, len(KINDS))
    assert not [path for path in fresh if path.name.startswith(".")]
    again = dataset.add(item(1))
    assert dataset.rows()[-1] == again
    assert not check(dataset.root).complaints


@pytest.mark.parametrize("closed", ["parent", "folder"])
def test_a_closed_folder_is_reported(closed: str, tmp_path: Path) -> None:
    root = tmp_path / "made"
    root.mkdir()
    where = root if closed == "folder" else tmp_path
    root = root if closed == "folder" else tmp_path / "other"
    where.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="writing is not permitted"):
            Dataset(root)
    finally:
        where.chmod(0o700)
    assert not [*root.iterdir()] if root.exists() else True


def test_a_file_in_the_way_is_reported(tmp_path: Path) -> None:
    (tmp_path / "made").write_text("hello")
    with pytest.raises(OutputError):
        Dataset(tmp_path / "made")
    with pytest.raises(OutputError):
        Dataset(tmp_path / "made" / "deeper")


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize(
    "levels",
    [
        part(40, 52)[:, :, 0],
        part(40, 52)[:, :, [0, 1, 2, 0]],
        part(40, 52).astype(np.uint16) * np.uint16(257),
    ],
    ids=["grey", "RGBA", "16 bits"],
)
def test_files_are_of_the_photograph_s_kind(
    dataset: Dataset, levels: np.ndarray, orientation: int
) -> None:
    given = item(good=Original(levels=levels, orientation=orientation))
    files = dataset.add(given)["files"]
    found = {kind: read_original(dataset.root / files[kind]) for kind in KINDS[:4]}
    assert {one.orientation for one in found.values()} == {orientation}
    assert np.array_equal(found["image"].levels, given.picture.levels)
    assert np.array_equal(found["twin"].levels, levels)
    assert found["twin"].levels.dtype == levels.dtype
    differs = (found["image"].levels != levels).reshape(40, 52, -1).any(axis=2)
    assert np.array_equal(read_mask(dataset.root / files["mask"]), differs)
    assert np.array_equal(read_mask(dataset.root / files["requested"]), given.requested)


@pytest.mark.parametrize("keep_all", [False, True])
@pytest.mark.parametrize("reasons", [(), ("too faint",), ("too faint", "off the part")])
@pytest.mark.parametrize("seen", [False, True])
def test_a_line_gives_the_outcome(
    dataset: Dataset, keep_all: bool, reasons: tuple[str, ...], seen: bool
) -> None:
    given = item()
    given = replace(given, changed=given.changed & seen, reasons=reasons)
    row = dataset.add(given, keep_all=keep_all)
    assert row["reasons"] == [*reasons, *(() if seen else ("nothing changed",))]
    assert row["outcome"] == ("refused" if row["reasons"] else "kept")
    whole = seen and (keep_all or not reasons)
    assert {*row["files"]} == {*KINDS} - (set() if whole else {"image", "mask"})
    written = {path.relative_to(dataset.root).as_posix() for path in dataset.root.rglob("*.*")}
    assert written == {*row["files"].values(), "manifest.jsonl"}
    assert dataset.rows() == [row]


def test_a_sample_that_is_refused_later_is_taken_away(dataset: Dataset) -> None:
    given = replace(item(), reasons=("too faint",))
    files = dataset.write(given)["files"]
    dataset.add(given, keep_all=False)
    left = [kind for kind, path in files.items() if (dataset.root / path).exists()]
    assert left == ["twin", "requested", "codes"]


def test_what_failed_has_a_line_alone(dataset: Dataset) -> None:
    row = dataset.fail("nut_1", "crack", {"seed": 1}, "the photograph is torn")
    assert dataset.rows() == [row]
    assert row == {
        "name": "nut_1",
        "type": "crack",
        "outcome": "failed",
        "reasons": ["the photograph is torn"],
        "files": {},
        "seed": 1,
    }
    assert [path.name for path in dataset.root.iterdir()] == ["manifest.jsonl"]


def test_files_and_lines_may_be_written_apart(dataset: Dataset, tmp_path: Path) -> None:
    other = Dataset(tmp_path / "other")
    rows = [pickle.loads(pickle.dumps(dataset)).write(item(seed)) for seed in (2, 0, 1)]
    assert not dataset.rows()
    for seed in (0, 1, 2):
        dataset.append(next(row for row in rows if row["seed"] == seed))
        other.add(item(seed))
    assert dataset.manifest.read_bytes() == other.manifest.read_bytes()
    files = [{p.relative_to(d.root) for p in d.root.rglob("*")} for d in (dataset, other)]
    assert files[0] == files[1]


def test_lines_of_older_releases_are_read(dataset: Dataset) -> None:
    row = dataset.add(item())
    old = {key: row[key] for key in row if key not in ("outcome", "reasons")}
    dataset.manifest.write_text(json.dumps(old) + "\n")
    assert Dataset(dataset.root).rows() == [old | {"outcome": "kept", "reasons": []}]
    assert read_picture(dataset.contact_sheet())[:, 2 * SHEET_SIDE + 4 :].any()


def test_sweeping_takes_what_a_killed_run_left_and_nothing_else(dataset: Dataset) -> None:
    dataset.add(item())
    (dataset.root / ".7.folder").mkdir()
    (dataset.root / ".7.notes.txt").write_text("a user's")
    (dataset.root / "twin" / ".hidden.png").write_text("x")
    (dataset.root / "twin" / ".12").write_text("x")
    before = {*dataset.root.rglob("*")}
    for folder, name in ((".", "31.manifest.jsonl"), ("test/crack", "4.a.png"), ("codes", "1.b")):
        (dataset.root / folder / f".blemish-{name}").write_text("half")
    dataset.sweep()
    assert {*dataset.root.rglob("*")} == before
    dataset.sweep()
    assert {*dataset.root.rglob("*")} == before


def test_the_contact_sheet_passes_over_what_failed(dataset: Dataset) -> None:
    dataset.fail("nut_1", "crack", {}, "torn")
    assert not read_picture(dataset.contact_sheet())[:SHEET_SIDE, :SHEET_SIDE].any()
    dataset.add(item())
    dataset.fail("nut_2", "crack", {}, "torn")
    sheet = read_picture(dataset.contact_sheet())
    assert sheet.shape[0] == SHEET_SIDE
    assert sheet[:SHEET_SIDE, :SHEET_SIDE].any()


READERS: dict[str, Callable[[Dataset], object]] = {
    "the contact sheet": Dataset.contact_sheet,
    "opening": lambda dataset: Dataset(dataset.root),
    "going through": lambda dataset: sum(1 for _ in dataset),
    "counting": lambda dataset: write_report(dataset.root / "report.json", dataset),
}


@pytest.mark.parametrize("reader", READERS)
def test_of_many_rows_few_are_held(dataset: Dataset, reader: str) -> None:
    row = dataset.add(item())
    READERS[reader](dataset)  # what is loaded once
    line = json.dumps({**row, "note": "x" * 25_000}) + "\n"
    with dataset.manifest.open("a") as file:
        file.writelines(line for _ in range(1_000))
    tracemalloc.start()
    try:
        READERS[reader](dataset)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < dataset.manifest.stat().st_size / 2
