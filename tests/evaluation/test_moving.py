"""Question 3 for directions."""

import pytest
import torch

from blemish.editing.attributes import ATTRIBUTES
from blemish.editing.directions import Direction
from blemish.evaluation.inversion.moving import moving, plain_draw
from blemish.models.generator import Generator


def direction(generator: Generator, name: str, by: float) -> Direction:
    rows = torch.full((generator.config.layers, generator.config.w_dim), by)
    return Direction(name=name, rows=rows, attribute="tone", accuracy=1.0, purity=1.0)


def test_a_move_of_nothing_is_never_monotone_and_changes_nothing(generator: Generator) -> None:
    codes = generator.codes(torch.randn(3, generator.config.z_dim))
    found = moving(codes, plain_draw(generator), [direction(generator, "tone", 0.0)])
    assert found["direction_monotone"] == 0
    assert found["direction_outside"] == 0
    assert found["purity_by_direction"]["tone"] == 0


def test_figures_name_the_directions_of_attributes_alone(generator: Generator) -> None:
    codes = generator.codes(torch.randn(3, generator.config.z_dim))
    names = ["tone", "size", "pca-1"]
    found = moving(
        codes, plain_draw(generator), [direction(generator, name, 0.3) for name in names]
    )
    assert set(found["purity_by_direction"]) == {"tone", "size"} <= {*ATTRIBUTES}
    assert found["direction_purity"] >= 0
    assert 0 <= found["direction_monotone"] <= 1


@pytest.mark.parametrize("parts", [1, 3])
def test_there_are_no_figures_without_directions_or_with_one_part(
    generator: Generator, parts: int
) -> None:
    codes = generator.codes(torch.randn(parts, generator.config.z_dim))
    known = [direction(generator, "tone", 0.3)] if parts == 1 else []
    assert moving(codes, plain_draw(generator), known) == {}
