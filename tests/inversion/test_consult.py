"""The consultation branch: it starts as nothing, reads the distortion map, and is trained."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from commands import exit_code
from tiny import part, write_bundle, write_parts

from blemish.checkpoint import Bundle
from blemish.inversion.consult import (
    NETWORK,
    Consultation,
    ConsultConfig,
    Plain,
    consult,
    draw_detailed,
    load_consultation,
)
from blemish.inversion.model import Model
from blemish.names import ConsultTransform
from blemish.pictures import write_picture
from blemish.training.consultation import ConsultTraining
from blemish.types import Codes

TRANSFORMS: tuple[ConsultTransform, ...] = get_args(ConsultTransform)


def branch_of(model: Model, transform: ConsultTransform, *, trained: bool = True) -> Consultation:
    config = ConsultConfig(transform=transform, width=8)
    branch = Consultation(model.generator.config, config).requires_grad_(False)
    if trained:
        torch.nn.init.normal_(branch.leave.weight, std=0.1)
    return branch


def codes_of(model: Model, n: int = 1) -> Codes:
    return model.generator.codes(torch.randn(n, model.generator.config.z_dim))


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_an_untrained_branch_changes_nothing(model: Model, transform: ConsultTransform) -> None:
    branch, codes = branch_of(model, transform, trained=False), codes_of(model)
    found = draw_detailed(model.generator, branch, torch.rand(1, 3, 16, 16), codes, codes)
    torch.testing.assert_close(found, model.generator(codes).image)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_detail_is_not_read_where_a_defect_stays_removed(
    model: Model, transform: ConsultTransform
) -> None:
    branch, codes = branch_of(model, transform), codes_of(model)
    a, b = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    nothing = torch.zeros(1, 1, 16, 16)
    drawn = [draw_detailed(model.generator, branch, x, codes, codes, nothing) for x in (a, b)]
    torch.testing.assert_close(*drawn)
    kept = [draw_detailed(model.generator, branch, x, codes, codes) for x in (a, b)]
    assert not torch.equal(*kept)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_every_weight_gets_a_finite_gradient(model: Model, transform: ConsultTransform) -> None:
    branch = branch_of(model, transform).requires_grad_()
    before = Plain.of(model.generator, branch.side, codes_of(model, 2))
    after = Plain.of(model.generator, branch.side, codes_of(model, 2))
    consult(
        model.generator, branch, torch.randn(2, 3, 16, 16), before, after
    ).image.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in branch.parameters())


def test_training_writes_a_branch_that_invert_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = replace(ConsultTraining().schedule, kimg=0.004, batch=2, log_steps=1)
    short = replace(ConsultTraining(), schedule=schedule)
    monkeypatch.setattr("blemish.training.consultation.ConsultTraining", lambda: short)
    monkeypatch.chdir(tmp_path)
    write_bundle(tmp_path / "bundle", encoder=True)
    data = write_parts(tmp_path / "data")
    write_picture(tmp_path / "nut.png", part())
    assert exit_code(f"train consultation {data} --bundle bundle --device cpu") == 0
    assert load_consultation(Bundle(tmp_path / "bundle")).config == ConsultConfig()
    line = "invert --image nut.png --bundle bundle --device cpu --steps 1 --out out"
    assert exit_code(f"{line} --fidelity consult") == 0
    assert (tmp_path / "out" / "detailed.png").exists()
    assert "psnr_detailed_db" in (tmp_path / "out" / "inversion.json").read_text()
    assert exit_code(line) == 0
    assert not (tmp_path / "out" / "detailed.png").exists()
    assert Bundle(tmp_path / "bundle").has(NETWORK)
