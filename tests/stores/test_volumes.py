"""Volumes: what is written is read again, and the same samples give the same bytes."""

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from same import files_in
from tiny import part

from blemish.errors import DataError, OutputError
from blemish.manifest import MANIFEST
from blemish.names import StoreName
from blemish.pictures import write_picture
from blemish.stores.reading import stored_file
from blemish.stores.samples import ITEM_KINDS, TWIN_KINDS, StoredItem, key_of, member, split_member
from blemish.stores.store import VOLUMES, Store

try:
    import resource
except ImportError:  # Windows has none
    resource = None


@pytest.fixture(params=VOLUMES)
def name(request: pytest.FixtureRequest) -> StoreName:
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return request.param


@pytest.fixture
def store(name: StoreName) -> Store:
    return VOLUMES[name]()


@pytest.fixture
def samples(tmp_path: Path) -> list[StoredItem]:
    """More than one group of rows, of which each second one lacks files."""
    found = []
    for k in range(40):
        files = {"image": tmp_path / f"{k}.png", "codes": tmp_path / f"{k}.safetensors"}
        for kind, file in files.items():
            file.write_bytes(f"{kind} {k}".encode())
        row = {"name": f"{k}", "type": "crack", "outcome": "kept", "index": k, "seed": 2**32 - 1}
        row |= {"strength": 0.5, "files": {"twin": "twins/000000.tar/nut.twin.png"}}
        given = files if k % 2 else {"image": files["image"]}
        found.append(StoredItem(key=f"{k:06d}_é", files=given, row=row))
    return found


def test_every_file_comes_back(store: Store, samples: list[StoredItem], tmp_path: Path) -> None:
    volume = tmp_path / f"volume{store.suffix}"
    store.write(volume, samples, ITEM_KINDS)
    for sample in samples:
        for kind in ITEM_KINDS:
            found = store.read(volume, sample.key, kind)
            assert found == (sample.files[kind].read_bytes() if kind in sample.files else None)
    assert store.read(volume, "nobody", "image") is None


def test_the_same_samples_give_the_same_bytes(
    store: Store, samples: list[StoredItem], tmp_path: Path
) -> None:
    one, other = tmp_path / f"one{store.suffix}", tmp_path / f"other{store.suffix}"
    store.write(one, samples, ITEM_KINDS)
    store.write(other, iter(samples), ITEM_KINDS)
    assert one.read_bytes() == other.read_bytes()


def test_a_volume_is_whole_or_missing(
    store: Store, samples: list[StoredItem], tmp_path: Path
) -> None:
    place = tmp_path / "out"
    place.mkdir()
    samples[-1].files["image"].unlink()
    with pytest.raises(FileNotFoundError):
        store.write(place / f"volume{store.suffix}", samples, ITEM_KINDS)
    assert not files_in(place)


@pytest.mark.skipif(resource is None, reason="the system has no limit of a file's size")
def test_a_disk_that_takes_no_more_is_reported(
    store: Store, samples: list[StoredItem], tmp_path: Path
) -> None:
    assert resource is not None
    samples[0].files["image"].write_bytes(os.urandom(2**16))
    place, limits = tmp_path / "out", resource.getrlimit(resource.RLIMIT_FSIZE)
    place.mkdir()
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**12, limits[1]))
    try:
        with pytest.raises(OutputError, match="volume"):
            store.write(place / f"volume{store.suffix}", samples, ITEM_KINDS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not files_in(place)


def test_an_archive_has_the_names_of_webdataset(samples: list[StoredItem], tmp_path: Path) -> None:
    VOLUMES["tar"]().write(tmp_path / "volume.tar", samples, ITEM_KINDS)
    with tarfile.open(tmp_path / "volume.tar") as archive:
        names = archive.getnames()
        first = archive.extractfile(names[0])
        assert first is not None and json.load(first) == samples[0].row
    keys = [name.partition(".")[0] for name in names]
    assert keys == sorted(keys, key=[sample.key for sample in samples].index)
    assert names[2:5] == ["000001_é.json", "000001_é.image.png", "000001_é.codes.safetensors"]


def test_parquet_has_rows_with_pictures(samples: list[StoredItem], tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    volume = tmp_path / "volume.parquet"
    write_picture(tmp_path / "picture.png", part())
    shown = [
        StoredItem(key=s.key, files={"image": tmp_path / "picture.png"}, row=s.row) for s in samples
    ]
    VOLUMES["parquet"]().write(volume, shown, ITEM_KINDS)
    rows = datasets.load_dataset(
        "parquet", data_files=str(volume), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert rows["name"] == [sample.row["name"] for sample in samples]
    assert [json.loads(row) for row in rows["row"]] == [sample.row for sample in samples]
    assert {*rows["twin"]} == {"nut"}
    assert rows[0]["image"].size == part().shape[1::-1]


ROW: dict[str, Any] = {"name": "nut.1", "type": "crack", "files": {}}


def put(root: Path, name: StoreName, content: bytes = b"picture") -> tuple[Path, dict[str, Any]]:
    """A data set of one item in a volume; its manifest and its row."""
    store, file, key = VOLUMES[name](), root / "file", key_of(ROW["name"])
    root.mkdir(exist_ok=True)
    (root / "kept").mkdir()
    file.write_bytes(content)
    row = {**ROW, "files": {"image": f"kept/0{store.suffix}/{member(key, 'image')}"}}
    sample = StoredItem(key=key, files={"image": file}, row=row)
    store.write(root / "kept" / f"0{store.suffix}", [sample], ITEM_KINDS)
    return root / MANIFEST, row


def test_a_file_of_an_item_comes_from_its_volume(name: StoreName, tmp_path: Path) -> None:
    for content in (b"one", b"other"):
        manifest, row = put(tmp_path / content.decode(), name, content)
        found = stored_file(manifest, row, "image")
        assert found.read_bytes() == content
        assert found == stored_file(manifest, row, "image")
        assert found.name == "nut_1.image.png"
    assert split_member(row["files"]["image"])[1:] == ("nut_1", "image")


def test_what_a_volume_lacks_is_reported(name: StoreName, tmp_path: Path) -> None:
    manifest, row = put(tmp_path, name)
    image = row["files"]["image"]
    with pytest.raises(DataError, match="is gone"):
        stored_file(manifest, {**row, "files": {"image": image.replace("nut_1", "nut_2")}}, "image")
    with pytest.raises(DataError, match="is gone"):
        stored_file(manifest, row, "twin")
    volume = manifest.parent / "kept" / f"0.{name}"
    volume.write_bytes(volume.read_bytes()[:40])
    with pytest.raises(DataError, match="can't be read"):
        stored_file(manifest, row, "image")
    volume.unlink()
    with pytest.raises(DataError, match="is gone"):
        stored_file(manifest, row, "image")


def test_a_link_out_of_the_folder_is_refused(name: StoreName, tmp_path: Path) -> None:
    manifest, row = put(tmp_path / "out", name)
    volume = manifest.parent / "kept" / f"0.{name}"
    volume.rename(tmp_path / volume.name)
    volume.symlink_to(tmp_path / volume.name)
    with pytest.raises(DataError, match="lies outside"):
        stored_file(manifest, row, "image")


def test_photographs_have_volumes_of_their_own(
    store: Store, samples: list[StoredItem], tmp_path: Path
) -> None:
    twins = [StoredItem(key=s.key, files={"twin": s.files["image"]}) for s in samples]
    volume = tmp_path / f"twins{store.suffix}"
    store.write(volume, twins, TWIN_KINDS)
    for twin in twins:
        assert store.read(volume, twin.key, "twin") == twin.files["twin"].read_bytes()
