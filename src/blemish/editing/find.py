"""A defect found on its photograph: by the bundle's finder, or by comparing.

Without a finder the photograph is compared with its in-domain reconstruction: the generator knows
good parts alone, so an in-domain code gives the part without its defect. The code is the encoder's
own, because a search would draw it towards the defect. The difference is in CIELAB, blurred, after
the median over the part is taken away, and measured in robust deviations (1.4826 times the median
of absolute values) over the part.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from blemish.checkpoint import Bundle
from blemish.data.colour import lab
from blemish.data.importing.importing import ProposalMethod
from blemish.data.importing.propose import outlined
from blemish.data.masks import components
from blemish.data.shadow import unshadowed_silhouette
from blemish.devices import one_thread
from blemish.errors import DataError
from blemish.inversion.descent import Watch
from blemish.inversion.encode import Encode
from blemish.inversion.invert import invert
from blemish.inversion.methods import chosen_method
from blemish.inversion.model import Model
from blemish.models.finder import NETWORK, Finder, load_finder
from blemish.pictures import fit_square, to_picture, to_tensor

BLUR = 1 / 85  # of the side
SEEN = 5.0  # robust deviations that a defect has somewhere off the rim
MORE = 3.5  # robust deviations of further groups, once one has been seen
GROWN = 2.5  # robust deviations to which it is followed from there
RIM = 1 / 32  # of the side, along the part's outline, where reconstructions are least exact
LEAST_UNIT = 1.0  # colour distance that counts as a deviation at least
LEAST_SHARE = 2e-4  # of the picture; smaller pieces are noise

Picture = UInt8[np.ndarray, "r r 3"]
Photograph = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]


@runtime_checkable  # for the tests, which check types
class DefectSearch(Protocol):
    """Search for the defect of a photograph."""

    def __call__(self, picture: Photograph, *, seed: int = 0, watch: Watch | None = None) -> Mask:
        """Mask of the defect.

        Args:
            picture: The photograph.
            seed: Random seed.
            watch: Callback for each step of a search.

        Raises:
            DataError: Nothing is found.
        """
        ...


def defect_search(bundle: Bundle, model: Callable[[], Model], device: str = "cpu") -> DefectSearch:
    """Search by the finder of a bundle, or else by comparing.

    Args:
        bundle: The bundle.
        model: Function that loads the bundle's networks, which only the comparison needs.
        device: Device of the finder.
    """
    if bundle.has(NETWORK):
        return FinderSearch(load_finder(bundle, device))
    return ComparisonSearch(model())


@dataclass(frozen=True)
class FinderSearch:
    """Search by a finder, in one forward pass."""

    finder: Finder

    def __call__(self, picture: Photograph, *, seed: int = 0, watch: Watch | None = None) -> Mask:
        return seen_by(self.finder, picture)


@dataclass(frozen=True)
class ComparisonSearch:
    """Search by comparison with the reconstruction; see the module's docstring."""

    model: Model

    def __call__(self, picture: Photograph, *, seed: int = 0, watch: Watch | None = None) -> Mask:
        method = chosen_method(False) if self.model.encoder is None else Encode()
        (found,) = invert(self.model, [picture], method, seed=seed, watch=watch)
        seen, good = to_picture(found.target[0]), to_picture(found.image[0])
        return find_defect(seen, good, *picture.shape[:2])


def find_defect(seen: Picture, good: Picture, height: int, width: int) -> Mask:
    """Mask of what a picture shows and its good reconstruction does not.

    Args:
        seen: The photograph at the generator's resolution.
        good: Its in-domain reconstruction.
        height: Rows of the mask.
        width: Columns of the mask.

    Raises:
        DataError: Nothing stands out.
    """
    part = unshadowed_silhouette(seen) | unshadowed_silhouette(good)
    marked = _followed(strangeness_map(seen, good, part), part)
    if not marked.any():
        raise _nothing("a photograph that its good reconstruction explains everywhere")
    large = cv2.resize(marked.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return large > 0.5


def by_finder(bundle: Bundle) -> ProposalMethod:
    """Proposal of masks inside boxes by the finder of a bundle.

    Raises:
        BundleError: The bundle has none.
    """
    finder = load_finder(bundle)

    def propose(picture: Photograph, inside: Mask) -> Mask:
        logits = evidence_of(finder, picture)
        return outlined(1 / (1 + np.exp(-logits.clip(-30, 30))), inside)

    return ProposalMethod(f"finder of {bundle.path.name}", lambda _: propose)


@one_thread()
@torch.no_grad()
def evidence_of(finder: Finder, picture: Photograph) -> Float[np.ndarray, "h w"]:
    """Logits of a defect at each pixel of a photograph."""
    image = to_tensor(fit_square(picture, finder.config.side))[None]
    logits = finder(image.to(next(finder.parameters()).device))[0, 0].float().cpu().numpy()
    return cv2.resize(logits, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def seen_by(finder: Finder, picture: Photograph) -> Mask:
    """Mask of what a finder finds, without specks.

    Raises:
        DataError: It finds nothing.
    """
    return pieces_in(evidence_of(finder, picture))


def pieces_in(logits: Float[np.ndarray, "h w"]) -> Mask:
    """Mask of a defect's logits, without specks.

    Raises:
        DataError: Nothing is left.
    """
    marked = logits > 0
    pieces = components(marked, least=max(4, round(LEAST_SHARE * marked.size)))
    found = np.any(pieces, axis=0)
    if not found.any():
        raise _nothing("a photograph on which no defect is found")
    return found


def _nothing(got: str) -> DataError:
    return DataError(
        got=got, expected="a defect that stands out", todo="Mark the defect with --mask."
    )


def strangeness_map(
    seen: Picture, good: Picture, part: Bool[np.ndarray, "r r"]
) -> Float[np.ndarray, "r r"]:
    """Distance of two pictures at each pixel, in robust deviations over the part."""
    away = lab(seen) - lab(good)
    away = away - np.median(away[part], axis=0)
    blur = max(0.5, len(seen) * BLUR)
    far = np.linalg.norm(cv2.GaussianBlur(away, (0, 0), blur), axis=2)
    usual = np.median(far[part])
    unit = max(1.4826 * np.median(np.abs(far[part] - usual)), LEAST_UNIT)
    return (far - usual) / unit


def _followed(
    strange: Float[np.ndarray, "r r"], part: Bool[np.ndarray, "r r"]
) -> Bool[np.ndarray, "r r"]:
    """Pieces above the lowest threshold that reach a higher one (hysteresis).

    Paint rarely comes in one piece: where one is certain, others need less evidence.
    """
    size = 2 * max(1, round(len(part) * RIM)) + 1
    inner = cv2.erode(part.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    wide, certain = (strange > GROWN) & part, (strange > SEEN) & inner
    if certain.any():
        certain = (strange > MORE) & inner
    least = max(4, round(LEAST_SHARE * wide.size))
    pieces = [piece for piece in components(wide, least=least) if (piece & certain).any()]
    return np.any(pieces, axis=0) if pieces else np.zeros_like(wide)
