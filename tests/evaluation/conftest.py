from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import object_statistics, part, write_bundle

from blemish.checkpoint import Bundle
from blemish.inversion.domain import fit_domain
from blemish.inversion.model import Model, load_model
from blemish.inversion.space import w_defect_statistics, w_statistics
from blemish.models.encoder import Encoder
from blemish.models.load import load_generator
from blemish.pictures import write_picture


@pytest.fixture(scope="session")
def able(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with all that inversion can use: an encoder about the mean of w, and the domain."""
    bundle = write_bundle(tmp_path_factory.mktemp("able") / "bundle")
    generator = load_generator(bundle)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = Encoder(generator.config).eval().requires_grad_(False)
    encoder.w_mean.copy_(w_statistics(generator).mean)
    encoder.w_defect_mean.copy_(w_defect_statistics(generator).mean)
    bundle.write("encoder", encoder.state_dict())
    domain = fit_domain(generator, encoder, n=100)
    known = bundle.tensors("statistics")
    found = domain.tensors() | object_statistics().tensors()
    bundle.write("statistics", {**known, **found})
    return bundle


@pytest.fixture(scope="session")
def able_model(able: Bundle) -> Model:
    return load_model(able)


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain folder of other objects."""
    folder = tmp_path_factory.mktemp("others")
    for k in range(3):
        write_picture(folder / f"{k}.png", np.rot90(255 - part(40, 40, seed=k)).copy())
    return folder
