import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from resnet.data import datasets
from resnet.data.datasets import File
from resnet.errors import PipelineError

CIFAR10_MD5 = {  # as published on CIFAR-10's page and in every library that fetches it
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}


def refused(folder: Path, match: str) -> None:
    with pytest.raises(PipelineError, match=f"^here: {match}.*; do that$"):
        datasets.load("generated").verify(folder, "here", "do that")
    assert not datasets.load("generated").holds(folder)


@pytest.fixture
def copy(generated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(generated, tmp_path / "copy"))


def test_the_manifest_of_cifar_10_has_the_published_md5s() -> None:
    md5s = {name: file.md5 for name, file in datasets.load("cifar10").files.items()}
    assert md5s == CIFAR10_MD5


def test_the_generated_files_are_those_of_the_manifest(generated: Path) -> None:
    datasets.load("generated").verify(generated, "", "")


def test_a_flipped_byte_is_seen(copy: Path) -> None:
    content = bytearray((copy / "data_batch_3").read_bytes())
    content[1_000_000] ^= 1
    (copy / "data_batch_3").write_bytes(content)
    refused(copy, "data_batch_3: sha256 is .{12}…, the published one is .{12}…: .* damaged")


def test_a_truncated_file_is_seen(copy: Path) -> None:
    with (copy / "test_batch").open("r+b") as stream:
        stream.truncate(100)
    refused(copy, "test_batch has 100 bytes, the published one 6194807")


def test_an_empty_file_is_seen(copy: Path) -> None:
    (copy / "batches.meta").write_bytes(b"")
    refused(copy, "batches.meta has 0 bytes")


def test_a_missing_batch_is_seen(copy: Path) -> None:
    (copy / "data_batch_5").unlink()
    refused(copy, "data_batch_5 is missing")


def test_swapped_batches_are_seen_and_named(copy: Path) -> None:
    shutil.copy(copy / "data_batch_1", copy / "data_batch_2")
    refused(copy, "data_batch_2 has the content of data_batch_1: .* swapped")


def test_a_file_with_the_right_sha256_and_the_wrong_md5_is_refused(generated: Path) -> None:
    dataset = datasets.load("generated")
    meta = dataset.files["batches.meta"]
    wrong = {**dataset.files, "batches.meta": File(meta.size, "0" * 32, meta.sha256)}
    with pytest.raises(PipelineError, match="md5 is .*, the published one is 00000000"):
        replace(dataset, files=wrong).verify(generated, "here", "do that")
