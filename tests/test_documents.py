import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from blemish.documents import (
    MAX_BYTES,
    dataclass_from,
    limit,
    parse_json,
    parse_xml,
    parse_yaml,
    read_json,
    read_text,
)
from blemish.errors import BundleError, DataError


@dataclass(frozen=True, kw_only=True)
class Inner:
    names: tuple[str, ...]
    deep: bool = False


@dataclass(frozen=True, kw_only=True)
class Outer:
    count: int
    share: float = 0.5
    clamp: float | None = None
    kind: Literal["hard", "soft"] = "soft"
    inner: Inner | None = None
    name: str = field(default_factory=str)


def test_an_object_becomes_a_dataclass() -> None:
    value = {"count": 3, "share": 1, "clamp": None, "kind": "hard", "inner": {"names": ["a"]}}
    inner = Inner(names=("a",))
    assert dataclass_from(Outer, value, "it") == Outer(count=3, share=1, kind="hard", inner=inner)


@pytest.mark.parametrize(
    "change",
    [
        *({"count": wrong} for wrong in ("3", 3.0, True, None, [3], {})),
        *({"share": wrong} for wrong in ("0.5", True, None, float("nan"), float("inf"))),
        *({"clamp": wrong} for wrong in ("none", False)),
        *({"kind": wrong} for wrong in ("other", 1, None, ["hard"])),
        *({"inner": wrong} for wrong in ([], "a", {}, {"names": "a"}, {"names": [1]})),
        {"inner": {"names": [], "deep": 1}},
        {"name": 7},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_field_of_another_type_is_named(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^it"):
        dataclass_from(Outer, {"count": 3, **change}, "it")


@pytest.mark.parametrize("value", [None, [], "a", {}, 3])
def test_what_is_no_object_or_lacks_a_field_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"^it (is|lacks)"):
        dataclass_from(Outer, value, "it")


def test_numbers_out_of_their_range_are_named() -> None:
    limit({"a": (1, 1, 1)})
    with pytest.raises(ValueError, match=r"b is 3, not 0 to 2"):
        limit({"a": (1, 1, 1), "b": (3, 0, 2)})


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, '{"a":' * 100_000, "9" * 5000, str(2**64), f"[-{2**64}]", "\ufeff1"],
    ids=lambda text: text[:12],
)
def test_json_that_no_program_of_ours_writes_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_integers_of_64_bits_are_read() -> None:
    assert parse_json(f"[{2**64 - 1}, -{2**63}]") == [2**64 - 1, -(2**63)]


def fifo(path: Path) -> None:
    os.mkfifo(path)


def sparse(path: Path) -> None:
    path.write_bytes(b"")
    os.truncate(path, MAX_BYTES + 1)


@pytest.mark.parametrize(
    "make",
    [
        fifo,
        sparse,
        Path.mkdir,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path),
        lambda path: path.write_bytes(b'"\xff"'),
        lambda path: None,
    ],
)
@pytest.mark.parametrize("read", [read_text, read_json])
def test_what_is_no_small_text_file_is_refused_at_once(
    tmp_path: Path, make: Any, read: Any
) -> None:
    make(tmp_path / "file.json")
    with pytest.raises(BundleError, match=r"file\.json, which .*Expected a recipe"):
        read(tmp_path / "file.json", "a recipe", BundleError)


def test_a_broken_document_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match=r"a\.json, which can't be read as JSON"):
        read_json(tmp_path / "a.json", "a record")


@pytest.mark.parametrize(
    "text, says",
    [
        ("a: &x [1]\nb: *x", "aliases"),
        ("[" * 1000 + "]" * 1000, "deep"),
        (f"a: {2**64}", "64 bits"),
        (f"a: {'1' * 5000}", "limit"),
        ("a: [1", "flow"),
        ("a: !!python/object:os.system {}", "constructor"),
        ("a: 2001-99-99", "month"),
        ("a: \0", "unacceptable"),
    ],
)
def test_bad_yaml(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_yaml(text)


@pytest.mark.parametrize(
    "text, says",
    [
        ('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "document type"),
        ("<a>" * 1000 + "</a>" * 1000, "deep"),
        ("<a>&x;</a>", "entity"),
        ("<a", "unclosed"),
        ("", "no element"),
    ],
)
def test_bad_xml(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_xml(text)


def test_xml_is_read_whatever_encoding_it_names() -> None:
    root = parse_xml('<?xml version="1.0" encoding="utf-16"?><a b="ß">c</a>')
    assert (root.tag, root.get("b"), root.text) == ("a", "ß", "c")


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]", encoding="utf-8-sig")
    assert read_json(tmp_path / "a.json", "a list") == [1]
