"""Images to score are read in chunks, by what a file holds and not by what it declares."""

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from resnet.errors import PipelineError
from resnet.serving import sources
from resnet.serving.sources import Samples
from tests.support import profiles

PROFILE = profiles.of_images(["cat", "dog"])

RNG = np.random.default_rng(0)


def only(path: Path, size: int = 256) -> Samples:
    (chunk,) = sources.find(path, PROFILE).chunks(size)
    return chunk


def png(image_hwc: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image_hwc).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("kind", [pa.list_(pa.uint8()), pa.list_(pa.int64(), 3072)])
def test_raw_pixels_in_parquet_are_read_row_by_row(tmp_path: Path, kind: pa.DataType) -> None:
    images, source = RNG.integers(0, 256, (3, 32, 32, 3), np.uint8), tmp_path / "in.parquet"
    column = pa.array([list(map(int, one.ravel())) for one in images], kind)
    parquet.write_table(pa.table({"image": column}), source)
    read = only(source)
    assert np.array_equal(read.images_nhwc, images)
    assert read.names.to_pylist() == ["row 0", "row 1", "row 2"]


def test_an_image_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    upright = Image.fromarray(RNG.integers(0, 256, (32, 32, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 3  # orientation: upside down
    upright.rotate(180).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(only(tmp_path / "turned.png").images_nhwc[0], np.asarray(upright))


@pytest.mark.parametrize("group", [7, 1000])
def test_each_chunk_but_the_last_has_the_wanted_size(tmp_path: Path, group: int) -> None:
    images, source = RNG.integers(0, 256, (150, 32, 32, 3), np.uint8), tmp_path / "in.parquet"
    columns = {"image": [png(one) for one in images], "label": range(150)}
    parquet.write_table(pa.table(columns), source, row_group_size=group)
    chunks = list(sources.find(source, PROFILE).chunks(64))
    assert [len(chunk.names) for chunk in chunks] == [64, 64, 22]
    assert np.array_equal(np.concatenate([chunk.images_nhwc for chunk in chunks]), images)
    assert pa.chunked_array([chunk.actual for chunk in chunks]).to_pylist() == list(range(150))


def test_a_folder_is_read_with_the_folders_that_it_links_to_and_says_what_it_leaves_out(
    tmp_path: Path,
) -> None:
    (tmp_path / "elsewhere").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "elsewhere" / "1.jfif", "JPEG")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cat").symlink_to("../elsewhere")
    for name in ("IMG_1.HEIC", "IMG_2.HEIC"):
        (tmp_path / "in" / name).touch()
    source = sources.find(tmp_path / "in", PROFILE)
    assert source.summary.endswith("cat/1.jfif; not read: 2 other files, the first is IMG_1.HEIC")
    assert only(tmp_path / "in").names.to_pylist() == ["cat/1.jfif"]
    (tmp_path / "in" / "cat").unlink()
    with pytest.raises(PipelineError, match=r"holds no images; not read: 2 other files.*want"):
        sources.find(tmp_path / "in", PROFILE)


def test_a_name_that_is_no_text_can_be_written_to_parquet(tmp_path: Path) -> None:
    named = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    Image.new("RGB", (32, 32)).save(named)
    assert only(tmp_path).names.to_pylist() == ["caf\\xe9.png"]


def test_of_a_parquet_file_only_a_part_is_in_memory(tmp_path: Path) -> None:
    column = pa.FixedSizeListArray.from_arrays(RNG.integers(0, 256, 4000 * 3072, np.uint8), 3072)
    parquet.write_table(pa.table({"image": column}), tmp_path / "in.parquet")
    del column
    before = pa.total_allocated_bytes()
    for _ in sources.find(tmp_path / "in.parquet", PROFILE).chunks(64):
        assert pa.total_allocated_bytes() - before < 6_000_000  # of 12 MB


def test_a_parquet_file_that_declares_too_many_integers_is_refused_before_they_are_read(
    tmp_path: Path,
) -> None:
    number = 3072 * 2000
    column = pa.ListArray.from_arrays([0, number], pa.array(np.zeros(number, np.uint8)))
    parquet.write_table(pa.table({"image": column}), tmp_path / "in.parquet", compression="zstd")
    assert (tmp_path / "in.parquet").stat().st_size < 1000
    with pytest.raises(PipelineError, match=r"6,144,000 integers in 1 rows, want 3072 in each"):
        sources.find(tmp_path / "in.parquet", PROFILE)


def test_images_of_more_bytes_than_an_image_can_have_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet.write_table(pa.table({"image": [bytes(2000)]}), tmp_path / "in.parquet")
    monkeypatch.setattr(sources, "LARGEST", 1000)
    with pytest.raises(PipelineError, match=r"has \d,\d+ bytes per row, at most 1,000 are read"):
        sources.find(tmp_path / "in.parquet", PROFILE)


def test_an_image_that_is_stored_once_for_many_rows_is_not_copied_for_all_of_them(
    tmp_path: Path,
) -> None:
    image = png(np.zeros((32, 32, 3), np.uint8)) + bytes(200_000)
    rows = pa.DictionaryArray.from_arrays(pa.array(np.zeros(256, np.int32)), pa.array([image]))
    path = tmp_path / "in.parquet"
    parquet.write_table(pa.table({"image": rows}), path, store_schema=False)
    before, peak = pa.total_allocated_bytes(), 0
    batches = sources._table(path, PROFILE)._batches(16)
    for _ in batches:
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert peak < 10_000_000  # of 51 MB
    assert only(path).images_nhwc.shape == (256, 32, 32, 3)
