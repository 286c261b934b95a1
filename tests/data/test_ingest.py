import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet import params
from resnet.checkout import dvc_cache
from resnet.data import arrays, datasets, ingest
from resnet.data.datasets import Dataset, File
from resnet.data.fetch import fetch
from resnet.data.sets import cifar_pickle_reader, cifar_pickle_writer
from resnet.errors import PipelineError

GENERATED = datasets.load("generated")
LABELS = np.repeat(np.arange(10, dtype=np.uint8), 20)


def held_out(validation: int, seed: int = 0) -> list[int]:
    return list(map(int, ingest.split(LABELS, validation, seed, classes=10)[1]))


def test_the_split_divides_the_images_and_takes_as_many_of_each_class() -> None:
    trained, validated = ingest.split(LABELS, 50, seed=3, classes=10)
    assert sorted([*trained, *validated]) == list(range(200))
    assert np.bincount(LABELS[validated]).tolist() == [5] * 10


def test_the_split_is_the_same_for_ever() -> None:
    """A change of these numbers changes every model: it must be meant."""
    assert held_out(10) == [15, 36, 46, 76, 87, 115, 130, 147, 174, 192]


def test_another_seed_holds_out_other_images() -> None:
    assert held_out(50, seed=0) == held_out(50, seed=0) != held_out(50, seed=1)


def test_a_larger_split_holds_the_smaller_one() -> None:
    assert set(held_out(50)) < set(held_out(100))


def test_nothing_may_be_held_out() -> None:
    assert held_out(0) == []


@pytest.mark.parametrize("validation", [1, 55, 200, 210])
def test_a_number_that_cannot_be_held_out_is_an_error(validation: int) -> None:
    with pytest.raises(PipelineError, match=f"is {validation}: want a multiple of 10.*most 190"):
        held_out(validation)


@pytest.fixture
def raw(generated: Path, checkout: params.Params) -> Path:
    shutil.copytree(generated, checkout.paths.raw)
    checkout.paths.extra.mkdir()
    return checkout.paths.raw


@pytest.fixture
def profile(raw: Path, checkout: params.Params) -> dict[str, Any]:
    ingest.ingest(GENERATED, checkout.data, checkout.paths)
    return dict(json.loads(checkout.paths.profile.read_text()))


def test_every_image_reaches_its_split_with_its_label(
    profile: dict[str, Any], raw: Path, checkout: params.Params
) -> None:
    stored = [cifar_pickle_reader.load(raw / f"data_batch_{n}") for n in range(1, 6)]
    rows = np.concatenate([batch[b"data"] for batch in stored])
    labels = np.concatenate([batch[b"labels"] for batch in stored]).astype(np.uint8)
    parts = ingest.split(labels, checkout.data.validation, checkout.data.seed, 10)
    names: tuple[arrays.SplitName, ...] = ("train", "validation")
    for name, indices in zip(names, parts, strict=True):
        split = arrays.load(checkout.paths, name)
        assert (split.labels_n == labels[indices]).all()
        planes = split.images_nhwc.transpose(0, 3, 1, 2).reshape(len(indices), -1)
        assert (planes == rows[indices]).all()


def test_the_test_split_keeps_its_order(
    profile: dict[str, Any], raw: Path, checkout: params.Params
) -> None:
    split, stored = (
        arrays.load(checkout.paths, "test"),
        cifar_pickle_reader.load(raw / "test_batch"),
    )
    assert split.labels_n.tolist() == stored[b"labels"]
    assert (split.images_nhwc[:, 0, 0, 2] == stored[b"data"][:, 2048]).all()


