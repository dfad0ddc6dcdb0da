"""Vocabularies that the command line, recipes, the library and the docs share, each typed once.

A new method, kind or format starts with its name here; nothing here imports PyTorch.
"""

from dataclasses import dataclass
from typing import Literal

CodeSpace = Literal["z", "w", "w+"]
Space = Literal[CodeSpace, "f/w+"]
InversionName = Literal["encode", "in-domain", "optimize", "project"]
InversionChoice = Literal["auto", InversionName]
SearchStart = Literal["encoder", "mean", "random"]
Fidelity = Literal["codes", "consult"]
ConsultTransform = Literal["residual", "gated"]
FillMethod = Literal["windows", "codes", "part"]
FillChoice = Literal["auto", FillMethod]
EncoderRecipe = Literal["in-domain", "idinvert", "ordinary"]

PlacementName = Literal["window", "optimize", "paste"]
PlacementChoice = Literal["auto", PlacementName]
MaskControl = Literal["codes", "noise", "condition"]
ReferenceName = Literal["none", "stitch", "distil"]
MaskKind = Literal["scratch", "blob", "spots", "real", "learned"]
MaskPlace = Literal["anywhere", "centre", "edge", "there"]
RegionRule = Literal["centre", "edge"]
OffPart = Literal["clip", "refuse"]

ItemOutcome = Literal["kept", "refused", "failed"]
StoreName = Literal["folder", "tar", "parquet"]  # how a data set's files lie on the disk
Engine = Literal["processes", "ray"]  # what runs the items of a batch
ExportFormat = Literal["mvtec", "coco", "yolo", "hf-imagefolder", "label-studio", "class-maps"]
AnnotationFormat = Literal["coco", "labelme", "cvat", "yolo"]
AnnotationChoice = Literal["auto", AnnotationFormat]
BoxUse = Literal["propose", "fill"]
ModelFormat = Literal["stylegan2-ada-state", "onnx"]

CriticKind = Literal["projected", "residual"]

FileNetwork = Literal["squeezenet", "vgg16"]  # networks whose weights are files to fetch
NetworkName = Literal["efficientnet-lite0", FileNetwork]
FeatureSource = Literal["critic", NetworkName]
FeatureChoice = Literal["auto", FeatureSource]

Device = Literal["auto", "cpu", "cuda"]
LoggerName = Literal["tensorboard", "wandb", "mlflow"]
Precision = Literal["32-true", "bf16-mixed"]  # number format inside the networks
PrecisionChoice = Literal["auto", Precision]


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodTraits:
    """Traits of a placement method.

    Attributes:
        searches: Whether it searches for codes, so that it takes a reference and noise maps.
        inverts: Whether it inverts the photograph first, so that it takes the options of inversion.
        needs_real: Whether it needs a folder of real defects.
        needs_bundle: Whether it needs a bundle.
        takes_look: Whether it draws a defect that looks like a given real one.
    """

    searches: bool = False
    inverts: bool = False
    needs_real: bool = False
    needs_bundle: bool = True
    takes_look: bool = False


PLACEMENT_METHODS: dict[PlacementName, MethodTraits] = {
    "window": MethodTraits(takes_look=True),
    "optimize": MethodTraits(searches=True, inverts=True),
    "paste": MethodTraits(needs_real=True, needs_bundle=False),
}
