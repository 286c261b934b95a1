"""A probe is read as it was written, or named as damaged. Without TensorFlow."""

from pathlib import Path

import numpy as np
import pytest

from resnet.errors import PipelineError
from resnet.model.probe import Probe

PROBE = Probe(np.zeros((2, 32, 32, 3), np.uint8), np.full((2, 4), 0.25, np.float32))


def test_a_probe_is_read_as_it_was_written(tmp_path: Path) -> None:
    PROBE.write(tmp_path / "probe.npz")
    probe = Probe.read(tmp_path / "probe.npz")
    np.testing.assert_array_equal(probe.images_nhwc, PROBE.images_nhwc)
    np.testing.assert_array_equal(probe.probabilities_nk, PROBE.probabilities_nk)


@pytest.mark.parametrize("size", [0, 100, 1000])
def test_a_damaged_probe_is_named(tmp_path: Path, size: int) -> None:
    path = tmp_path / "probe.npz"
    PROBE.write(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(PipelineError, match="probe.npz is not a probe .*: it is damaged"):
        Probe.read(path)
