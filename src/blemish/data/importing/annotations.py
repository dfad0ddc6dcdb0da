"""Annotations of photographs, the same for every format."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from blemish.data.importing.areas import Area, Points, PolygonArea


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """Rectangle around a defect, which itself is not marked.

    Attributes:
        corners: Corners of the rectangle.
    """

    corners: Points

    @property
    def area(self) -> Area:
        """The whole rectangle."""
        return PolygonArea((self.corners,))


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One annotation.

    Attributes:
        label: Class, as the source names it.
        area: Marked area, or the box around it.
        where: Name for messages: file and entry.
    """

    label: str
    area: Area | Box
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotated:
    """Photograph with its annotations.

    Attributes:
        path: File of the photograph.
        name: Name of the photograph in the source, with folders.
        regions: Its annotations.
        size: Width and height that the annotations state; None if they don't.
        unplaced: Classes that it is said to show without an area: flags, tags, points.
    """

    path: Path
    name: str
    regions: tuple[Region, ...] = ()
    size: tuple[int, int] | None = None
    unplaced: tuple[str, ...] = ()


def merged(found: Iterable[Annotated]) -> list[Annotated]:
    """Each photograph once, with the annotations of all its entries, sorted by name."""
    by_path: dict[Path, Annotated] = {}
    for one in found:
        known = by_path.get(one.path)
        if known is not None:
            one = replace(
                one,
                regions=known.regions + one.regions,
                size=one.size or known.size,
                unplaced=known.unplaced + one.unplaced,
            )
        by_path[one.path] = one
    return sorted(by_path.values(), key=lambda one: one.name)
