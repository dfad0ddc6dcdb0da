"""The critic's seam: a kind that nobody knows trains, is stored and comes back."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest
import torch
from tiny import write_bundle
from torch import Tensor, nn

from blemish.checkpoint import Bundle
from blemish.data.augment import Symmetries
from blemish.data.folder import DefectFolder
from blemish.devices import make_fabric
from blemish.errors import BundleError
from blemish.models import critic_kinds
from blemish.models.critic import Critic, CriticConfig, CriticRules, build_critic
from blemish.models.generator import GeneratorConfig
from blemish.models.load import critic_of, load_critic
from blemish.models.logits import HINGE
from blemish.models.projected import ProjectedConfig
from blemish.models.residual import ResidualConfig
from blemish.training import loop
from blemish.training.adversarial import AdversarialOptions, CriticTrainer
from blemish.training.generator import GeneratorTraining, train_generator
from blemish.training.loop import Schedule

SHAPE = GeneratorConfig(resolution=16, z_dim=8, w_dim=8, channel_base=128, channel_max=8)
BRIEF = Schedule(batch=4, kimg=0.012, snapshot_kimg=0.012, log_steps=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DummyConfig(CriticConfig):
    """A critic that looks at mean colours."""

    kind: str = "dummy"
    rate: float = 0.01

    def build(self, shape: GeneratorConfig, image_channels: int) -> "DummyCritic":
        return DummyCritic(self, image_channels)


class DummyCritic(Critic):
    def __init__(self, config: DummyConfig, image_channels: int) -> None:
        super().__init__(config)
        self.weigh = nn.Linear(image_channels, 1)
        self.rules = CriticRules(
            losses=HINGE,
            learning_rate=config.rate,
            penalise=False,
            adapt=False,
            path_lengths=False,
        )

    def forward(self, stack: Tensor, label: Tensor | None = None) -> Tensor:
        return self.weigh(stack.mean(dim=(2, 3))).squeeze(1)

    def features(self, stack: Tensor) -> list[Tensor]:
        return [stack, nn.functional.avg_pool2d(stack, 2)]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: dict[str, type[CriticConfig]] = {**critic_kinds.KINDS, "dummy": DummyConfig}
    monkeypatch.setattr(critic_kinds, "KINDS", kinds)
    monkeypatch.setattr(loop, "draw_curves", lambda *_: None)


def train(parts: Path, out: Path, critic: CriticConfig) -> Bundle:
    fabric = make_fabric("cpu")
    first = GeneratorTraining(schedule=BRIEF, critic=critic, warm_steps=1, path_every=1)
    train_generator(DefectFolder(parts), SHAPE, first, fabric, out)
    return Bundle(out)


def test_a_dummy_critic_trains_and_comes_back(parts: Path, tmp_path: Path, known: None) -> None:
    bundle = train(parts, tmp_path / "bundle", DummyConfig(rate=0.02))
    lines = (bundle.path / "training" / "generator" / "stats.jsonl").read_text().splitlines()
    reported = {name for line in lines for name in json.loads(line)}
    assert {"critic", "generator", "sign_real"} <= reported
    assert not reported & {"r1", "ada", "path"}
    critic = load_critic(bundle)
    assert critic_of(bundle) == critic.config == DummyConfig(rate=0.02)
    assert torch.equal(
        critic.get_parameter("weigh.weight"), bundle.tensors("critic")["weigh.weight"]
    )


@pytest.mark.parametrize("config", [ResidualConfig(), ProjectedConfig(), DummyConfig(rate=0.02)])
def test_the_judge_learns_at_the_kind_s_rate_and_takes_shares_of_it(config: CriticConfig) -> None:
    critic, game = build_critic(config, SHAPE), AdversarialOptions(learning_rate=1e-3)
    judge = CriticTrainer(critic, game, make_fabric("cpu"))
    expected = critic.rules.learning_rate or 1e-3
    assert judge.adam.param_groups[0]["lr"] == expected
    judge.scale_rate(0.5)
    assert judge.adam.param_groups[0]["lr"] == expected / 2


@pytest.mark.parametrize("config", [ResidualConfig(), ProjectedConfig()])
def test_a_critic_learns_to_tell_light_from_dark(config: CriticConfig) -> None:
    judge = CriticTrainer(
        build_critic(config, SHAPE), AdversarialOptions(r1_every=1), make_fabric("cpu")
    )
    rng = torch.Generator().manual_seed(0)
    texture = torch.rand(4, 3, 16, 16, generator=rng) * 0.2
    real, fake = texture + 0.5, texture - 0.7
    before = judge.generator_loss(fake, rng)
    values = [judge.learn(index, real, fake, rng) for index in range(12)]
    assert values[-1]["critic"] < values[0]["critic"]
    assert (judge.generator_loss(fake, rng) > before).all()


@pytest.mark.parametrize("config", [ResidualConfig(), ProjectedConfig()])
def test_the_generator_s_gradient_leaves_the_critic_alone(config: CriticConfig) -> None:
    judge = CriticTrainer(build_critic(config, SHAPE), AdversarialOptions(), make_fabric("cpu"))
    fake = (torch.rand(2, 3, 16, 16) * 2 - 1).requires_grad_()
    judge.generator_loss(fake, torch.Generator().manual_seed(0)).sum().backward()
    assert fake.grad is not None and fake.grad.isfinite().all() and fake.grad.any()
    assert all(p.grad is None for p in judge.critic.parameters())
    assert all(p.requires_grad for p in judge.parameters)


def test_what_every_critic_sees_may_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    critic = build_critic(ProjectedConfig(colour_by=0.5), SHAPE)
    judge = CriticTrainer(
        critic, AdversarialOptions(symmetries=Symmetries(flip=True)), make_fabric("cpu")
    )
    seen: list[Tensor] = []
    judged: Callable[[Tensor], object] = critic.judge
    monkeypatch.setattr(critic, "judge", lambda stack: (seen.append(stack), judged(stack))[1])
    image = torch.rand(2, 3, 16, 16)
    judge.generator_loss(image, torch.Generator().manual_seed(0))
    assert not torch.allclose(seen[0], image, atol=0.02)
    monotone = [
        torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]
        for a, b in zip(seen[0].detach().flatten(0, 1), image.flatten(0, 1), strict=True)
    ]
    assert min(monotone) > 0.99  # colours alone: not a pixel has moved


def test_a_bundle_that_does_not_say_has_a_residual_critic(bundle: Bundle) -> None:
    assert "critic" not in bundle.config
    assert critic_of(bundle) == critic_of(bundle, "match_critic") == ResidualConfig()
    assert same(load_critic(bundle), bundle.tensors("critic"))


@pytest.mark.parametrize(
    "entry", [{"kind": "psychic"}, {}, {"kind": "projected", "depth": 3}, "residual"]
)
def test_a_critic_that_is_not_known_is_refused(tmp_path: Path, entry: object) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    bundle.write_config({**bundle.config, "critic": entry})
    with pytest.raises(BundleError, match="whose 'critic' is invalid"):
        load_critic(bundle)


def same(critic: Critic, known: dict[str, Tensor]) -> bool:
    state = critic.state_dict()
    return state.keys() == known.keys() and all(torch.equal(state[k], known[k]) for k in known)


def test_options_survive_the_way_through_json() -> None:
    config = ProjectedConfig(width=32, colour_by=0.1)
    assert critic_kinds.critic_from(asdict(config)) == config


def test_a_resumed_training_with_a_projected_critic_is_the_one_that_was_not_interrupted(
    parts: Path, tmp_path: Path, known: None
) -> None:
    critic, found = ProjectedConfig(least_side=32), {}
    for name, lengths in {"whole": [3], "resumed": [1, 3]}.items():
        for steps in lengths:
            plan = replace(BRIEF, kimg=steps * BRIEF.batch / 1000)
            training = GeneratorTraining(schedule=plan, critic=critic, warm_steps=1)
            resume, out = steps != lengths[0], tmp_path / name
            train_generator(
                DefectFolder(parts), SHAPE, training, make_fabric("cpu"), out, resume=resume
            )
        found[name] = Bundle(tmp_path / name)
    for network in ("generator", "critic"):
        one, other = (bundle.tensors(network) for bundle in found.values())
        assert one.keys() == other.keys()
        assert all(torch.equal(one[k], other[k]) for k in one), network


def test_the_blur_before_a_critic_fades(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fine stripes are invisible when it comes in, faint half way, and untouched in the end."""
    critic = build_critic(ProjectedConfig(colour_by=0, blur_px=2, blur_kimg=0.04), SHAPE)
    game = AdversarialOptions(schedule=Schedule(batch=4))
    judge = CriticTrainer(critic, game, make_fabric("cpu"), first=3)
    seen: list[Tensor] = []
    judged: Callable[[Tensor], object] = critic.judge
    monkeypatch.setattr(critic, "judge", lambda stack: (seen.append(stack), judged(stack))[1])
    stripes = torch.tensor([-1.0, 1.0]).repeat(8).expand(4, 3, 16, 16).contiguous()
    for index in (3, 11, 13):
        judge.learn(index, stripes, -stripes, torch.Generator().manual_seed(0))
    spread = [stack.std().item() for stack in seen[::2]]
    assert spread[0] < 0.1 < spread[1] < 1 and torch.equal(seen[4], stripes)
