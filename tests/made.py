"""A folder as `blemish synthesize` leaves it, made without a model."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tiny import part, spot

from blemish.originals import Original
from blemish.pictures import write_picture
from blemish.synthesis.dataset import Dataset, SyntheticItem
from blemish.types import Codes

SIZE = (40, 52)
# Each on its own photograph, but for the last two, which share one; nothing changed in the fourth.
NAMES: tuple[str, ...] = ("bolt_1", "bolt_2", "nut 3", "nut_4", "Nuß_5", "Nuß_6")
KINDS: tuple[str, ...] = ("crack", "crack", "paint", "paint", "paint", "crack")
SEEDS = (0, 1, 2, 3, 4, 4)
UNCHANGED = 1


def shapes() -> dict[str, np.ndarray]:
    """Masks with everything that an outline can stumble over."""
    h, w = SIZE
    ring = spot(h, w)
    ring[h // 2 - 1 : h // 2 + 2, w // 2 - 1 : w // 2 + 2] = False
    line = np.zeros(SIZE, np.uint8)
    cv2.line(line, (3, 5), (47, 33), 1, 1)
    corner = np.zeros(SIZE, bool)
    corner[:4, :7] = corner[-1, -1] = corner[30, 0] = True
    noise = np.random.default_rng(0).random(SIZE) < 0.4
    noise[0, 0] = True
    return {
        "ring": ring,
        "line": line.astype(bool),
        "corner": corner,
        "spot": spot(h, w),
        "noise": noise,
        "all but one": np.arange(h * w).reshape(SIZE) != 5 * w + 7,
    }


def plain(picture: np.ndarray) -> Original:
    return Original(levels=picture)


def synthetic(
    k: int, *, bundle: Mapping[str, str], shot: Callable[[np.ndarray], Original] = plain
) -> SyntheticItem:
    twin, changed = shot(part(*SIZE, seed=SEEDS[k])), [*shapes().values()][k]
    changed = changed & (NAMES[k] != "nut_4")
    return SyntheticItem(
        name=NAMES[k],
        kind=KINDS[k],
        picture=twin.with_change(255 - twin.picture, changed),
        changed=changed,
        twin=twin,
        requested=spot(*SIZE),
        codes=Codes(w=torch.zeros(1, 6, 16), w_defect=torch.ones(1, 5, 16), noise=None),
        facts={
            "seed": k,
            "normal": f"/home/someone/parts/photo_{SEEDS[k]}.jpg",
            "requested": "/home/someone/mask.png",
            "bundle": {**bundle},
            "options": {"reference": "none", "real": "/home/someone/real" if k else None},
            "scores": {"iou_requested": 0.5 + k / 10, "area": float(changed.mean())},
        },
    )


def write_made(
    root: Path,
    *,
    name: str = "gone",
    digest: str = "0" * 64,
    shot: Callable[[np.ndarray], Original] = plain,
) -> Path:
    """Six items of two types on five photographs, as a camera shot them; in one nothing changed."""
    dataset, bundle = Dataset(root), {"name": name, "digest": digest}
    for k in reversed(range(len(NAMES))):
        dataset.add(synthetic(k, bundle=bundle, shot=shot))
    dataset.contact_sheet()
    return root


def masks() -> dict[str, np.ndarray]:
    """What each item's mask must come back as."""
    known = dict(zip(NAMES, shapes().values(), strict=True))
    return {name: mask for name, mask in known.items() if name != "nut_4"}


def edit(root: Path, line: int, **change: Any) -> None:
    """Put something else into a line of the manifest."""
    path = root / "manifest.jsonl"
    lines = path.read_text().splitlines()
    lines[line] = json.dumps({**json.loads(lines[line]), **change})
    path.write_text("\n".join(lines) + "\n")


def blank(path: Path) -> None:
    write_picture(path, np.zeros(SIZE, bool))
