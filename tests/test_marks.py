"""A mark changes the file, not the picture, and readers of metadata find it."""

import io
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from tiny import part, spot, write_bundle, write_defects

import blemish
from blemish.api.bundle import OpenBundle
from blemish.marks import mark, mark_of, with_mark
from blemish.originals import Original, read_original
from blemish.pictures import png, read_picture, write_picture

IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
DIGEST = "{urn:blemish:xmp:1.0/}bundle"


def described(data: bytes) -> dict[str, str]:
    """Properties of the packet as any XML reader finds them."""
    with Image.open(io.BytesIO(data)) as picture:
        packet = picture.info.get("XML:com.adobe.xmp", "")
    if not packet:
        return {}
    body = packet[packet.index("<x:xmpmeta") : packet.index("<?xpacket end")]
    (found,) = ElementTree.fromstring(body).iter(
        "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"
    )
    return dict(found.attrib)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenBundle:
    path = tmp_path_factory.mktemp("marks") / "bundle"
    return blemish.load(write_bundle(path, windows=True).path, device="cpu")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_pixels_stay_and_the_packet_comes_back(kind: type, tmp_path: Path) -> None:
    levels = part().astype(kind) * (257 if kind == np.uint16 else 1)
    packet = mark("trainedAlgorithmicMedia", "ab" * 32)
    plain, synthetic = (Original(levels=levels, orientation=6, mark=m) for m in ("", packet))
    assert plain.encoded() != synthetic.encoded()
    synthetic.write(tmp_path / "a.png")
    assert (read_original(tmp_path / "a.png").levels == levels).all()
    assert read_original(tmp_path / "a.png").orientation == 6
    assert mark_of(synthetic.encoded()) == packet and mark_of(plain.encoded()) == ""
    assert with_mark(plain.encoded(), packet) == synthetic.encoded()
    assert mark_of(png(part())) == "" and with_mark(png(part()), "") == png(part())


def test_an_item_says_how_it_was_made(opened: OpenBundle, tmp_path: Path) -> None:
    asked = {"photo": part(), "mask": spot(), "defect": "paint", "seed": 1}
    item, plain = opened.synthesize(**asked), opened.synthesize(**asked, no_mark=True)
    assert (item.image == plain.image).all() and (item.mask == plain.mask).all()
    rows = [one.save(tmp_path / name) for one, name in ((item, "a"), (plain, "b"))]
    files = [
        {kind: (tmp_path / name / row["files"][kind]).read_bytes() for kind in row["files"]}
        for row, name in zip(rows, "ab", strict=True)
    ]
    found = described(files[0].pop("image"))
    assert found[IPTC].endswith("/compositeWithTrainedAlgorithmicMedia")
    assert found[DIGEST] == f"sha256:{opened.digest}"
    assert not described(files[1].pop("image"))
    assert files[0] == files[1] and not described(files[0]["twin"])


@pytest.mark.usefixtures("no_processes")
def test_generated_parts_are_synthetic_as_well(opened: OpenBundle, tmp_path: Path) -> None:
    group = 'defect = "paint"\ncount = 1\nparts = 1\nmask_kind = "blob"\narea = 0.05\n'
    text = f'bundle = "{opened.files.path}"\n[[group]]\n{group}'
    (tmp_path / "a.toml").write_text(text)
    (tmp_path / "b.toml").write_text(text + "no_mark = true\n")
    for name in ("a", "b"):
        blemish.batch(tmp_path / f"{name}.toml", device="cpu").write(tmp_path / name, workers=1)
    marked, plain = (sorted((tmp_path / name).rglob("*.png")) for name in ("a", "b"))
    assert len(marked) == len(plain) > 3
    synthetic = {path.parent.name for path in marked if IPTC in described(path.read_bytes())}
    assert synthetic >= {"paint", "twin", "parts"}
    for path, other in zip(marked, plain, strict=True):  # a twin is named by its file's content
        if IPTC in (found := described(path.read_bytes())):
            assert found[IPTC].endswith("/trainedAlgorithmicMedia")
        assert not described(other.read_bytes())
        assert (read_picture(path) == read_picture(other)).all()


def test_a_pasted_defect_is_a_composite(opened: OpenBundle, tmp_path: Path) -> None:
    real = write_defects(tmp_path / "real")
    item = opened.synthesize(part(), spot(), "paint", method="paste", real=real)
    found = described(item.made.picture.encoded())
    assert found[IPTC].endswith("/compositeCapture") and DIGEST not in found


def test_an_export_keeps_the_mark(opened: OpenBundle, tmp_path: Path) -> None:
    Original(levels=part(), orientation=6).write(tmp_path / "turned.png")
    write_picture(tmp_path / "upright.png", part(seed=1))
    for name in ("turned", "upright"):
        photo = tmp_path / f"{name}.png"
        opened.synthesize(photo, mask_kind="blob", area=0.05, defect="paint").save(
            tmp_path / "made"
        )
    blemish.export(tmp_path / "made", tmp_path / "out", "coco", include_doubtful=True)
    pictures = [*(tmp_path / "out" / "images").glob("*.png")]
    assert len(pictures) == 2
    assert all(DIGEST in described(path.read_bytes()) for path in pictures)
