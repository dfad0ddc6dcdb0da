"""`blemish synthesize` and `demo`: the main job."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from blemish.cli.inversion import OF_METHOD, How
from blemish.cli.options import Device, Flag, Json, SpaceName
from blemish.cli.progress import Progress, carried_on, print_json
from blemish.errors import OptionError

if TYPE_CHECKING:
    from blemish.checkpoint import Bundle
    from blemish.inversion.methods import Method
    from blemish.synthesis.masks import MaskPlan
    from blemish.synthesis.ways.approach import Approach


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the defect is placed.

    Attributes:
        method: one-pass asks the bundle's mapper and searches for nothing; hybrid polishes what
            that gives; optimize inverts the photograph, then searches for the defect where its
            mask or look needs it; auto is one-pass where the bundle has a mapper and no other
            option needs a search, and else optimize.
        polish: Steps of hybrid.
        invert: How optimize inverts the photograph, as in 'blemish invert'; auto is in-domain where
            the bundle has an encoder, and else project.
        space: Where its codes are searched.
        steps: Of inverting it.
        inverted: Folder that 'blemish invert' wrote for this photograph, so that it need not be
            inverted again.
        defect_space: Where the defect's code is searched, where that needs a search.
        defect_steps: Of that search.
        mask_control: How the mask is met: handed to the branch, or by searching codes, or both
            codes and noise maps.
        reference: What the inside shall look like: none leaves it to the branch, stitch is a real
            defect warped under the mask, distil the statistics of real defects.
        detail: Put the fine detail of real defects from --real on, which the model is too coarse to
            draw; its own change keeps what is coarse.
        tone: With --detail: whose colours the defect has, where they change slowly; drawn are ones
            like those of its type's real defects.
        uneven: How much of the defect's strength is gone where it is weakest, from 0, as strong all
            over, to 1, fading away. With --detail the mask stays whole.
        real: Folder with real defects, for --reference, --detail and --mask-kind real; distil can
            do without where the bundle carries the statistics.
        first_third: Of these use only the first third of each type by name.
        mask_weight: Of the mask's distance to the target.
        image_weight: Of the picture's distance to the photograph outside the mask.
        reference_weight: Of the distance to the reference inside the mask.
        stay_weight: Of the defect code's distance to where it started.
        noise_weight: Of the regularity of noise maps, where they are searched.
    """

    method: Literal["auto", "one-pass", "hybrid", "optimize"] = "auto"
    polish: int = 20
    invert: Literal["auto", "encode", "in-domain", "optimize", "project"] = "auto"
    space: Annotated[
        SpaceName | None, arg(help_behavior_hint="(default: w+, or w for project)")
    ] = None
    steps: Annotated[int | None, arg(help_behavior_hint=OF_METHOD)] = None
    inverted: Annotated[Path | None, arg(name="from", help_behavior_hint="(default: none)")] = None
    defect_space: SpaceName = "w"
    defect_steps: int = 200
    mask_control: Literal["codes", "noise", "condition"] = "condition"
    reference: Literal["none", "stitch", "distil"] = "none"
    detail: Flag = False
    tone: Literal["model", "real", "drawn"] = "model"
    uneven: float = 0
    real: Annotated[Path | None, arg(help_behavior_hint="(default: none)")] = None
    first_third: Flag = False
    mask_weight: float = 1
    image_weight: float = 10
    reference_weight: float = 1
    stay_weight: float = 0.1
    noise_weight: float = 1

    def approach(self, bundle: "Bundle", *, real_masks: bool = False) -> "Approach":
        """The options as a synthesis takes them.

        Args:
            bundle: That makes the items.
            real_masks: Whether masks are drawn from `real` too.
        """
        from blemish.synthesis.defect import DefectSearch
        from blemish.synthesis.ways.approach import Approach

        masks_alone = real_masks and not self.detail and self.reference == "none"
        return Approach(
            way=None if self.method == "auto" else self.method,
            polish=self.polish,
            invert=self._invert(bundle),
            inverted=self.inverted,
            search=DefectSearch(
                control=self.mask_control,
                space=self.defect_space,
                steps=self.defect_steps,
                mask_weight=self.mask_weight,
                image_weight=self.image_weight,
                reference_weight=self.reference_weight,
                stay_weight=self.stay_weight,
                noise_weight=self.noise_weight,
            ),
            reference=self.reference,
            detail=self.detail,
            tone=self.tone,
            uneven=self.uneven,
            real=None if masks_alone else self.real,
            first_third=self.first_third and not masks_alone,
        )

    def _invert(self, bundle: "Bundle") -> "Method | None":
        if (self.invert, self.space, self.steps) == ("auto", None, None):
            return None
        # The projector's codes in w+ leave defects pale (see `methods.usual_method`).
        projects = self.invert == "project" or (self.invert, bundle.has("encoder")) == (
            "auto",
            False,
        )
        space = self.space or ("w" if projects else "w+")
        return How(method=self.invert, space=space, steps=self.steps).chosen(bundle)


