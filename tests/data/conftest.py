"""What the tests of the data have in common: generated raw files, and a place of their own."""

import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from resnet import params
from resnet.checkout import dvc_cache
from resnet.data import added_samples, additions, datasets
from resnet.data.datasets import Archive, Dataset, File
from resnet.data.sets import shapes
from tests.support import REPOSITORY


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the seven files of the synthetic data set."""
    folder = tmp_path_factory.mktemp("generated")
    shapes.generate(folder, datasets.load("generated"))
    return folder


@pytest.fixture(scope="session")
def archive(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic data set as a .tar.gz in CIFAR-10's form."""
    path = tmp_path_factory.mktemp("archive") / "synthetic.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        tar.add(generated, "cifar-10-batches-py")
    return path


@pytest.fixture(scope="session")
def published(archive: Path) -> Dataset:
    """The synthetic data set as if it were published at an address where nobody answers."""
    address = Archive("http://127.0.0.1:9/synthetic.tar.gz", File.of(archive))
    variable = datasets.load("cifar10").variable
    return replace(datasets.load("generated"), archive=address, variable=variable)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> params.Params:
    """The parameters, with a fresh folder as the working directory and no archive named."""
    place = tmp_path / "checkout"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.delenv("CIFAR10_ARCHIVE", raising=False)
    loaded = params.load(REPOSITORY)
    data = loaded.data.model_copy(update={"dataset": "generated", "validation": 1000})
    return loaded.model_copy(update={"data": data})


@pytest.fixture
def add(checkout: params.Params) -> Callable[..., Path]:
    """Adds a batch of painted images to the training split, as many of each class; its path.

    A name that ends in .npz makes it a file of arrays. `copies` are images of class disc. It is
    tracked as `dvc add` would do, which takes seconds; test_arrivals has the real one.
    """

    def add_batch(
        name: str, images: int = 10, copies: NDArray[np.uint8] | None = None, tracked: bool = True
    ) -> Path:
        classes = datasets.load("generated").classes
        labels_n = np.arange(images, dtype=np.int32) % len(classes)
        painted = shapes.paint(labels_n, np.random.RandomState(len(name)))
        images_nhwc = np.ascontiguousarray(painted.transpose(0, 2, 3, 1))
        path = checkout.paths.extra / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == added_samples.ARRAYS:
            np.savez(path, images=images_nhwc, labels=labels_n)
        else:
            for n, image in enumerate(images_nhwc):
                _write(path / classes[labels_n[n]] / f"{n:03}.png", image)
            for n, image in enumerate(() if copies is None else copies):
                _write(path / classes[0] / f"copy-{n}.png", image)
        if tracked:
            out = {"md5": dvc_cache.digest(path), "hash": "md5", "path": name}
            Path(f"{path}{additions.DVC_SUFFIX}").write_text(yaml.safe_dump({"outs": [out]}))
        return path

    return add_batch


def _write(path: Path, image_hwc: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image_hwc).save(path)


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
