"""Subjects of the reproduction: folders of photographs, their origin and their licences.

`--data` gives another folder with the same photographs; nothing is downloaded.
"""

from dataclasses import dataclass
from pathlib import Path

from blemish.data.folder import DefectFolder
from blemish.errors import DataError

SHARED = Path("..") / "shared" / "data"  # from the root of the repository
PROTOCOL = (
    "Learnt from are train/good and the first third of each type by name; the rest of each type "
    "and test/good are for testing alone."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Photographs of one product.

    Attributes:
        folder: Name of the folder beside the repository.
        types: Defect types.
        data: Description for a card.
        source: Address of the data set.
        licence: Licence of the photographs, and of weights that were trained on them.
        foreign: Subject whose photographs are other objects to it.
        note: Remark for readers of the report.
    """

    folder: str
    types: tuple[str, ...]
    data: str
    source: str
    licence: str
    foreign: str
    note: str = ""

    @property
    def usual(self) -> Path:
        """Default folder, relative to the root of the repository."""
        return SHARED / self.folder


SUBJECTS: dict[str, Subject] = {
    "bottle": Subject(
        folder="mvtec_bottle_256",
        types=("broken_large", "broken_small", "contamination"),
        data="MVTec AD, bottle, at 256² (Bergmann et al., CVPR 2019; MVTec Software GmbH)",
        source="the folder 'bottle' of MVTec AD, https://www.mvtec.com/company/research/datasets",
        licence="CC BY-NC-SA 4.0",
        foreign="hazelnut",
    ),
    "hazelnut": Subject(
        folder="hazelnut_toy",
        types=("colour", "crack"),
        data="Intel's hazelnut toy data set of anomalib",
        source="Intel's hazelnut_toy, see https://github.com/open-edge-platform/anomalib",
        licence="CC BY-SA 4.0",
        foreign="bottle",
        note="The bundle that ships has learnt from all photographs. Figures need some that "
        "nothing has seen: this one has learnt from its share of them, and is another bundle.",
    ),
}


def refuse_absent(subject: Subject, data: Path) -> None:
    """Refuse a folder that is not the subject's.

    Raises:
        DataError: The folder is another; it gives the expected one and its origin.
    """
    types = DefectFolder(data).types if (data / "train" / "good").is_dir() else ()
    if {*subject.types} <= {*types}:
        return
    raise DataError(
        got=f"{data}, which "
        + (f"has the types {', '.join(types)}" if types else "has no photographs in train/good"),
        expected=f"{subject.source} ({subject.licence}): train/good, and test/ and ground_truth/ "
        f"with {', '.join(subject.types)}",
        todo="Fetch it, and name its folder with --data.",
    )


def foreign_to(subject: Subject) -> Path | None:
    """Photographs of other objects, if they are beside the repository."""
    other = SUBJECTS[subject.foreign].usual
    return other if (other / "train" / "good").is_dir() else None
