from math import nan
from pathlib import Path

import numpy as np
import pytest
import torch

from blemish.errors import OutputError
from blemish.inversion.trajectory import Trajectory
from blemish.pictures import read_picture, to_picture


def watched(steps: int, *, n: int = 2, frames: int = 8, until: float = 1) -> Trajectory:
    """A search whose picture brightens with time, item by item, and that stops early or not."""
    trajectory = Trajectory(frames=frames)
    for time in [k / steps for k in range(steps) if k / steps <= until] + [1.0]:
        image = torch.full((n, 3, 4, 4), 2 * time - 1) * torch.linspace(1, 0.5, n).view(-1, 1, 1, 1)
        trajectory(time, {"pixels": torch.full((n,), 2 - time), "cycle": torch.ones(n)}, image)
    return trajectory


@pytest.mark.parametrize(
    "steps, until, frames, kept",
    [(70, 1, 8, 8), (100, 1, 8, 8), (3, 1, 8, 4), (70, 0.5, 8, 5), (100, 1, 2, 2), (0, 1, 8, 1)],
)
def test_drawings_are_kept_evenly(steps: int, until: float, frames: int, kept: int) -> None:
    trajectory = watched(steps, until=until, frames=frames)
    assert len(trajectory.drawings) == kept
    assert np.array_equal(trajectory.drawings[-1][0], np.full((4, 4, 3), 255))
    if steps:
        assert np.array_equal(trajectory.drawings[0][0], np.zeros((4, 4, 3)))
    if kept == frames:
        tones = [int(drawing[0, 0, 0, 0]) for drawing in trajectory.drawings]
        assert np.allclose(tones, np.linspace(0, 255, frames), atol=255 / steps + 1)


@pytest.mark.parametrize("n", [1, 3])
def test_the_strip_has_a_row_for_each_item(n: int) -> None:
    trajectory = watched(70, n=n)
    strip = trajectory.strip()
    assert strip.shape == (n * 4 + (n - 1) * 2, 8 * 4 + 7 * 2, 3)
    for item in range(n):
        top = item * 6
        assert np.array_equal(strip[top : top + 4, -4:], trajectory.drawings[-1][item])
        assert np.array_equal(strip[top : top + 4, :4], trajectory.drawings[0][item])


def test_terms_are_kept_at_every_step() -> None:
    trajectory = watched(10)
    curves = trajectory.curves()
    assert {*curves} == {"pixels", "cycle"}
    assert curves["pixels"].shape == (11, 2)
    times = torch.tensor(trajectory.times)
    torch.testing.assert_close(curves["pixels"], (2 - times)[:, None].expand(-1, 2))


def test_a_broken_picture_is_dark() -> None:
    trajectory = Trajectory()
    image = torch.stack([torch.full((3, 4, 4), nan), torch.ones(3, 4, 4)])
    trajectory(1.0, {"pixels": torch.tensor([nan, 0.5])}, image)
    assert np.array_equal(trajectory.strip()[:4], to_picture(-torch.ones(3, 4, 4)))


@pytest.mark.parametrize("values", [(1.0, 0.5), (0.0, 0.0), (nan, 0.5), (nan, nan)])
@pytest.mark.parametrize("steps", [1, 3])
def test_curves_are_drawn_whatever_the_numbers(
    values: tuple[float, float], steps: int, tmp_path: Path
) -> None:
    trajectory = Trajectory()
    for k in range(steps):
        trajectory(k / steps, {"pixels": torch.tensor(values)}, torch.zeros(2, 3, 4, 4))
    trajectory.draw_curves(tmp_path / "curves.png")
    picture = read_picture(tmp_path / "curves.png")
    assert picture.shape[1] == 700
    assert picture.std() > 0


def test_curves_can_not_be_written_into_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        watched(2).draw_curves(tmp_path / "file" / "curves.png")