def test_the_profile_describes_what_enters_training(
    profile: dict[str, Any], checkout: params.Params
) -> None:
    images = arrays.load(checkout.paths, "train").images_nhwc
    assert profile["dataset"] == "generated"
    assert profile["mean"] == pytest.approx(images.mean((0, 1, 2)), rel=1e-12)
    assert profile["deviation"] == pytest.approx(images.std((0, 1, 2)), rel=1e-9)
    luma = images @ np.array([0.299, 0.587, 0.114])
    assert profile["brightness"]["mean"] == pytest.approx(luma.mean(), rel=1e-9)
    assert profile["contrast"]["mean"] == pytest.approx(luma.std((1, 2)).mean(), rel=1e-9)
    assert sum(profile["brightness"]["counts"]) == sum(profile["contrast"]["counts"]) == 9000
    assert profile["classes"][:2] == ["disc", "ring"]
    assert profile["counts"]["train"] == dict.fromkeys(profile["classes"], 900)
    assert profile["counts"]["validation"] == dict.fromkeys(profile["classes"], 100)
    assert profile["counts"]["test"] == dict.fromkeys(profile["classes"], 200)
    assert set(profile["duplicates"].values()) == {0}


def test_copies_across_splits_are_counted() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    labels = np.zeros(5, np.uint8)
    splits: dict[arrays.SplitName, arrays.Split] = {
        "train": arrays.Split(images[:3], labels[:3]),
        "validation": arrays.Split(images[3:], labels[3:]),
        "test": arrays.Split(images[[0, 1, 4]], labels[:3]),
    }
    duplicates = ingest.describe(GENERATED, splits, {})["duplicates"]
    assert duplicates == {"train-validation": 0, "train-test": 2, "validation-test": 1}


def test_added_images_come_after_the_others_of_training_and_into_no_other_split(
    profile: dict[str, Any], checkout: params.Params, add: Callable[..., Path]
) -> None:
    before = {name: arrays.load(checkout.paths, name) for name in arrays.SPLITS}
    images, labels = add("day.npz", images=30), add("night", images=20)
    ingest.ingest(GENERATED, checkout.data, checkout.paths)
    after = {name: arrays.load(checkout.paths, name) for name in arrays.SPLITS}
    for name in ("validation", "test"):
        assert (after[name].images_nhwc == before[name].images_nhwc).all()
    train, there = after["train"], len(before["train"].labels_n)
    assert (train.images_nhwc[:there] == before["train"].images_nhwc).all()
    with np.load(images) as day:
        assert (train.images_nhwc[there : there + 30] == day["images"]).all()
        assert (train.labels_n[there : there + 30] == day["labels"]).all()
    assert len(train.labels_n) == there + 50
    assert np.bincount(train.labels_n[there + 30 :]).tolist() == [2] * 10
    described = json.loads(checkout.paths.profile.read_text())
    assert described["extra"] == {
        "day.npz": {"md5": dvc_cache.digest(images), "images": 30},
        "night": {"md5": dvc_cache.digest(labels), "images": 20},
    }
    assert described["counts"]["train"] == dict.fromkeys(described["classes"], 905)
    assert described["mean"] == pytest.approx(train.images_nhwc.mean((0, 1, 2)), rel=1e-12)


def test_an_added_image_that_is_held_out_is_refused(
    add: Callable[..., Path], checkout: params.Params, fails: Callable[..., None]
) -> None:
    for split in ("test", "validation"):
        held_out = arrays.load(checkout.paths, split)
        path = add("leak", copies=held_out.images_nhwc[[5]])
        fails(f"leak: 1 of its images are images of the {split} split, the first is disc/copy-0")
        shutil.rmtree(path)
        path.with_name("leak.dvc").unlink()


def test_ingesting_twice_gives_the_same_bytes(
    profile: dict[str, Any], checkout: params.Params
) -> None:
    def content() -> dict[str, str]:
        paths = [*checkout.paths.arrays.iterdir(), checkout.paths.profile]
        return {path.name: File.of(path).sha256 for path in paths}

    before = content()
    ingest.ingest(GENERATED, checkout.data, checkout.paths)
    assert content() == before
    assert len(before) == 7


def test_no_validation_images_leave_empty_arrays(raw: Path, checkout: params.Params) -> None:
    data = checkout.data.model_copy(update={"validation": 0})
    ingest.ingest(GENERATED, data, checkout.paths)
    assert arrays.load(checkout.paths, "validation").images_nhwc.shape == (0, 32, 32, 3)
    assert len(arrays.load(checkout.paths, "train").labels_n) == 10_000


