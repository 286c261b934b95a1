from pathlib import Path

import numpy as np

from resnet.data import datasets
from resnet.data.sets import cifar_pickle_reader, shapes


def test_painting_twice_gives_the_same_bytes(generated: Path, tmp_path: Path) -> None:
    shapes.generate(tmp_path, datasets.load("generated"))
    for name in datasets.load("generated").files:
        assert (tmp_path / name).read_bytes() == (generated / name).read_bytes()


def test_a_batch_has_cifar_10s_keys_and_shapes(generated: Path) -> None:
    batch = cifar_pickle_reader.load(generated / "data_batch_1")
    assert batch.keys() == {b"batch_label", b"labels", b"data", b"filenames"}
    assert batch[b"data"].shape == (2000, 3072)
    assert np.bincount(batch[b"labels"]).tolist() == [200] * 10
    assert len(set(batch[b"filenames"])) == 2000


def test_batches_do_not_repeat_each_other(generated: Path) -> None:
    first, second = (
        cifar_pickle_reader.load(generated / f"data_batch_{n}")[b"data"] for n in (1, 2)
    )
    assert not {row.tobytes() for row in first} & {row.tobytes() for row in second}


def test_the_mean_image_of_a_class_does_not_give_it_away(generated: Path) -> None:
    """The nearest class mean, a linear model, guesses hardly better than one in ten."""
    train = cifar_pickle_reader.load(generated / "data_batch_1")
    test = cifar_pickle_reader.load(generated / "test_batch")
    labels = np.array(train[b"labels"])
    means = np.stack([train[b"data"][labels == label].mean(axis=0) for label in range(10)])
    distances = (means**2).sum(axis=1) - 2 * test[b"data"].astype(float) @ means.T
    assert (distances.argmin(axis=1) == test[b"labels"]).mean() < 0.2


def test_a_shape_is_light_on_dark_as_often_as_dark_on_light() -> None:
    discs = shapes.paint(np.zeros(1000, np.int32), np.random.RandomState(0)).astype(int)
    lighter = discs[:, :, 15:17, 15:17].mean((1, 2, 3)) > discs[:, :, :1].mean((1, 2, 3))
    assert 0.4 < lighter.mean() < 0.6
