"""Facts about the test images: only the published files, and only of the right form."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet import params
from resnet.data import arrays, datasets, ingest
from resnet.data.datasets import Dataset, File
from resnet.data.sets import annotations
from resnet.data.sets.annotations import VARIABLE, annotate
from resnet.errors import PipelineError
from tests.support import REPOSITORY

RUNTIME = params.load(REPOSITORY).runtime
CIFAR10 = datasets.load("cifar10")
NAMES: Any = ("near-duplicates", "label-errors", "human-labels")
FORM = 4, 2
VOTES = {"given": 2, "guessed": 3, "neither": 0, "both": 0}
REAL = os.environ.get(VARIABLE)

real = pytest.mark.skipif(not REAL, reason=f"{VARIABLE} names no folder with the published files")


def write_small(folder: Path) -> None:
    """Files in the published forms, about four images of two classes."""
    (folder / "near-duplicates").write_text("TestID,TrainID,Distance,Judgment\n3,7,0.1,1\n")
    entry = {"id": 1, "given_original_label": 0, "mturk": VOTES}
    fine = {**entry, "id": 2, "mturk": {**VOTES, "given": 3, "guessed": 2}}
    (folder / "label-errors").write_text(json.dumps([entry, fine]))
    with (folder / "human-labels").open("wb") as stream:
        np.save(stream, np.array([[4, 0], [1, 3], [2, 2], [0, 4]]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with small files, which the user has named."""
    folder = tmp_path / "published"
    folder.mkdir()
    write_small(folder)
    for name, published in CIFAR10.annotations.items():
        (folder / name).rename(folder / published.url.rpartition("/")[2])
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    """CIFAR-10, whose published files are those of `folder`."""
    small = {
        name: replace(published, file=File.of(folder / published.url.rpartition("/")[2]))
        for name, published in CIFAR10.annotations.items()
    }
    return replace(CIFAR10, annotations=small)


def test_what_is_asked_for_is_there_and_nothing_else(dataset: Dataset, tmp_path: Path) -> None:
    annotated, downloads = tmp_path / "annotations", tmp_path / "downloads"
    annotate(NAMES, dataset, annotated, RUNTIME, downloads)
    assert sorted(path.name for path in annotated.iterdir()) == sorted([*NAMES, "names.json"])
    annotate(("label-errors",), dataset, annotated, RUNTIME, downloads)
    assert {path.name for path in annotated.iterdir()} == {"label-errors", "names.json"}
    annotate((), dataset, annotated, RUNTIME, downloads)
    assert [path.name for path in annotated.iterdir()] == ["names.json"]


def test_the_files_say_which_images_and_what_people_chose(tmp_path: Path) -> None:
    write_small(tmp_path)
    facts = annotations.load(tmp_path, NAMES, *FORM)
    assert facts.near_n is not None
    assert facts.near_n.tolist() == [False, False, False, True]
    assert facts.wrong_n is not None
    assert facts.wrong_n.tolist() == [False, True, False, False]
    assert facts.people_nk is not None
    assert facts.people_nk.tolist() == [[1, 0], [0.25, 0.75], [0.5, 0.5], [0, 1]]


def test_what_is_not_asked_for_is_not_read(tmp_path: Path) -> None:
    assert annotations.load(tmp_path, (), *FORM) == annotations.Annotations()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_asked_for_must_be_there(tmp_path: Path, name: Any) -> None:
    with pytest.raises(PipelineError, match=f"{name} is not there: run 'resnet annotate'"):
        annotations.load(tmp_path, (name,), *FORM)