@pytest.fixture
def fails(
    profile: dict[str, Any], checkout: params.Params, left_behind: Callable[[], list[str]]
) -> Callable[..., None]:
    """Claims that ingest ends with one clear error and leaves what is there as it is."""

    def fails(match: str, dataset: Dataset | None = None) -> None:
        before = left_behind(), checkout.paths.profile.stat().st_ino
        with pytest.raises(PipelineError, match=match):
            ingest.ingest(dataset or GENERATED, checkout.data, checkout.paths)
        assert (left_behind(), checkout.paths.profile.stat().st_ino) == before

    return fails


def test_without_raw_files_the_error_says_what_makes_them(
    raw: Path, fails: Callable[..., None]
) -> None:
    shutil.rmtree(raw)
    fails("batches.meta is missing; run 'resnet fetch' or 'dvc repro'")


def test_a_raw_file_is_verified_before_it_is_read(raw: Path, fails: Callable[..., None]) -> None:
    content = bytearray((raw / "test_batch").read_bytes())
    content[100_000] ^= 1
    (raw / "test_batch").write_bytes(content)
    fails("test_batch: sha256 is .*run 'resnet fetch'")


def test_another_data_sets_files_are_refused(raw: Path, checkout: params.Params) -> None:
    with pytest.raises(PipelineError, match=r"batches.meta has 135 bytes, the published one 158"):
        ingest.ingest(datasets.load("cifar10"), checkout.data, checkout.paths)


def published_with(path: Path, **changed: Any) -> Dataset:
    """Change a raw file and call it the published one: its form alone speaks against it."""
    values: dict[bytes, Any] = cifar_pickle_reader.load(path)
    values |= {key.encode(): value for key, value in changed.items()}
    values = {key: value for key, value in values.items() if value is not None}
    path.write_bytes(cifar_pickle_writer.dumps(values))
    return replace(GENERATED, files={**GENERATED.files, path.name: File.of(path)})


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"labels": None}, r"test_batch has no \[b'labels'\]"),
        ({"data": None}, r"test_batch has no \[b'data'\]"),
        ({"data": np.zeros((2000, 3071), np.uint8)}, r"data is \(2000, 3071\), want"),
        ({"data": b"text"}, "data is bytes, want"),
        ({"labels": [0] * 1999}, "labels are not a list of 2000"),
        ({"labels": [0] * 1999 + [10]}, "label 10, want 0 to 9"),
        ({"labels": [-1] + [0] * 1999}, "label -1, want 0 to 9"),
        ({"labels": [b"1"] * 2000}, "label b'1', want 0 to 9"),
        ({"labels": [0] * 2000}, r"hold \[2000, 0, .* want the same number of each"),
    ],
)
def test_a_batch_of_another_form_is_refused(
    changed: dict[str, Any],
    match: str,
    fails: Callable[..., None],
    raw: Path,
) -> None:
    fails(match, published_with(raw / "test_batch", **changed))


def test_other_class_names_are_refused(fails: Callable[..., None], raw: Path) -> None:
    dataset = published_with(raw / "batches.meta", label_names=[b"disc", b"ball"])
    fails("batches.meta names the classes disc, ball, the manifest", dataset)


def test_real_cifar_10_has_the_known_profile(
    cifar10: Path, checkout: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFAR10_ARCHIVE", str(cifar10))
    dataset, data = datasets.load("cifar10"), checkout.data.model_copy(update={"validation": 0})
    fetch(dataset, checkout.paths, checkout.runtime, Path("downloads"))
    checkout.paths.extra.mkdir()
    ingest.ingest(dataset, data, checkout.paths)
    profile = json.loads(checkout.paths.profile.read_text())
    # as every recipe for CIFAR-10 gives them: 0.4914, 0.4822, 0.4465 and 0.2470, 0.2435, 0.2616
    assert [round(x / 255, 4) for x in profile["mean"]] == [0.4914, 0.4822, 0.4465]
    assert [round(x / 255, 4) for x in profile["deviation"]] == [0.2470, 0.2435, 0.2616]
    assert profile["counts"]["test"]["truck"] == 1000
    assert set(profile["duplicates"].values()) == {0}
