"""Every metric is declared once, and is stored under the name that it always had."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet import params
from resnet.data.sets.annotations import Annotations
from resnet.evaluation import robustness
from resnet.evaluation.metrics import METRICS, Metrics, headlines, of_the_model
from resnet.evaluation.records import Evaluation, Predictions
from resnet.system import files
from tests.support import REPOSITORY

STORED = (  # the keys of metrics.json and the names in MLflow, in the order of the file
    *("accuracy", "accuracy_low", "accuracy_high", "loss", "top2", "calibration_error"),
    *("parameters", "flops", "size_bytes", "latency_ms", "throughput", "correct", "images"),
    *("temperature", "calibration_error_scaled"),
    *("accuracy_near_duplicates", "accuracy_without_near_duplicates"),
    *("accuracy_without_label_errors", "accuracy_without_both"),
    *("human_cross_entropy", "human_entropy"),
)
REQUIRED = STORED[:13]


def test_every_metric_has_a_label_of_its_own_and_a_format_for_its_numbers() -> None:
    assert list(METRICS) == [field.name for field in fields(Metrics)]
    assert len({spec.label for spec in METRICS.values()}) == len(METRICS)
    for spec in METRICS.values():
        assert spec.text(1) != spec.text(2)
        assert spec.text(None) == "–"


def test_metrics_are_stored_under_the_names_and_in_the_order_of_before(tmp_path: Path) -> None:
    metrics = Metrics(**{name: index for index, name in enumerate(STORED)})
    path = tmp_path / "metrics.json"
    Evaluation(metrics, "m", "t").write(path)
    values = json.loads(path.read_text())
    assert list(values.items()) == [
        *((name, index) for index, name in enumerate(STORED)),
        *(("model_hash", "m"), ("test_hash", "t")),
    ]


def test_a_metric_is_optional_where_an_evaluation_may_be_without_it() -> None:
    metrics = Metrics(**dict.fromkeys(REQUIRED, 1))
    missing = [name for name, value in metrics.by_name().items() if value is None]
    assert [name for name, spec in METRICS.items() if spec.optional] == missing
    with pytest.raises(TypeError, match="accuracy"):
        Metrics()  # type: ignore[call-arg]


def test_a_number_that_json_lacks_is_none() -> None:
    values: dict[str, Any] = dict.fromkeys(REQUIRED, 1.0) | {
        "loss": float("nan"),
        "latency_ms": float("inf"),
    }
    metrics = Metrics(**values).by_name()
    assert (metrics["accuracy"], metrics["loss"], metrics["latency_ms"]) == (1.0, None, None)


def test_on_other_test_data_a_model_keeps_what_it_costs_and_its_temperature_and_nothing_else() -> (
    None
):
    values = of_the_model(dict.fromkeys(STORED, 1))
    kept = [name for name, value in values.items() if value is not None]
    costs = ["parameters", "flops", "size_bytes", "latency_ms", "throughput"]
    assert kept == [*costs, "temperature"]
    assert list(values) == list(STORED)


def test_the_scores_by_annotations_are_declared_metrics() -> None:
    predictions = Predictions(np.arange(4, dtype=np.uint8), np.eye(4, dtype=np.float32))
    annotations = Annotations(
        near_n=np.array([True, False, False, False]),
        wrong_n=np.array([False, True, False, False]),
        people_nk=np.eye(4),
    )
    subsets = robustness.subsets(predictions, annotations)
    scores = robustness.scores(predictions, subsets, annotations)
    assert sorted(scores) == sorted(STORED[15:])
    assert all(METRICS[name].optional for name in scores)


def test_what_dvc_shows_of_an_evaluation_are_numbers_in_a_line_that_a_terminal_has_room_for(
    tmp_path: Path,
) -> None:
    stages = files.read_yaml(REPOSITORY / "dvc.yaml")["stages"]
    shown = [path for stage in stages.values() for path in stage.get("metrics", ())]
    assert shown == ["${paths.scores}"]
    path = tmp_path / params.load(REPOSITORY).paths.scores
    values: dict[str, Any] = dict.fromkeys(STORED, 1234567.89012)
    files.write_json(path, headlines(Metrics(**values).by_name()))
    assert all(isinstance(value, float) for value in files.read_json(path).values())
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = True\n")
    words = [sys.executable, "-m", "dvc", "metrics", "show", str(path)]
    table = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "accuracy" in table
    assert max(map(len, table.splitlines())) <= 120
