"""Croissant metadata (MLCommons, version 1.0) of an image folder.

A record set for each split has the lines of its metadata.jsonl; file sets name the pictures. All
places are relative to croissant.json, so the folder may be moved.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from blemish.synthesis.export.imagefolder import LIST
from blemish.synthesis.export.items import Items
from blemish.version import __version__

FILE = "croissant.json"
VOCABULARY = "http://mlcommons.org/croissant/"
# Names of the metadata, as the specification has them.
_OWN = (
    *("citeAs", "column", "conformsTo", "data", "dataType", "extract", "field", "fileObject"),
    *("fileProperty", "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5"),
    *("parentField", "path", "recordSet", "references", "regex", "repeated", "replace"),
    *("separator", "source", "subField", "transform"),
)
FIELDS = {
    "file_name": ("sc:Text", "File of the image, relative to the list."),
    "mask_file_name": ("sc:Text", "File of the exact mask of the changed pixels."),
    "name": ("sc:Text", "Name of the item."),
    "type": ("sc:Text", "Type of the defect."),
    "photograph": ("sc:Text", "Name of the photograph of the good part."),
    "seed": ("sc:Integer", "Random seed of the defect."),
}


def croissant(title: str, items: Items, lists: Mapping[str, bytes], today: date) -> bytes:
    """Metadata of an export as JSON-LD.

    Args:
        title: Name of the data set.
        items: Exported items.
        lists: Content of each split's list, by the split's folder.
        today: Date of the export.
    """
    about = {
        "@context": _context(),
        "@type": "sc:Dataset",
        "name": title,
        "description": f"{len(items.items)} photographs of parts with synthetic defects "
        f"({', '.join(items.kinds)}) and exact masks. README.md is the data card.",
        "conformsTo": f"{VOCABULARY}1.0",
        "creator": {"@type": "sc:Organization", "name": f"Made with Blemish {__version__}"},
        "datePublished": today.isoformat(),
        "citeAs": "Synthetic defects made with Blemish; see the data card for their origin.",
        "license": "unknown: the owner of the photographs decides",
        "url": ".",
        "version": "1.0.0",
        "distribution": [
            *(_list_file(split, content) for split, content in lists.items()),
            *(_pictures(split, kind) for split in lists for kind in ("image", "mask")),
        ],
        "recordSet": [_records(split) for split in lists],
    }
    return (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode()


def _context() -> dict[str, Any]:
    known: dict[str, Any] = {name: f"cr:{name}" for name in _OWN}
    known |= {"conformsTo": "dct:conformsTo", "samplingRate": "cr:samplingRate"}
    known |= {"examples": {"@id": "cr:examples", "@type": "@json"}}
    known |= {"equivalentProperty": "cr:equivalentProperty"}
    known["data"] = {"@id": "cr:data", "@type": "@json"}
    known["dataType"] = {"@id": "cr:dataType", "@type": "@vocab"}
    spaces = {"cr": VOCABULARY, "dct": "http://purl.org/dc/terms/", "sc": "https://schema.org/"}
    spaces["rai"] = f"{VOCABULARY}RAI/"
    return {"@language": "en", "@vocab": "https://schema.org/", **spaces, **known}


def _list_file(split: str, content: bytes) -> dict[str, str]:
    return {
        "@type": "cr:FileObject",
        "@id": _list_of(split),
        "name": _list_of(split),
        "contentUrl": f"{split}/{LIST}",
        "encodingFormat": "application/jsonlines",
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _pictures(split: str, kind: str) -> dict[str, str]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{split}-{kind}",
        "name": f"{split}-{kind}",
        "includes": f"{split}/{kind}/*.png",
        "encodingFormat": "image/png",
    }


def _records(split: str) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{split}/{name}",
                "name": f"{split}/{name}",
                "description": description,
                "dataType": kind,
                "source": {
                    "fileObject": {"@id": _list_of(split)},
                    "extract": {"column": name},
                },
            }
            for name, (kind, description) in FIELDS.items()
        ],
    }


def _list_of(split: str) -> str:
    return f"{split}-list"
