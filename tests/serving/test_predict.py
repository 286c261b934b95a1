"""Image files and parquet are scored with a model file; bad input is named and nothing written."""

import hashlib
import io
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from resnet.errors import PipelineError
from resnet.model import model_file
from resnet.monitoring.features import Features
from resnet.serving.predict import Scorer, rows, score
from resnet.serving.sources import Samples
from tests.support import profiles

CLASSES = ("dark", "red", "green", "blue")
PROFILE, THREE = profiles.of_images(CLASSES), profiles.of_images(CLASSES[:3])
COLOURS = {"dark": (0, 0, 0), "red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def image(colour: str, size: tuple[int, int] = (32, 32)) -> Image.Image:
    return Image.new("RGB", size, COLOURS[colour])


def png(colour: str) -> bytes:
    stream = io.BytesIO()
    image(colour).save(stream, "PNG")
    return stream.getvalue()


def test_a_folder_of_images_is_scored_in_the_order_of_their_paths(
    model: Path, tmp_path: Path
) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    image("red").save(tmp_path / "in" / "b.png")
    image("blue", (50, 20)).save(tmp_path / "in" / "deep" / "a.JPG")
    image("dark").convert("L").save(tmp_path / "in" / "a.bmp")
    (tmp_path / "in" / "notes.txt").write_text("no image")
    (tmp_path / "in" / ".hidden.png").write_text("no image")
    (tmp_path / "in" / "deep" / ".checkpoints").mkdir()
    (tmp_path / "in" / "deep" / ".checkpoints" / "a.png").write_text("no image")
    out, lines = tmp_path / "out.parquet", list[str]()
    origin: dict[str, str | int | datetime] = {"model": "colours", "version": 7}

    scored = score(model, tmp_path / "in", out, PROFILE, origin, lines.append)

    assert lines == [f"3 images in {tmp_path}/in; not read: 1 other file, the first is notes.txt"]
    table = parquet.read_table(out).to_pydict()
    assert table["path"] == ["a.bmp", "b.png", "deep/a.JPG"]
    assert table["label"] == ["dark", "red", "blue"]
    assert table["predicted"] == [0, 1, 3]
    assert table["version"] == [7, 7, 7]
    assert table["model"] == ["colours"] * 3
    assert table["confidence"] == [
        max(table[f"p_{name}"][row] for name in CLASSES) for row in range(3)
    ]
    assert "actual" not in table
    assert scored.features.images == 3
    assert scored.features.classes == {"dark": 1, "red": 1, "green": 0, "blue": 1}


def test_a_single_image_file_is_scored(model: Path, tmp_path: Path) -> None:
    image("green").save(tmp_path / "one.png")
    scored = score(model, tmp_path / "one.png", tmp_path / "out.parquet", PROFILE, {})
    assert scored.features.classes["green"] == 1


def test_encoded_images_in_parquet_keep_their_path_and_label(model: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    columns = {"image": [png("red"), png("blue")], "path": ["x", "y"], "label": [1, 2]}
    parquet.write_table(pa.table(columns), source)
    score(model, source, tmp_path / "out.parquet", PROFILE, {})
    table = parquet.read_table(tmp_path / "out.parquet").to_pydict()
    assert (table["path"], table["actual"]) == (["x", "y"], [1, 2])
    assert table["label"] == ["red", "blue"]


def test_more_images_than_a_batch_are_all_scored(model: Path) -> None:
    images = np.zeros((300, 32, 32, 3), np.uint8)
    images[299, :, :, 0] = 255
    probabilities = Scorer(model_file.load(model))(images)
    assert probabilities.shape == (300, 4)
    assert probabilities.argmax(axis=1)[[0, 298, 299]].tolist() == [0, 0, 1]


def test_a_scorer_gives_the_same_bits_at_each_call(model: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), np.uint8)
    scorer = Scorer(model_file.load(model))
    calls = [scorer(images) for _ in range(2)]
    again = Scorer(model_file.load(model))(images)
    assert {probabilities.tobytes() for probabilities in calls} == {again.tobytes()}
    assert scorer(images[:1]).shape == (1, 4)


def test_rows_are_made_of_images_and_probabilities_alone() -> None:
    images = Samples(pa.array(["a", "b"]), np.zeros((2, 32, 32, 3), np.uint8), pa.array([3, 1]))
    probabilities = np.array([[0.25, 0.75], [1, 0]], np.float32)
    assert rows(images, probabilities, ["dark", "red"], {"version": 7}).to_pylist() == [
        {
            "path": path,
            "label": label,
            "predicted": predicted,
            "confidence": confidence,
            "p_dark": p0,
            "p_red": 1 - p0,
            "version": 7,
            "actual": actual,
        }
        for path, label, predicted, confidence, p0, actual in (
            ("a", "red", 1, 0.75, 0.25, 3),
            ("b", "dark", 0, 1.0, 1.0, 1),
        )
    ]


def _no_source(folder: Path) -> Path:
    return folder / "nowhere"


def _empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def _empty_parquet(folder: Path) -> Path:
    parquet.write_table(pa.table({"image": pa.array([], pa.binary())}), folder / "in.parquet")
    return folder / "in.parquet"


def _broken_parquet(folder: Path) -> Path:
    (folder / "in.parquet").write_text("no parquet")
    return folder / "in.parquet"


def _parquet_without_image(folder: Path) -> Path:
    parquet.write_table(pa.table({"picture": [png("red")]}), folder / "in.parquet")
    return folder / "in.parquet"


def _parquet_of_fractions(folder: Path) -> Path:
    parquet.write_table(pa.table({"image": [[0.5] * 3072]}), folder / "in.parquet")
    return folder / "in.parquet"


def _parquet_with_300(folder: Path) -> Path:
    parquet.write_table(pa.table({"image": [[300] * 3072]}), folder / "in.parquet")
    return folder / "in.parquet"


def _parquet_with_a_short_row(folder: Path) -> Path:
    parquet.write_table(pa.table({"image": [[1] * 3072, [1] * 3071]}), folder / "in.parquet")
    return folder / "in.parquet"


def _parquet_with_a_hole(folder: Path) -> Path:
    parquet.write_table(pa.table({"image": [png("red"), None]}), folder / "in.parquet")
    return folder / "in.parquet"


def _cut_off_image(folder: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(folder / "whole.png")
    cut = folder / "cut.png"
    cut.write_bytes((folder / "whole.png").read_bytes()[:3000])
    return folder


def _deep_colours(folder: Path) -> Path:
    Image.fromarray(np.full((32, 32), 4000, np.uint16)).save(folder / "deep.png")
    return folder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_no_source, "nowhere does not exist"),
        (_empty_folder, "holds no images"),
        (_empty_parquet, "holds no images"),
        (_broken_parquet, "cannot be read as parquet"),
        (_parquet_without_image, "columns picture: want one named 'image'"),
        (_parquet_of_fractions, "is list<.*double>, want binary"),
        (_parquet_with_300, "row 0 is not an image"),
        (_parquet_with_a_short_row, "row 1 is not an image"),
        (_parquet_with_a_hole, "row 1 is not an image"),
        (_cut_off_image, "cut.png is not an image"),
        (_deep_colours, "deep.png is not an image.*more than 8 bits"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(
    make: object, message: str, model: Path, tmp_path: Path
) -> None:
    assert callable(make)
    folder = tmp_path / "source"
    folder.mkdir()
    out = tmp_path / "out" / "predictions.parquet"
    out.parent.mkdir()
    with pytest.raises(PipelineError, match=message):
        score(model, make(folder), out, PROFILE, {})
    assert list(out.parent.iterdir()) == []


def test_names_for_another_number_of_classes_are_refused(model: Path, tmp_path: Path) -> None:
    image("red").save(tmp_path / "one.png")
    with pytest.raises(PipelineError, match="has 4 classes, but there are 3 class names"):
        score(model, tmp_path / "one.png", tmp_path / "out.parquet", THREE, {})
    assert not (tmp_path / "out.parquet").exists()


def test_a_folder_is_never_overwritten_by_predictions(model: Path, tmp_path: Path) -> None:
    image("red").save(tmp_path / "one.png")
    (tmp_path / "out").mkdir()
    with pytest.raises(PipelineError, match="out is a folder"):
        score(model, tmp_path / "one.png", tmp_path / "out", PROFILE, {})
    assert (tmp_path / "out").is_dir()


def test_parquet_is_not_written_under_another_ending(model: Path, tmp_path: Path) -> None:
    image("red").save(tmp_path / "one.png")
    with pytest.raises(PipelineError, match=r"out.csv is not a .parquet file: name one"):
        score(model, tmp_path / "one.png", tmp_path / "out.csv", PROFILE, {})
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("source", ["in/a.png", "in", "in.parquet"])
def test_what_is_scored_is_never_overwritten_by_predictions(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    image("red").save(tmp_path / "in" / "a.png")
    parquet.write_table(pa.table({"image": [png("red")]}), tmp_path / "in.parquet")
    monkeypatch.chdir(tmp_path / "in")
    out = Path("../in.parquet" if source == "in.parquet" else "a.png")  # by another name
    before = out.read_bytes()
    with pytest.raises(PipelineError, match=r"among the files to score, .*\(--out\)"):
        score(tmp_path / "no model", tmp_path / source, out, PROFILE, {})
    assert out.read_bytes() == before


def test_predictions_may_lie_beside_the_images(model: Path, tmp_path: Path) -> None:
    image("red").save(tmp_path / "a.png")
    for _ in range(2):
        score(model, tmp_path, tmp_path / "out.parquet", PROFILE, {})
    assert parquet.read_table(tmp_path / "out.parquet")["path"].to_pylist() == ["a.png"]


@pytest.mark.parametrize("name", ["file", "missing"])
def test_a_folder_that_is_not_there_is_named_and_not_made(
    model: Path, tmp_path: Path, name: str
) -> None:
    image("red").save(tmp_path / "one.png")
    (tmp_path / "file").write_text("no folder")
    out = tmp_path / name / "out.parquet"
    with pytest.raises(PipelineError, match=rf"{name} is not a folder: make it, or name another"):
        score(model, tmp_path / "one.png", out, PROFILE, {})
    assert not (tmp_path / "missing").exists()


def _many(path: Path, number: int) -> np.ndarray:
    """Write so many images to a parquet file, in row groups that are no multiple of a chunk."""
    images = np.random.default_rng(0).integers(0, 256, (number, 32, 32, 3), np.uint8)
    column = pa.array(list(images.reshape(number, -1)), pa.list_(pa.uint8()))
    parquet.write_table(pa.table({"image": column}), path, row_group_size=100)
    return images


def test_images_that_are_scored_part_by_part_give_the_same_bits_as_all_at_once(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, out = _many(tmp_path / "in.parquet", 700), tmp_path / "out.parquet"
    monkeypatch.setattr("resnet.serving.predict.GROUP", 2)  # parts per row group that is written
    scored = score(model, tmp_path / "in.parquet", out, PROFILE, {})
    expected = Scorer(model_file.load(model))(images)
    table = parquet.read_table(out)
    assert np.array_equal(np.stack([table[f"p_{name}"] for name in CLASSES], axis=1), expected)
    assert table["path"].to_pylist() == [f"row {row}" for row in range(700)]
    assert parquet.read_metadata(out).num_row_groups == 2
    assert scored.features == Features.of("image", images, expected, CLASSES)
    assert scored.images_hash == hashlib.sha256(images.tobytes()).hexdigest()


def test_a_bad_image_after_good_ones_leaves_the_former_predictions(
    model: Path, tmp_path: Path
) -> None:
    for number in range(300):
        image("red").save(tmp_path / f"{number:03}.bmp")
    (tmp_path / "299.bmp").write_bytes(b"no image")
    out = tmp_path / "out" / "predictions.parquet"
    out.parent.mkdir()
    out.write_text("former")
    with pytest.raises(PipelineError, match=r"299.bmp is not an image"):
        score(model, tmp_path, out, PROFILE, {})
    assert [path.read_text() for path in out.parent.iterdir()] == ["former"]
