"""Training curves: the history, one row per epoch → points of an MLflow run."""

import csv
import math
import time
from collections.abc import Mapping
from pathlib import Path

from resnet.registry.store import Client

from mlflow.entities import Metric

NOT_CURVES = ("epoch", "step")


def points(row: Mapping[str, float]) -> list[Metric]:
    """The points of one epoch, at its optimizer step; none where a value is NaN, not measured."""
    now = time.time_ns() // 1_000_000
    return [
        Metric(key=name, value=float(value), timestamp=now, step=int(row["step"]))
        for name, value in row.items()
        if name not in NOT_CURVES and not math.isnan(value)
    ]


def read(history: Path) -> list[dict[str, float]]:
    """The rows of history.csv; an empty cell is NaN."""
    with history.open(newline="") as stream:
        return [
            {name: float(cell) if cell else math.nan for name, cell in row.items()}
            for row in csv.DictReader(stream)
        ]


def complete(client: Client, run_id: str, rows: list[dict[str, float]]) -> None:
    """Log the points of `rows` that the run does not have yet."""
    all_points = [point for row in rows for point in points(row)]
    logged = {
        (name, point.step)
        for name in {point.key for point in all_points}
        for point in client.get_metric_history(run_id, name)
    }
    missing = [point for point in all_points if (point.key, point.step) not in logged]
    for start in range(0, len(missing), 1000):  # MLflow takes no more at once
        client.log_batch(run_id, metrics=missing[start : start + 1000])
