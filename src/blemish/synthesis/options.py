"""Options of a synthesis, each declared once, with their rules.

A field is an option everywhere: `defect_space` is `--defect-space` on the command line, the key
`defect_space` of a recipe's group, and the keyword in Python. Its docstring is its help. The
classes are parts of one: `SynthesisOptions` has the fields of all of them. Nothing here imports
PyTorch.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Self, get_args

from tyro.conf import arg
from tyro.constructors import PrimitiveConstructorSpec

from blemish.errors import OptionError
from blemish.limits import refuse_search, refuse_weights_of
from blemish.names import (
    PLACEMENT_METHODS,
    CodeSpace,
    InversionChoice,
    MaskControl,
    MaskKind,
    MaskPlace,
    OffPart,
    PlacementChoice,
    ReferenceName,
    RegionRule,
    Space,
)
from blemish.synthesis.removed import refuse_removed

MOST_AREA = 0.5
USUAL_AREA = (0.005, 0.03)
USUAL_AREAS = f"(default: {USUAL_AREA[0]},{USUAL_AREA[1]}; of real masks their own)"
MOST_ELASTIC = 0.1
MOST_ANCHORS = 1000
PLACES = get_args(MaskPlace)
RULES = get_args(RegionRule)

Range = float | tuple[float, float]
Box = tuple[float, float, float, float]
Where = MaskPlace | Box
Region = RegionRule | Box | Path
Anchors = tuple[tuple[float, float], ...]
Switch = Annotated[bool, arg(help_behavior_hint="")]
File = Annotated[Path | None, arg(help_behavior_hint="(default: none)")]
Folder = Annotated[Path | None, arg(help_behavior_hint="(default: none)")]


def _numbers(option: str, text: str, *counts: int) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) not in counts:
        raise OptionError(
            got=f"--{option} {text}",
            expected=f"{' or '.join(map(str, counts))} number(s), separated by commas",
            todo="See 'blemish synthesize --help'.",
        )
    return found


def _area(texts: list[str]) -> Range:
    low, *high = _numbers("area", texts[0], 1, 2)
    return (low, high[0]) if high else low


def _where(texts: list[str]) -> Any:
    return texts[0] if texts[0] in PLACES else _numbers("where", texts[0], 4)


def _region(texts: list[str]) -> Any:
    if texts[0] in RULES:
        return texts[0]
    try:
        return _numbers("region", texts[0], 4)
    except OptionError:
        return Path(texts[0])


def _anchor(texts: list[str]) -> Any:
    found = _numbers("anchor", texts[0], *range(2, 2 * MOST_ANCHORS + 1, 2))
    return tuple(zip(found[::2], found[1::2], strict=True))


def _shown(value: Any) -> list[str]:
    return [",".join(map(str, value)) if isinstance(value, tuple) else str(value)]


AREA = PrimitiveConstructorSpec(
    nargs=1,
    metavar="SHARE[,SHARE]",
    instance_from_str=_area,
    is_instance=lambda value: True,
    str_from_instance=_shown,
)
WHERE = PrimitiveConstructorSpec(
    nargs=1,
    metavar=f"{{{','.join(PLACES)}}}|X,Y,W,H",
    instance_from_str=_where,
    is_instance=lambda value: True,
    str_from_instance=_shown,
)
REGION = PrimitiveConstructorSpec(
    nargs=1,
    metavar=f"{{{','.join(RULES)}}}|X,Y,W,H|FILE",
    instance_from_str=_region,
    is_instance=lambda value: True,
    str_from_instance=_shown,
)
ANCHOR = PrimitiveConstructorSpec(
    nargs=1,
    metavar="X,Y[,X,Y...]",
    instance_from_str=_anchor,
    is_instance=lambda value: True,
    str_from_instance=_shown,
)


@dataclass(frozen=True, kw_only=True)
class RegionOptions:
    """Region of the part in which defects may lie, and points for them.

    Attributes:
        region: Region in which all of a mask must lie: deep inside the part (centre), near its
            outline (edge), a box, x,y,width,height as fractions of the photograph, or a map, an
            image of the photograph's size that is bright where defects may fall. What is outside is
            cut off, or refused by off_part.
        anchor: Points for the centre of a drawn mask, as fractions of the photograph's width and
            height; one is chosen at random.
        region_of: Photograph on which box, map and points were marked; they are turned, moved and
            scaled with the part.

    Raises:
        OptionError: A value is out of range, or the photograph has no use.
    """

    region: Annotated[Region | None, REGION, arg(help_behavior_hint="(default: all)")] = None
    anchor: Annotated[Anchors, ANCHOR, arg(help_behavior_hint="(default: none)")] = ()
    region_of: File = None

    def __post_init__(self) -> None:
        if isinstance(self.region, tuple):
            _refuse_box(self.region)
        if not all(0 <= share <= 1 for point in self.anchor for share in point):
            raise OptionError(
                got=f"anchor = {self.anchor}",
                expected="x y as fractions of the photograph, from 0 to 1",
                todo="0.5 0.5 is its middle.",
            )
        marked = isinstance(self.region, tuple | Path) or self.anchor
        if self.region_of is not None and not marked:
            raise OptionError(
                got=f"region_of = {self.region_of} without a box, a map or an anchor",
                expected="something that was marked on that photograph",
                todo="Add region or anchor, or leave region_of out.",
            )


@dataclass(frozen=True, kw_only=True)
class MaskOptions(RegionOptions):
    """Masks to draw if none is given.

    Attributes:
        mask_kind: Kind of mask to draw: a thin tapering scratch, a ragged blob, several spots, the
            mask of a real defect of the type from the folder of real defects, moved, rotated and
            scaled, or one by the bundle's mask generator, of its own size and place (learned).
        area: Mask area as a fraction of the part; two values give a range.
        where: Place of the mask: its centre anywhere on the part, deep inside it (centre) or near
            its outline (edge); all of it in a box, x,y,width,height as fractions of the photograph;
            or a real mask near its own place (there), rotated about the part's centre, in its own
            size.
        off_part: Treatment of mask pixels off the part: cut them off, or refuse the mask. Without
            this option a given mask is used unchanged if at least half of it is on the part.
        mask_degrees: Maximum rotation of a real mask near its own place, in degrees.
        mask_elastic: Random warp of a real mask, as a fraction of its photograph's longer side.

    Raises:
        OptionError: A value is out of range, or an option for real masks is used with another kind.
    """

    mask_kind: Annotated[MaskKind | None, arg(help_behavior_hint="")] = None
    area: Annotated[Range | None, AREA, arg(help_behavior_hint=USUAL_AREAS)] = None
    where: Annotated[Where, WHERE] = "anywhere"
    off_part: Annotated[
        OffPart | None, arg(help_behavior_hint="(default: clip if it is drawn)")
    ] = None
    mask_degrees: float = 180
    mask_elastic: float = 0

    def __post_init__(self) -> None:
        RegionOptions.__post_init__(self)
        _refuse_area(*self.areas)
        if not isinstance(self.where, str):
            _refuse_box(self.where)
        if self.mask_kind != "real" and (self.where == "there" or self.mask_elastic):
            got = "the place 'there'" if self.where == "there" else "mask_elastic"
            raise OptionError(
                got=f"{got} for masks of the kind {self.mask_kind}",
                expected="the mask kind 'real' as well",
                todo="Choose real masks, or leave this out.",
            )
        if self.mask_kind == "learned" and self.where != "anywhere":
            raise OptionError(
                got=f"the place {self.where} for masks of the kind learned",
                expected="no place: the mask generator chooses it by the type",
                todo="Leave the place out, or draw masks of another kind.",
            )
        if self.anchor and (self.mask_kind == "learned" or self.where != "anywhere"):
            raise OptionError(
                got=f"an anchor for masks of the kind {self.mask_kind} with the place {self.where}",
                expected="another kind than learned, and no other place",
                todo="Leave the place out, or draw masks of another kind.",
            )
        _refuse_outside("mask_elastic", self.mask_elastic, MOST_ELASTIC)
        _refuse_outside("mask_degrees", self.mask_degrees, 180)

    @property
    def areas(self) -> tuple[float, float]:
        """Minimum and maximum area."""
        if self.area is None:
            return USUAL_AREA
        return self.area if isinstance(self.area, tuple) else (self.area, self.area)


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Options of a search for the code of a defect.

    Attributes:
        mask_control: Method to meet the mask: give it to the defect branch, or search codes, or
            codes and noise maps.
        defect_space: Search space of the defect's code, if it is searched for.
        defect_steps: Steps of that search.
        defect_learning_rate: Learning rate of that search.
        mask_weight: Weight of the distance between the drawn mask and the target.
        image_weight: Weight of the distance to the photograph outside the mask.
        reference_weight: Weight of the distance to the reference inside the mask.
        stay_weight: Weight of the distance between the defect's code and its start.
        noise_weight: Weight of the noise map regularity, if noise maps are searched.

    Raises:
        OptionError: A value is out of range.
    """

    mask_control: MaskControl = "condition"
    defect_space: CodeSpace = "w"
    defect_steps: int = 200
    defect_learning_rate: float = 0.05
    mask_weight: float = 1
    image_weight: float = 10
    reference_weight: float = 1
    stay_weight: float = 0.1
    noise_weight: float = 1

    def __post_init__(self) -> None:
        refuse_weights_of(self)
        refuse_search(self.defect_steps, self.defect_learning_rate)