def test_a_file_that_is_not_the_published_one_is_refused_and_nothing_is_lost(
    dataset: Dataset, folder: Path, tmp_path: Path
) -> None:
    annotated, downloads = tmp_path / "annotations", tmp_path / "downloads"
    annotate(("near-duplicates",), dataset, annotated, RUNTIME, downloads)
    (folder / "duplicates_cifar10.csv").write_text("TestID\n1\n")
    with pytest.raises(PipelineError, match=r"has 9 bytes with sha256 .* an intact copy of http"):
        annotate(NAMES, dataset, annotated, RUNTIME, downloads)
    (folder / "duplicates_cifar10.csv").unlink()
    with pytest.raises(PipelineError, match=r"duplicates_cifar10\.csv is not there: put it into"):
        annotate(NAMES, dataset, annotated, RUNTIME, downloads)
    assert sorted(path.name for path in annotated.iterdir()) == ["names.json", "near-duplicates"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_there_is_a_reader_for_every_annotation_of_a_data_set() -> None:
    for path in params.MANIFESTS.glob("*.json"):
        assert datasets.load(path.stem).annotations.keys() <= annotations.READERS.keys()


def test_without_annotations_the_folder_says_so_and_is_not_empty_of_which_dvc_would_warn(
    tmp_path: Path,
) -> None:
    annotate((), datasets.load("generated"), tmp_path / "annotations", RUNTIME, tmp_path)
    (path,) = (tmp_path / "annotations").iterdir()
    assert (path.name, path.read_text()) == ("names.json", "[]\n")


def test_without_a_folder_and_without_a_network_the_error_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreachable = {
        name: replace(published, url=f"http://127.0.0.1:9/{name}")
        for name, published in CIFAR10.annotations.items()
    }
    dataset = replace(CIFAR10, annotations=unreachable)
    monkeypatch.setattr("resnet.data.download.ATTEMPTS", 1)
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(PipelineError, match=f"cannot be downloaded: .*set {VARIABLE} to a folder"):
        annotate(("label-errors",), dataset, tmp_path / "annotations", RUNTIME, tmp_path / "new")
    assert not (tmp_path / "annotations").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("near-duplicates", b"TestID\n4\n"),
        ("near-duplicates", b"TestID\n-1\n"),
        ("near-duplicates", b"TestID\nmany\n"),
        ("near-duplicates", b"Other\n1\n"),
        ("label-errors", b"[1]"),
        ("label-errors", b'{"a": 1}'),
        ("label-errors", b"nonsense"),
        ("label-errors", b'[{"id": 1, "mturk": {"given": 9}}]'),
        ("human-labels", b""),
        ("human-labels", b"\x80\x04N."),  # a pickle is not opened
    ],
)
def test_what_has_another_form_is_refused(tmp_path: Path, name: Any, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PipelineError, match=f"{name} does not describe 4 test images of 2 classes"):
        annotations.load(tmp_path, (name,), *FORM)


@pytest.mark.parametrize(
    "counts", [np.ones((3, 2)), np.zeros((4, 2)), -np.ones((4, 2)), np.array([object()])]
)
def test_counts_of_another_form_are_refused(tmp_path: Path, counts: Any) -> None:
    with (tmp_path / "human-labels").open("wb") as stream:
        np.save(stream, counts)
    with pytest.raises(PipelineError, match="human-labels does not describe 4 test images"):
        annotations.load(tmp_path, ("human-labels",), *FORM)


@real
def test_the_published_files_say_what_their_publishers_say(tmp_path: Path) -> None:
    annotate(NAMES, CIFAR10, tmp_path / "annotations", RUNTIME, tmp_path)
    facts = annotations.load(tmp_path / "annotations", NAMES, 10_000, 10)
    assert facts.near_n is not None
    assert facts.wrong_n is not None
    assert facts.people_nk is not None
    assert facts.near_n.sum() == 286
    assert facts.wrong_n.sum() == 54
    assert facts.people_nk.shape == (10_000, 10)
    assert not (facts.near_n & facts.wrong_n).all()


@real
@pytest.mark.skipif("CIFAR10_ARCHIVE" not in os.environ, reason="CIFAR10_ARCHIVE names no archive")
def test_most_people_choose_the_label_of_nearly_every_test_image(tmp_path: Path) -> None:
    """So the file's order is that of the test split."""
    from resnet.data.fetch import fetch

    parameters = params.load(REPOSITORY)
    names = (name for name in params.Paths.model_fields if name != "archive")
    paths = params.Paths(archive=None, **{name: tmp_path / name for name in names})
    fetch(CIFAR10, paths, RUNTIME, tmp_path / "downloads")
    paths.extra.mkdir()
    ingest.ingest(CIFAR10, parameters.data, paths)
    annotate(("human-labels",), CIFAR10, paths.annotations, RUNTIME, tmp_path / "downloads")
    people_nk = annotations.load(paths.annotations, ("human-labels",), 10_000, 10).people_nk
    assert people_nk is not None
    labels_n = arrays.load(paths, "test").labels_n
    assert (people_nk.argmax(axis=1) == labels_n).mean() > 0.99
