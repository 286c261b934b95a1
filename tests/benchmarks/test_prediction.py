"""The images of the rows about `predict`'s memory are read as a user's are."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import prediction
from resnet.serving import sources
from tests.support import profiles


@pytest.mark.parametrize("write", [prediction.write_parquet, prediction.write_folder])
def test_there_are_as_many_images_as_were_asked_for(write, tmp_path: Path) -> None:
    encoded = prediction.pictures(3)
    source = sources.find(write(tmp_path, encoded, 8), profiles.of_images(["cat", "dog"]))
    (chunk,) = source.chunks(8)
    assert chunk.images_nhwc.shape == (8, 32, 32, 3)
    np.testing.assert_array_equal(chunk.images_nhwc[0], chunk.images_nhwc[3])
    assert len(np.unique(chunk.images_nhwc, axis=0)) == 3


def test_few_different_images_do_not_make_a_small_parquet_file(tmp_path: Path) -> None:
    encoded = prediction.pictures(3)
    file = prediction.write_parquet(tmp_path, encoded, 300)
    assert file.stat().st_size > 100 * sum(map(len, encoded))
