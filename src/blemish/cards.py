"""Front matter of model and data cards, as the Hugging Face Hub reads it.

The texts are written elsewhere; here is only the YAML above them, made by huggingface_hub's own
card classes. Importing them takes time, so this happens on use.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

TAGS = ("defect-detection", "anomaly-detection", "industrial-inspection", "blemish")
FENCE = "---\n"
LICENCES = {"apache": "apache-2.0", "cc by-sa 4.0": "cc-by-sa-4.0", "cc by 4.0": "cc-by-4.0"}
SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M")
_LICENCE = re.compile(r"^\| licence of the weights \| ([^|\n]+) \|$", re.MULTILINE)


def with_model_matter(text: str, config: Mapping[str, Any]) -> str:
    """A model card with front matter; as it is if it has some.

    Args:
        text: The card.
        config: The bundle's configuration.
    """
    if text.startswith(FENCE):
        return text
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        license=_licence(text),
        library_name="blemish",
        pipeline_tag="image-to-image",
        tags=[*TAGS, "gan-inversion", *_types(config)],
    )
    return f"{FENCE}{data.to_yaml()}\n{FENCE}\n{text}"


def with_data_matter(text: str, title: str, types: Sequence[str], count: int) -> str:
    """A data card with front matter.

    Args:
        text: The card.
        title: Name of the data set.
        types: Types of its defects.
        count: Number of its items.
    """
    from huggingface_hub import DatasetCardData

    data = DatasetCardData(
        pretty_name=title,
        license="other",
        license_name="see-the-card",  # the owner of the photographs decides
        annotations_creators="machine-generated",
        task_categories=["image-segmentation", "image-classification"],
        size_categories=SIZES[min(max(0, len(str(count)) - 3), len(SIZES) - 1)],
        tags=[*TAGS, "synthetic", *types],
    )
    return f"{FENCE}{data.to_yaml()}\n{FENCE}\n{text}"


def _licence(text: str) -> str | None:
    """Identifier of the licence that a card states; None if it states none."""
    found = _LICENCE.search(text)
    if found is None:
        return None
    stated = found[1].lower()
    return next((name for words, name in LICENCES.items() if stated.startswith(words)), "other")


def _types(config: Mapping[str, Any]) -> list[str]:
    """Types of defects that a bundle has learnt, in its order."""
    generator, windows = config.get("generator") or {}, config.get("windows") or {}
    branch = generator.get("defect") or {}
    named = [*branch.get("types", ()), *windows.get("types", ())]
    return [kind for kind in dict.fromkeys(named) if kind != "good"]
