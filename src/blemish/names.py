"""Vocabularies that the command line, recipes, the library and the docs share, each typed once.

A new method, kind or format begins with its name here; nothing here imports PyTorch.
"""

from typing import Literal

Space = Literal["z", "w", "w+"]
InversionMethod = Literal["encode", "in-domain", "optimize", "project"]
SearchStart = Literal["encoder", "mean", "random"]
EncoderRecipe = Literal["in-domain", "idinvert", "ordinary"]

PlacementMethod = Literal["one-pass", "hybrid", "optimize"]
MaskControl = Literal["codes", "noise", "condition"]
ReferenceName = Literal["none", "stitch", "distil"]
Tone = Literal["model", "real", "drawn"]
MaskKind = Literal["scratch", "blob", "spots", "real"]
MaskPlace = Literal["anywhere", "centre", "edge", "there"]
OffPart = Literal["clip", "refuse"]

ItemOutcome = Literal["kept", "refused", "failed"]
ExportFormat = Literal["mvtec", "coco", "yolo", "hf-imagefolder"]
ModelFormat = Literal["stylegan2-ada-state", "onnx"]

NetworkName = Literal["squeezenet", "vgg16"]
FeatureSource = Literal["critic", NetworkName]
FeatureChoice = Literal["auto", FeatureSource]

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["32-true", "bf16-mixed"]  # of the layers while a network is trained