@dataclass(frozen=True, kw_only=True)
class PlacementOptions:
    """Options of the placement of a defect.

    Attributes:
        method: Placement method. window draws into the photograph at its own scale; optimize
            inverts the photograph and searches for the defect if the mask or the reference needs
            it; paste lays a real defect under the mask and needs no bundle; auto is window if the
            bundle has a window generator and no option needs a search, else optimize.
        invert: Inversion method of optimize, as in 'blemish invert'; auto is in-domain if the
            bundle has an encoder, else project.
        space: Search space of the photograph's inversion.
        steps: Steps of the photograph's inversion.
        inverted: Folder written by 'blemish invert' for this photograph, to avoid inverting it
            again.
    """

    method: PlacementChoice = "auto"
    invert: InversionChoice = "auto"
    space: Annotated[Space | None, arg(help_behavior_hint="(default: w+, or w for project)")] = None
    steps: Annotated[int | None, arg(help_behavior_hint="(default: the method's)")] = None
    inverted: Annotated[Path | None, arg(name="from", help_behavior_hint="(default: none)")] = None


@dataclass(frozen=True, kw_only=True)
class SynthesisOptions(SearchOptions, PlacementOptions, MaskOptions):
    """Options of a synthesis.

    Attributes:
        reference: Target for the inside: none leaves it to the model, stitch is a real defect
            warped under the mask, distil the statistics of real defects.
        uneven: Loss of strength where the defect is weakest, from 0 (constant strength) to 1 (fades
            out).
        real: Folder with real defects, for the method paste, reference and masks of the kind real;
            distil needs none if the bundle has the statistics.
        first_third: Use only the first third of the real defects of each type, by name.
        like: Photograph of a real defect that the new one is to look like, for the method window.
        like_mask: Mask of that defect.
        no_mark: Leave out the XMP mark, which calls a picture synthetic and names the bundle.

    Raises:
        OptionError: A value is out of range, or options exclude each other.
    """

    reference: ReferenceName = "none"
    uneven: float = 0
    real: Folder = None
    first_third: Switch = False
    like: File = None
    like_mask: File = None
    no_mark: Switch = False

    def __post_init__(self) -> None:
        MaskOptions.__post_init__(self)
        SearchOptions.__post_init__(self)
        _refuse_outside("uneven", self.uneven, 1)
        _refuse_method(self)
        _refuse_real(self)
        _refuse_like(self)

    @property
    def asks_inversion(self) -> bool:
        """Whether an option affects the inversion of the photograph."""
        named = (self.invert, self.space, self.steps) != ("auto", None, None)
        return named or self.inverted is not None

    @property
    def needs_search(self) -> bool:
        """Whether an option has an effect only in a search."""
        return self.reference != "none" or self.mask_control == "noise"

    @property
    def asks_search(self) -> bool:
        """Whether `auto` means a method that searches."""
        return self.mask_control != "condition" or self.asks_inversion or self.needs_search

    @property
    def shows_real(self) -> bool:
        """Whether a defect depends on the folder of real defects, apart from its mask."""
        return self.reference != "none" or self.pastes

    @property
    def pastes(self) -> bool:
        """Whether the method itself needs the folder of real defects."""
        return self.method != "auto" and PLACEMENT_METHODS[self.method].needs_real

    @property
    def needs_bundle(self) -> bool:
        """Whether a bundle makes the items, or draws their masks."""
        made = self.method == "auto" or PLACEMENT_METHODS[self.method].needs_bundle
        return made or self.mask_kind == "learned"

    def without_masks(self) -> Self:
        """The same options without those that only affect drawn masks."""
        usual: dict[str, Any] = {option.name: option.default for option in fields(MaskOptions)}
        if not self.shows_real:
            usual |= {"real": None, "first_third": False}
        return replace(self, **usual)

    def check_masks(self, given: bool) -> None:
        """Check that masks are either given or drawn.

        Raises:
            OptionError: Both, or neither.
        """
        if given == (self.mask_kind is not None):
            raise OptionError(
                got="both a mask and a mask kind" if given else "neither a mask nor a mask kind",
                expected="one of them",
                todo="Give a mask, or choose a kind to draw with --mask-kind.",
            )
        if given and self.anchor:
            raise OptionError(
                got="both a mask and an anchor",
                expected="an anchor only for masks that are drawn",
                todo="Leave one of them out.",
            )


