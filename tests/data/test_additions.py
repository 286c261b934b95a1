"""Added batches are read in both forms; an error names what is not tracked or has another form."""

import io
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnet import params
from resnet.data import added_samples, additions, arrays, datasets
from resnet.data.additions import AddedBatch
from resnet.data.arrays import Split
from resnet.errors import PipelineError
from resnet.system import npy

Add = Callable[..., Path]


@pytest.fixture(autouse=True)
def folder(checkout: params.Params) -> None:
    """As git has it."""
    checkout.paths.extra.mkdir(parents=True)


def only(checkout: params.Params) -> AddedBatch:
    (batch,) = additions.batches(checkout.paths.extra)
    return batch


def read(checkout: params.Params) -> Split:
    return additions.read(only(checkout), datasets.load("generated"))


def test_both_forms_hold_the_same_images(checkout: params.Params, add: Add) -> None:
    folder = add("abcdefgh", images=10)  # a name as long as the other draws the same images
    of_files = read(checkout)
    shutil.rmtree(folder)
    Path(f"{folder}.dvc").unlink()
    add("abcd.npz", images=10)
    of_arrays = read(checkout)
    order = np.argsort(np.array(datasets.load("generated").classes))  # folders come by their names
    assert (of_files.images_nhwc == of_arrays.images_nhwc[order]).all()
    assert (of_files.labels_n == of_arrays.labels_n[order]).all()
    assert of_files.images_nhwc.dtype == of_arrays.labels_n.dtype == np.uint8


def test_a_photograph_is_made_small_as_it_is_for_scoring(checkout: params.Params, add: Add) -> None:
    path = add("photos", images=0, copies=np.full((1, 90, 60, 3), 7, np.uint8))
    (path / "disc" / ".notes.txt").write_text("no image")
    (path / "disc" / ".ipynb_checkpoints").mkdir()
    (path / "disc" / ".ipynb_checkpoints" / "copy-checkpoint.png").write_text("no image")
    add_track(path)
    assert read(checkout).images_nhwc.tolist() == np.full((1, 32, 32, 3), 7).tolist()


def add_track(path: Path) -> None:
    from resnet.checkout import dvc_cache

    Path(f"{path}.dvc").write_text(f"outs:\n- md5: {dvc_cache.digest(path)}\n  path: {path.name}\n")


def test_hidden_files_are_no_batches(checkout: params.Params) -> None:
    (checkout.paths.extra / ".gitkeep").touch()
    assert additions.batches(checkout.paths.extra) == []


def test_a_batch_is_new_tracked_edited_stale_or_missing(checkout: params.Params, add: Add) -> None:
    path = add("night", tracked=False)
    assert only(checkout).state() == "new"
    add_track(path)
    assert only(checkout).state() == "tracked"
    track = Path(f"{path}.dvc")
    text = track.read_text()
    track.write_text(text.replace("md5: ", "md5: 0"))  # as from a git pull, after the data
    os.utime(track, (2**31, 2**31))
    assert only(checkout).state() == "stale"
    track.write_text(text)
    os.utime(track, (0, 0))
    old = path / "disc" / "old.png"
    shutil.copy2(next(path.rglob("*.png")), old)
    os.utime(old, (0, 0))  # copied with its own time
    assert only(checkout).state() == "edited"
    shutil.rmtree(path)
    assert only(checkout).state() == "missing"


