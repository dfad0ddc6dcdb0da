import pytest
from tiny import write_bundle

from blemish.checkpoint import Bundle
from blemish.generator.critic import Critic
from blemish.generator.network import Generator
from blemish.generator.restore import load_critic, load_generator


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # test_files.py sees to that


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("tiny") / "bundle")


@pytest.fixture(scope="session")
def generator(bundle: Bundle) -> Generator:
    return load_generator(bundle)


@pytest.fixture(scope="session")
def critic(bundle: Bundle) -> Critic:
    return load_critic(bundle)
