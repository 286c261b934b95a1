"""The results of an evaluation are read from disk as they were written."""

import hashlib
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet.errors import PipelineError
from resnet.evaluation.metrics import Metrics
from resnet.evaluation.records import Evaluation, Predictions
from resnet.evaluation.scoring_precision import ScoringPrecision
from tests.support import loaded


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.json"


@pytest.fixture
def evaluation() -> Evaluation:
    values: dict[str, Any] = {
        field.name: index + 0.5 for index, field in enumerate(fields(Metrics))
    }
    return Evaluation(Metrics(**values), model_hash="a" * 64, test_hash="b" * 64)


COMPARED = ScoringPrecision("bfloat16", "they agree", "tensorflow", "a CPU", 9, 1.0, 0.5, 0.5)


@pytest.mark.parametrize("scoring", [None, COMPARED, replace(COMPARED, agreement=None)])
def test_an_evaluation_is_read_as_it_was_written(
    path: Path, evaluation: Evaluation, scoring: ScoringPrecision | None
) -> None:
    scored = replace(evaluation, scoring=scoring)
    scored.write(path)
    again = Evaluation.read(path)
    assert (again, again.hash) == (scored, scored.hash)


def test_the_metrics_file_is_flat_for_dvc(path: Path, evaluation: Evaluation) -> None:
    evaluation.write(path)
    values = json.loads(path.read_text())
    assert values["accuracy"] == evaluation.metrics.accuracy
    assert all(isinstance(value, int | float | str) for value in values.values())


def test_an_evaluation_from_before_a_metric_was_declared_keeps_its_hash(
    path: Path, evaluation: Evaluation
) -> None:
    evaluation.write(path)
    values = json.loads(path.read_text())
    del values["human_entropy"]
    before = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    old = Evaluation.from_dict(values)
    assert (old.metrics.human_entropy, old.hash) == (None, before)
    old.write(path)
    assert json.loads(path.read_text()) == values


def test_the_hash_changes_with_any_number(evaluation: Evaluation) -> None:
    other = replace(evaluation, metrics=replace(evaluation.metrics, loss=0.0))
    assert len({other.hash, evaluation.hash, replace(evaluation, scoring=COMPARED).hash}) == 3
    assert replace(other, metrics=evaluation.metrics).hash == evaluation.hash


@pytest.mark.parametrize("text", ["", "{", "[]", '{"accuracy": 1}', '{"model_hash": ""}'])
def test_a_damaged_metrics_file_says_what_to_do(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(PipelineError, match=r"metrics.*run 'resnet evaluate' again"):
        Evaluation.read(path)


def test_missing_files_say_what_to_do(path: Path) -> None:
    for read in (Evaluation.read, Predictions.read):
        with pytest.raises(PipelineError, match="run 'resnet evaluate' first"):
            read(path)


def test_predictions_are_read_as_they_were_written(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 12, 7, dtype=np.uint8)
    predictions = Predictions(labels, random.random((7, 12), dtype=np.float32))
    predictions.write(tmp_path / "predictions.parquet")
    again = Predictions.read(tmp_path / "predictions.parquet")
    assert np.array_equal(again.labels_n, predictions.labels_n)
    assert np.array_equal(again.probabilities_nk, predictions.probabilities_nk)
    assert again.probabilities_nk.dtype == np.float32
    assert again.predicted_n.dtype == again.labels_n.dtype == np.uint8


def test_a_file_that_is_no_parquet_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "predictions.parquet").write_text("no parquet")
    with pytest.raises(PipelineError, match="run 'resnet evaluate' again"):
        Predictions.read(tmp_path / "predictions.parquet")


@pytest.mark.parametrize(
    "columns",
    [
        {"p0": np.array([0.5], np.float32)},
        {"label": np.array([1], np.uint8)},
        {"label": ["cat"], "p0": np.array([0.5], np.float32)},
        {"label": np.array([1], np.uint8), "p0": ["half"]},
    ],
    ids=["no label", "no probabilities", "a label in words", "a probability in words"],
)
def test_a_table_of_other_columns_says_what_to_do(
    tmp_path: Path, columns: dict[str, object]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    parquet.write_table(pa.table(columns), tmp_path / "predictions.parquet")
    with pytest.raises(PipelineError, match="run 'resnet evaluate' again"):
        Predictions.read(tmp_path / "predictions.parquet")


def test_a_file_with_a_damaged_byte_is_read_or_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    Predictions(np.arange(2, dtype=np.uint8), np.eye(2, dtype=np.float32)).write(path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 19):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        try:
            Predictions.read(path)
        except PipelineError as error:
            assert "run 'resnet evaluate' again" in str(error)  # noqa: PT017


def test_reading_values_loads_neither_keras_nor_pandas() -> None:
    assert loaded("import resnet.evaluation.records") & {"keras", "pandas"} == set()
