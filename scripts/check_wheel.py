"""Contents of the wheel and the sdist: `check_wheel.py DIST MOST`, MOST bytes being allowed."""

import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

NEEDED = (
    "blemish/__init__.py",
    "blemish/py.typed",
    "blemish/bundles/hazelnut/config.json",
    "blemish/bundles/hazelnut/README.md",
    "blemish/studio/static/index.html",
)
NEEDED_IN_SDIST = ("pyproject.toml", "LICENSE", "CHANGELOG.md", "tests/tiny.py", "scripts/test")


def main(dist: Path, most: int) -> None:
    """Check both files of a release."""
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    size = wheel.stat().st_size
    assert size < most, f"the wheel has {size} bytes, and {most} are allowed"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (about,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(about))
    lacking = [name for name in NEEDED if name not in names]
    assert not lacking, f"the wheel lacks {lacking}"
    stray = [name for name in names if not name.startswith(("blemish/", "blemish-"))]
    assert not stray, f"the wheel has {stray[:3]}"
    assert metadata["Version"] == wheel.name.split("-")[1]
    assert metadata["License-Expression"] == "Apache-2.0"
    extras = metadata.get_all("Provides-Extra") or []
    assert {"onnx", "tensorboard", "wandb", "mlflow"} <= {*extras}, extras
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    lacking = [name for name in NEEDED_IN_SDIST if name not in inside]
    assert not lacking, f"the sdist lacks {lacking}"
    print(f"{wheel.name}: {size / 1e6:.1f} MB; {sdist.name}: {sdist.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