def _refuse_area(least: float, most: float) -> None:
    if not 0 < least <= most <= MOST_AREA:
        raise OptionError(
            got=f"a mask area of {least if least == most else (least, most)}",
            expected=f"a fraction of the part above 0 and up to {MOST_AREA}, or two, rising",
            todo="Try 0.01, a hundredth of the part.",
        )


def _refuse_box(box: Box) -> None:
    x, y, width, height = box
    if not (0 <= x < x + width <= 1 and 0 <= y < y + height <= 1):
        raise OptionError(
            got=f"a box {x} {y} {width} {height}",
            expected="x y width height as fractions of the photograph, from 0 to 1",
            todo="0.5 0 0.5 0.5 is the upper right quarter.",
        )


def _refuse_outside(name: str, value: float, most: float) -> None:
    if not 0 <= value <= most:
        raise OptionError(
            got=f"{name} = {value}", expected=f"a number from 0 to {most}", todo="Correct it."
        )


def _refuse_method(options: SynthesisOptions) -> None:
    """Refuse options that the method does not take."""
    if options.invert == "encode" and options.steps is not None:
        raise OptionError(
            got=f"{options.steps} steps for the inversion method encode",
            expected="none: it does not search",
            todo="Leave 'steps' out, or choose another inversion method.",
        )
    if options.method == "auto":
        return
    refuse_removed({"method": options.method})
    traits = PLACEMENT_METHODS[options.method]
    if not traits.needs_bundle and options.mask_control != "condition":
        raise OptionError(
            got=f"the method {options.method} with a mask control",
            expected=f"none: {options.method} uses no generator",
            todo="Leave it out, or choose another method.",
        )
    if options.needs_search and not traits.searches:
        raise OptionError(
            got=f"the method {options.method} with a reference, or with noise that meets the mask",
            expected=f"neither, because {options.method} does not search",
            todo="Choose the method optimize, or leave these options out.",
        )
    if options.asks_inversion and not traits.inverts:
        raise OptionError(
            got=f"the method {options.method} with a way to invert the photograph",
            expected="the method optimize, because no other one inverts the photograph",
            todo="Choose the method optimize, or leave the options of inversion out.",
        )


