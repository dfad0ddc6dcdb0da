"""Recipe of many items like those that were kept, for `blemish batch`."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from blemish.documents import limit
from blemish.errors import DataError
from blemish.manifest import Row
from blemish.reading import current

MOST_ITEMS = 100_000
Like = tuple[str, str, str]  # method, type and photograph


@dataclass(frozen=True, kw_only=True)
class RecipeWish:
    """Wish for many items like those that were kept.

    Attributes:
        count: Number of items.
        masks: Kind of mask to draw, or "painted" for the masks that were painted, each on its own
            photograph.
        everywhere: Use all opened photographs, not only those with kept items.
        seed: Random seed.
    """

    count: int
    masks: Literal["painted", "scratch", "blob", "spots", "real", "learned"] = "painted"
    everywhere: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        limit({"the number of items": (self.count, 1, MOST_ITEMS), "the seed": (self.seed, 0, 2e9)})


def write_recipe(
    rows: Sequence[Row],
    folder: Path,
    wish: RecipeWish,
    *,
    bundle: str,
    photographs: Sequence[Path],
    real: Path | None,
) -> str:
    """Text of a recipe.

    Args:
        rows: Items that were kept.
        folder: Folder of their manifest, to which their masks are relative.
        wish: What is wished for.
        bundle: Folder or name of the bundle.
        photographs: All opened photographs.
        real: Folder of real defects, for the method paste and real masks.

    Raises:
        DataError: Nothing was kept.
    """
    groups = _grouped(rows, folder, painted=wish.masks == "painted")
    if not groups:
        raise DataError(
            got="no kept item", expected="at least one to be like", todo="Keep some items first."
        )
    weights = [len(members) for members in groups.values()]
    lines = [f"bundle = {_toml(bundle)}", f"seed = {wish.seed}"]
    lines += [f"{k} = {_toml(v)}" for k, v in asdict(current()).items() if v is not None]
    for count, (like, members) in zip(shared(wish.count, weights), groups.items(), strict=True):
        where = [str(path) for path in photographs] if wish.everywhere else None
        lines += _group(like, members, count, wish, where, real) if count else []
    return "\n".join(lines) + "\n"


def of_one_bundle(rows: Sequence[Row]) -> tuple[list[Row], str | None]:
    """Items of the bundle that made the newest, and those that needed none; and its name."""
    names = [row["bundle"]["name"] for row in rows if row.get("bundle")]
    newest = names[-1] if names else None
    fitting = [row for row in rows if not row.get("bundle") or row["bundle"]["name"] == newest]
    return fitting, newest


def shared(count: int, weights: Sequence[int]) -> list[int]:
    """A number divided in proportion to weights, by largest remainders."""
    exact = [count * weight / sum(weights) for weight in weights]
    parts = [int(one) for one in exact]
    order = sorted(range(len(parts)), key=lambda k: parts[k] - exact[k])
    for k in order[: count - sum(parts)]:
        parts[k] += 1
    return parts


Member = dict[str, Any]  # photograph, mask and strength of one defect


def _members(rows: Sequence[Row], folder: Path) -> list[tuple[str, str, Member]]:
    """Each kept defect with its method and type; an item may have several."""
    found = []
    for row in rows:
        method = "paste" if row["options"].get("way") == "paste" else "window"
        for one in row.get("defects", [row]):
            about = {
                "photograph": str((folder / row["normal"]).absolute()),
                "mask": str((folder / one["requested"]).absolute()),
                "strength": row["strength"],
            }
            found.append((method, one["type"], about))
    return found


def _grouped(rows: Sequence[Row], folder: Path, *, painted: bool) -> dict[Like, list[Member]]:
    """Kept defects by what they have in common; a painted mask belongs to its photograph."""
    groups = defaultdict[Like, list[Member]](list)
    for method, kind, about in _members(rows, folder):
        groups[method, kind, about["photograph"] if painted else ""].append(about)
    return groups


def _group(
    like: Like,
    members: Sequence[Member],
    count: int,
    wish: RecipeWish,
    everywhere: list[str] | None,
    real: Path | None,
) -> list[str]:
    """Lines of a group; TOML takes strings as JSON writes them."""
    method, kind, photograph = like
    own = list(Counter(one["photograph"] for one in members))
    strengths = [one["strength"] for one in members]
    low, high = min(strengths), max(strengths)
    table: dict[str, Any] = {"defect": kind, "count": count, "method": method}
    if photograph:
        table |= {"photographs": photograph, "masks": list(Counter(m["mask"] for m in members))}
    else:
        table |= {"photographs": everywhere or own, "mask_kind": wish.masks}
    table["strength"] = low if low == high else [low, high]
    if real is not None and (method == "paste" or table.get("mask_kind") == "real"):
        table["real"] = str(real)
    return ["", "[[group]]", *(f"{key} = {_toml(value)}" for key, value in table.items())]


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
