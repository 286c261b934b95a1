"""Rows about `resnet predict`: its peak memory with many images against that with 2,000.

The images are made here: a thousand different PNGs of noise, repeated. The version that scores
them is that of a short run in a new clone.
"""

import io
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from PIL import Image

from benchmarks import builds, commands
from benchmarks.table import Measurement, Setting

FEW = 2_000
DIFFERENT = 1_000
STEPS = 2


def memory(setting: Setting, many: int) -> Iterator[Measurement]:
    """From a parquet file, and from a folder."""
    commands.require_no_server()
    encoded = pictures(DIFFERENT)
    with builds.clone() as root, tempfile.TemporaryDirectory() as folder:
        commands.set_steps(root, STEPS)
        commands.resnet(root, "run")
        for write in (write_parquet, write_folder):
            few, much = (
                _peak_mib(root, write(Path(folder), encoded, count)) for count in (FEW, many)
            )
            yield Measurement.ratio("MiB", much, few)


def pictures(count: int) -> list[bytes]:
    """PNGs of 32 × 32 random pixels."""
    random = np.random.default_rng(0)
    return [_png(random.integers(0, 256, (32, 32, 3), np.uint8)) for _ in range(count)]


def write_parquet(folder: Path, encoded: Sequence[bytes], count: int) -> Path:
    """A parquet file with `count` images in one row group, as pandas writes it."""
    images = pa.array([encoded[k % len(encoded)] for k in range(count)], pa.binary())
    path = folder / f"{count}.parquet"
    # As different images would be stored: no smaller.
    plainly = {"use_dictionary": False, "compression": "none"}
    parquet.write_table(pa.table({"image": images}), path, count, **plainly)
    return path


def write_folder(folder: Path, encoded: Sequence[bytes], count: int) -> Path:
    """A folder with `count` image files; equal ones are one file with several names."""
    path = folder / str(count)
    path.mkdir()
    for k in range(count):
        file = path / f"{k:06}.png"
        if k < len(encoded):
            file.write_bytes(encoded[k])
        else:
            file.hardlink_to(path / f"{k % len(encoded):06}.png")
    return path


def _png(image_hwc: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image_hwc).save(stream, "png")
    return stream.getvalue()


def _peak_mib(root: Path, source: Path) -> float:
    """The peak memory of `resnet predict` with the images of `source`."""
    out = source.parent / "predictions.parquet"
    cost = commands.resnet(root, "predict", str(source), "--out", str(out), "--no-record")
    return cost.peak / 2**20
