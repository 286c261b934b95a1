import os
from pathlib import Path

import numpy as np
import pytest

from resnet.data import arrays
from resnet.errors import PipelineError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (7, 32, 32, 3), np.uint8)
    arrays.write(tmp_path / "test_images.npy", images.shape, iter([images[:4], images[4:]]))
    arrays.write(tmp_path / "test_labels.npy", (7,), iter([np.arange(7, dtype=np.uint8)]))
    return tmp_path


def read(folder: Path, split: arrays.SplitName) -> arrays.Split:
    return arrays.read(folder, split, "image", (32, 32, 3))


def refused(folder: Path, match: str) -> None:
    with pytest.raises(PipelineError, match=f"{match}.*run 'resnet ingest' or 'dvc repro'"):
        read(folder, "test")


def test_what_becomes_of_the_files_later_does_not_change_a_split(folder: Path) -> None:
    split = read(folder, "test")
    before = split.images_nhwc.copy()
    for path in folder.iterdir():
        os.truncate(path, 0)
    np.testing.assert_array_equal(split.images_nhwc, before)
    assert split.labels_n.tolist() == list(range(7))


def test_what_is_written_in_parts_is_what_numpy_writes_whole(folder: Path) -> None:
    np.save(folder / "whole.npy", read(folder, "test").images_nhwc)
    assert (folder / "whole.npy").read_bytes() == (folder / "test_images.npy").read_bytes()


def test_an_empty_split_can_be_read(tmp_path: Path) -> None:
    arrays.write(tmp_path / "validation_images.npy", (0, 32, 32, 3), iter([]))
    arrays.write(tmp_path / "validation_labels.npy", (0,), iter([]))
    split = read(tmp_path, "validation")
    assert split.images_nhwc.shape == (0, 32, 32, 3)
    assert split.labels_n.shape == (0,)


def test_a_split_that_is_not_there_says_what_makes_it(tmp_path: Path) -> None:
    refused(tmp_path, "test_images.npy is not there")


def test_a_cut_off_array_is_refused(folder: Path) -> None:
    with (folder / "test_images.npy").open("r+b") as stream:
        stream.truncate(10_000)
    refused(folder, "test_images.npy is damaged")


def test_an_array_that_declares_more_than_it_holds_takes_no_memory(folder: Path) -> None:
    with (folder / "test_images.npy").open("wb") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 32, 32, 3)}
        )
    refused(folder, r"test_images.npy is damaged .*3,072,000,000,000 bytes, but 0 follow")


def test_something_else_than_an_array_is_refused(folder: Path) -> None:
    (folder / "test_labels.npy").write_bytes(b"")
    refused(folder, "test_labels.npy is damaged")
    np.save(folder / "test_labels.npy", np.array([{}], dtype=object), allow_pickle=True)
    refused(folder, "test_labels.npy is damaged")
    np.save(folder / "test_labels.npy", np.arange(7))
    refused(folder, "test_labels.npy is not a uint8 array")


def test_images_and_labels_that_do_not_belong_together_are_refused(folder: Path) -> None:
    np.save(folder / "test_labels.npy", np.zeros(6, np.uint8))
    refused(folder, r"images of shape \(7, 32, 32, 3\) and labels of shape \(6,\)")