Flat = Annotated[Options, arg(name="")]
PLACES = ("anywhere", "centre", "edge", "there")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A mask that is drawn, where none is given.

    Attributes:
        mask_kind: A thin tapering scratch, a ragged blob, several spots, or the mask of a real
            defect of the type from --real, moved, turned and scaled.
        area: Of the mask as a share of the part's; of two, anything between them.
        where: On the part anywhere, deep inside it (centre) or near its outline (edge); inside a
            box, x,y,width,height as shares of the photograph; or a real one where it lay (there),
            turned about the part's middle, as large as it was.
        off_part: What of the mask lies beside the part is cut off, or such a mask is refused. A
            mask that is given is else taken as it is, if at least half of it is on the part.
    """

    mask_kind: Annotated[
        Literal["scratch", "blob", "spots", "real"] | None, arg(help_behavior_hint="")
    ] = None
    area: Annotated[str, arg(metavar="SHARE[,SHARE]")] = "0.005,0.03"
    where: Annotated[str, arg(metavar="{anywhere,centre,edge,there}|X,Y,W,H")] = "anywhere"
    off_part: Annotated[
        Literal["clip", "refuse"] | None, arg(help_behavior_hint="(default: clip if it is drawn)")
    ] = None

    def plan(self, real: Path | None, *, first_third: bool = False) -> "MaskPlan":
        """What to draw.

        Args:
            real: Folder with real defects.
            first_third: Of these use only the first third of each type.

        Raises:
            OptionError: An area or a place can't be understood, or is out of range.
        """
        from blemish.synthesis.masks import MaskPlan

        areas = _numbers("area", self.area, 1, 2)
        named = self.where in PLACES
        where: Any = self.where if named else _numbers("where", self.where, 4)
        return MaskPlan(
            kind=self.mask_kind or "scratch",
            area=(areas[0], areas[-1]),
            where=where,
            off_part=self.off_part or "clip",
            folder=real if self.mask_kind == "real" else None,
            first_third=first_third and self.mask_kind == "real",
        )


FlatDrawn = Annotated[Drawn, arg(name="")]


def _numbers(option: str, text: str, *counts: int) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) not in counts:
        raise OptionError(
            got=f"--{option} {text}",
            expected=f"{' or '.join(map(str, counts))} number(s), with commas between them",
            todo="See 'blemish synthesize --help'.",
        )
    return found


def synthesize(
    normal: Path,
    defect: str,
    mask: Annotated[Path | None, arg(help_behavior_hint="(default: one is drawn)")] = None,
    drawn: FlatDrawn = Drawn(),
    strength: float = 1,
    bundle: str = "hazelnut",
    count: int = 1,
    seed: int = 0,
    out: Path = Path("synthesized"),
    device: Device = "auto",
    json: Json = False,
    options: Flat = Options(),
) -> None:
    """Place a defect on a photograph of a good part.

    Args:
        normal: The photograph.
        defect: Its type, one that the bundle has learnt.
        mask: Where the defect shall be: a picture of the photograph's size, bright there; or a
            folder of such pictures, which are taken in turn.
        drawn: A mask that is drawn, where none is given.
        strength: Of the defect, from hardly to be seen (0.1) to full (1).
        bundle: Folder of a bundle, or the name of an embedded one.
        count: How many different defects to make; their seeds follow each other.
        seed: Of the first.
        out: Folder of the data set; items that are there already are not made again.
        device: What to work on; auto takes CUDA where it is found.
        json: Print the manifest's rows of these items as JSON.
        options: How the defect is placed.
    """
    from blemish.checkpoint import find_bundle
    from blemish.devices import choose_device
    from blemish.seeds import refuse_seeds
    from blemish.synthesis.dataset import Dataset
    from blemish.synthesis.order import draw_order, read_orders
    from blemish.synthesis.synthesize import Synthesizer
    from blemish.synthesis.synthesize import synthesize as make

    refuse_seeds(seed, count)
    _refuse_both(mask, drawn)
    found, on = find_bundle(bundle), choose_device(device)
    approach = options.approach(found, real_masks=drawn.mask_kind == "real")
    worker = Synthesizer(found, approach, device=on)
    if mask is not None:
        orders = read_orders(normal, mask, defect, worker.types, drawn.off_part, strength=strength)
        worker.prepare(defect)
    else:
        worker.prepare(defect)
        plan = drawn.plan(options.real, first_third=options.first_third)
        place = {"folder": out / "drawn", "strength": strength}
        orders = [draw_order(normal, plan, defect, worker.types, seed=seed, **place)]
    dataset = Dataset(out)
    with carried_on(), Progress("placing", count) as progress:
        rows = make(worker, orders, dataset, count=count, seed=seed, tell=progress.say)
    if json:
        print_json(rows)
    else:
        for row in rows:
            print(_line(out, row))
        print(f"{out / 'contact_sheet.png'} shows them.")


def demo(
    out: Path = Path("blemish-demo"),
    bundle: str = "hazelnut",
    parts: int = 6,
    count: int = 2,
    seed: int = 0,
) -> None:
    """Do the main job on parts and masks that the bundle draws itself.

    Args:
        out: Folder for the data set, the contact sheet and the report.
        bundle: Folder of a bundle, or the name of an embedded one.
        parts: Good parts to draw.
        count: Defects on each.
        seed: Of the first part.
    """
    from blemish.checkpoint import find_bundle
    from blemish.seeds import refuse_seeds
    from blemish.synthesis.dataset import Dataset
    from blemish.synthesis.order import read_order
    from blemish.synthesis.scenes import draw_scene
    from blemish.synthesis.synthesize import Synthesizer
    from blemish.synthesis.synthesize import synthesize as make

    if min(parts, count) < 1:
        got = f"--parts {parts} --count {count}"
        raise OptionError(got=got, expected="1 or more of each", todo="Ask for some.")
    refuse_seeds(seed, max(parts, count))
    found = find_bundle(bundle)
    worker = Synthesizer(found, Options().approach(found))
    dataset, began = Dataset(out), time.monotonic()
    rows: list[dict[str, Any]] = []
    with carried_on(), Progress("placing", parts * count) as progress:
        for index in range(parts):
            files = draw_scene(worker.generator, out / "parts", seed + index)
            order = read_order(*files, worker.types[0], worker.types)
            rows += make(worker, [order], dataset, count=count, seed=seed, tell=progress.say)
            progress.step((index + 1) * count - 1)
    took = time.monotonic() - began
    _report(out, bundle, rows, took)
    print(f"{len(rows)} items in {took:.0f} s:")
    for name in ("test", "contact_sheet.png", "manifest.jsonl", "report.html"):
        print(f"  {out / name}")


def _refuse_both(mask: Path | None, drawn: Drawn) -> None:
    if (mask is None) == (drawn.mask_kind is None):
        raise OptionError(
            got="both --mask and --mask-kind" if mask else "neither --mask nor --mask-kind",
            expected="one of them",
            todo="Give a mask, or say which kind shall be drawn.",
        )


def _line(out: Path, row: dict[str, Any]) -> str:
    if "image" not in row["files"]:
        return f"Seed {row['seed']} changed nothing; its line in the manifest has the scores."
    iou, doubts = row["scores"]["iou_requested"], row.get("reasons", ())
    doubted = f"  (doubtful: {'; '.join(doubts)})" if doubts else ""
    return f"{out / row['files']['image']}  IoU with the requested mask {iou:.2f}{doubted}"


def _report(out: Path, bundle: str, rows: list[dict[str, Any]], took: float) -> None:
    from blemish.evaluation.report import Page

    page = Page(f"{len(rows)} defects by the bundle '{bundle}'")
    page.text(
        f"Made in {took:.0f} s on this machine: parts and masks drawn by the bundle, codes found "
        "for each, the mask handed to the defect branch, the change carried back to the part."
    )
    page.picture(out / "contact_sheet.png", "good part, requested mask, result, mask of the change")
    header = ("item", "seed", "IoU with request", "area", "pixels changed beyond reach")
    names = ("iou_requested", "area", "pixels_changed_beyond_reach")
    body = [(r["name"], r["seed"], *(r["scores"][name] for name in names)) for r in rows]
    page.table(header, body)
    page.write(out / "report.html")
