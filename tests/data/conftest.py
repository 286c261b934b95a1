"""What the tests of the data have in common: generated raw files, and a place of their own."""

import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from resnet import params
from resnet.data import datasets, generate
from resnet.data.datasets import Dataset, File, Published

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the seven files of the stand-in."""
    folder = tmp_path_factory.mktemp("generated")
    generate.generate(folder, datasets.load("generated"))
    return folder


@pytest.fixture(scope="session")
def archive(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in as a .tar.gz of CIFAR-10's form."""
    path = tmp_path_factory.mktemp("archive") / "stand-in.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        tar.add(generated, "cifar-10-batches-py")
    return path


@pytest.fixture(scope="session")
def published(archive: Path) -> Dataset:
    """The stand-in as if it were published at an address where nobody answers."""
    address = Published("http://127.0.0.1:9/stand-in.tar.gz", File.of(archive))
    return replace(datasets.load("generated"), archive=address)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> params.Params:
    """The parameters, with a fresh folder as the working directory and no archive named."""
    place = tmp_path / "checkout"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.delenv("CIFAR10_ARCHIVE", raising=False)
    loaded = params.load(CHECKOUT)
    data = loaded.data.model_copy(update={"dataset": "generated", "validation": 1000})
    return loaded.model_copy(update={"data": data})


@pytest.fixture(scope="session")
def cifar10() -> Path:
    """Real CIFAR-10, an archive or a folder; skips where there is none."""
    if not (named := os.environ.get("CIFAR10_ARCHIVE")):
        pytest.skip("CIFAR10_ARCHIVE is not set: it names a .tar.gz or a folder of CIFAR-10")
    return Path(named).resolve()


@pytest.fixture
def left_behind(checkout: params.Params) -> Callable[[], list[str]]:
    """Lists every file and folder under the working directory."""
    return lambda: sorted(str(path) for path in Path().rglob("*"))