def _refuse_like(options: SynthesisOptions) -> None:
    """Refuse half a real defect, and methods that take none."""
    if (options.like is None) != (options.like_mask is None):
        raise OptionError(
            got="'like' without 'like_mask'" if options.like else "'like_mask' without 'like'",
            expected="both: the photograph of a real defect and its mask",
            todo="Add the other, or leave this out.",
        )
    takes = options.method == "auto" or PLACEMENT_METHODS[options.method].takes_look
    if options.like is not None and (not takes or options.asks_search):
        raise OptionError(
            got=f"'like' with the method {options.method}, or with a search",
            expected="the method window, which takes the look of a real defect",
            todo="Choose the method window, and leave a search out.",
        )


def _refuse_real(options: SynthesisOptions) -> None:
    """Refuse real defects without a use, and uses without real defects."""
    masks = options.mask_kind == "real"
    if options.real is None and (masks or options.pastes):
        use = "masks of the kind real" if masks else f"the method {options.method}"
        raise OptionError(
            got=f"{use} without real defects",
            expected="'real' as well, a folder with real defects and their masks",
            todo='Add --real FOLDER; in a recipe, real = "FOLDER".',
        )
    if options.real is not None and not (options.shows_real or masks):
        raise OptionError(
            got=f"real = {options.real} without a use for it",
            expected="the method paste, a reference, or masks of the kind real as well",
            todo="Add one of them, or leave it out.",
        )
    if options.first_third and options.real is None:
        raise OptionError(
            got="first_third without real defects",
            expected="'real' as well, a folder with real defects and their masks",
            todo="Give the folder, or leave first_third out.",
        )