@pytest.mark.parametrize(
    ("state", "match"),
    [
        ("new", "night is not tracked by DVC: once it is complete, run 'dvc add .*night'"),
        (
            "edited",
            "night differs from its .dvc file: run 'dvc add .*night' to accept the change, or "
            "'dvc checkout",
        ),
        ("missing", "night is missing, but its .dvc file is there: run 'dvc pull"),
        ("stale", "is older than its .dvc file: run 'dvc pull"),
    ],
)
def test_what_is_not_as_dvc_tracks_it_is_not_read(
    checkout: params.Params, add: Add, state: str, match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("night")
    monkeypatch.setattr(AddedBatch, "state", lambda batch: state)
    with pytest.raises(PipelineError, match=match):
        read(checkout)


def test_an_image_in_no_class_is_refused(checkout: params.Params, add: Add) -> None:
    path = add("night")
    (path / "disc").rename(path / "disk")
    add_track(path)
    with pytest.raises(
        PipelineError, match=r"night/disk/000.png is not in the folder of a class: want"
    ):
        read(checkout)


def test_an_image_beside_the_classes_is_refused(checkout: params.Params, add: Add) -> None:
    path = add("night")
    Image.new("RGB", (32, 32)).save(path / "loose.png")
    add_track(path)
    with pytest.raises(PipelineError, match="night/loose.png is not in the folder of a class"):
        read(checkout)


def test_files_that_are_not_read_are_refused(checkout: params.Params, add: Add) -> None:
    path = add("night")
    for name in ("disc/IMG_1.HEIC", "ring/b.psd", "ring/c"):
        (path / name).touch()
    add_track(path)
    with pytest.raises(
        PipelineError,
        match=r"night: 3 of its 13 files are not images that can be read, the first is "
        r"disc/IMG_1.HEIC: want names that end in .apng, .*; convert these files, or remove them",
    ):
        read(checkout)


def test_a_class_folder_that_is_a_link_is_refused(checkout: params.Params, add: Add) -> None:
    """DVC would leave it out: the images would be in no other checkout."""
    path = add("night")
    (path / "ring").rename(checkout.paths.extra.parent / "elsewhere")
    (path / "ring").symlink_to("../../elsewhere")
    add_track(path)
    with pytest.raises(PipelineError, match=r"night/ring is a link to a folder, which DVC leaves"):
        read(checkout)


def test_a_damaged_image_is_named(checkout: params.Params, add: Add) -> None:
    path = add("night")
    (path / "ring" / "001.png").write_bytes(b"no image")
    add_track(path)
    with pytest.raises(PipelineError, match=r"night/ring/001.png is not an image that can be read"):
        read(checkout)


def test_a_batch_without_images_is_refused(checkout: params.Params, add: Add) -> None:
    (checkout.paths.extra / "night" / "disc").mkdir(parents=True)
    add_track(checkout.paths.extra / "night")
    with pytest.raises(PipelineError, match="night holds no images: add some, or remove it"):
        read(checkout)


IMAGES, LABELS = np.zeros((3, 32, 32, 3), np.uint8), np.zeros(3, np.int64)


@pytest.mark.parametrize(
    ("stored", "match"),
    [
        ({"images": IMAGES}, "not an .npz file with the arrays images and labels"),
        ({"images": IMAGES.astype(float), "labels": LABELS}, "images are float64 of shape"),
        ({"images": IMAGES[:, :, :31], "labels": LABELS}, r"shape \(3, 32, 31, 3\), want uint8"),
        ({"images": IMAGES, "labels": LABELS[:2]}, r"shape \(2,\), want integers \(3,\)"),
        ({"images": IMAGES, "labels": LABELS / 2}, "labels are float64"),
        ({"images": IMAGES, "labels": LABELS - 1}, "label -1, want 0 to 9"),
        ({"images": IMAGES, "labels": LABELS + 10}, "label 10, want 0 to 9"),
        ({"images": np.array([print] * 3), "labels": LABELS}, "Object arrays cannot be loaded"),
    ],
)
def test_arrays_of_another_form_are_refused(
    checkout: params.Params, stored: dict[str, Any], match: str
) -> None:
    path = checkout.paths.extra / "day.npz"
    np.savez(path, **stored)
    add_track(path)
    with pytest.raises(PipelineError, match=match):
        read(checkout)


def test_a_cut_off_file_of_arrays_is_refused(checkout: params.Params, add: Add) -> None:
    path = add("day.npz")
    path.write_bytes(path.read_bytes()[:1000])
    add_track(path)
    with pytest.raises(PipelineError, match=r"day.npz is not an .npz file"):
        read(checkout)


def test_a_damaged_compressed_file_of_arrays_is_refused(checkout: params.Params) -> None:
    path = checkout.paths.extra / "day.npz"
    noise = np.random.default_rng(0).integers(0, 9, IMAGES.shape, np.uint8)
    np.savez_compressed(path, images=noise, labels=LABELS)
    content = bytearray(path.read_bytes())
    content[100:200] = b"\xff" * 100
    path.write_bytes(content)
    add_track(path)
    with pytest.raises(PipelineError, match=r"day.npz is not an .npz file .*decompress"):
        read(checkout)


def test_one_array_under_the_name_of_several_is_refused(checkout: params.Params) -> None:
    path = checkout.paths.extra / "day.npz"
    with path.open("wb") as stream:
        np.save(stream, IMAGES)
    add_track(path)
    with pytest.raises(PipelineError, match=r"day.npz is not an .npz file"):
        read(checkout)


@pytest.mark.parametrize("name", ["images", "images.npy"])
def test_what_is_no_array_in_a_file_of_arrays_is_refused(
    checkout: params.Params, name: str
) -> None:
    path = checkout.paths.extra / "day.npz"
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr(name, b"no array")
    add_track(path)
    with pytest.raises(PipelineError, match=r"day.npz is not an .npz file with the arrays images"):
        read(checkout)


def header(shape: tuple[int, ...], dtype: str) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


def test_arrays_that_declare_more_than_they_hold_take_no_memory(checkout: params.Params) -> None:
    path = checkout.paths.extra / "day.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as stream:
        stream.writestr("images.npy", header((10**9, 32, 32, 3), "|u1"))
        stream.writestr("labels.npy", header((10**9,), "<i8"))
    assert path.stat().st_size == 360
    add_track(path)
    with pytest.raises(PipelineError, match=r"declares uint8 of shape .*, but 0 follow"):
        read(checkout)


def test_more_images_than_memory_should_hold_are_refused_before_they_are_read(
    checkout: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkout.paths.extra / "day.npz"
    np.savez(path, images=IMAGES, labels=LABELS)
    add_track(path)
    monkeypatch.setattr(added_samples, "MAX_BYTES", 2 * 3072)
    monkeypatch.setattr(npy, "read", None)
    with pytest.raises(PipelineError, match=r"holds 3 images, at most 2 .*: split it into several"):
        read(checkout)


def test_arrays_in_fortrans_order_hold_the_same_images(checkout: params.Params) -> None:
    path = checkout.paths.extra / "day.npz"
    images = np.random.default_rng(0).integers(0, 256, IMAGES.shape, np.uint8)
    np.savez(path, images=np.asfortranarray(images), labels=LABELS)
    add_track(path)
    images_nhwc = read(checkout).images_nhwc
    assert arrays.fingerprints(images_nhwc) == arrays.fingerprints(images)


def test_what_is_no_batch_is_refused(checkout: params.Params) -> None:
    (checkout.paths.extra / "night.zip").touch()
    with pytest.raises(PipelineError, match=r"night.zip is not a batch of samples: want a folder"):
        additions.batches(checkout.paths.extra)


def test_a_damaged_dvc_file_is_named(checkout: params.Params, add: Add) -> None:
    Path(f"{add('night')}.dvc").write_text("outs: []")
    with pytest.raises(PipelineError, match=r"night.dvc is not a valid .dvc file"):
        additions.batches(checkout.paths.extra)


def test_a_missing_folder_is_an_error(checkout: params.Params) -> None:
    checkout.paths.extra.rmdir()
    with pytest.raises(PipelineError, match="data/extra is not there: create it"):
        additions.batches(checkout.paths.extra)
