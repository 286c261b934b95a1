"""What the train stage writes: a trained model → the model file, its history and its record."""

import csv
import importlib.metadata
import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet.model import backend
from resnet.params import Paths
from resnet.system import files
from resnet.training.loop import COLUMNS, HistoryRow, TrainingResult

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class TrainedModel:
    """The best epoch's model in its published form, and how it was trained."""

    model: "keras.Model"
    temperature: float | None  # that fits the validation images; None without them
    result: TrainingResult
    setup_seconds: float  # until the first step; on JAX the steps are compiled by then


def write(trained: TrainedModel, device: backend.Device, precision: str, paths: Paths) -> str:
    """Write paths.model, paths.history and paths.training. Returns the model's hash."""
    from resnet.model import model_file  # it imports Keras, after the backend is selected

    model_hash = model_file.model_hash(trained.model)
    model_file.save(trained.model, paths.model)
    _write_history(trained.result.rows, paths.history)
    record = _record(trained, device, precision)
    files.write_json(paths.training, {"model_hash": model_hash, **record})
    return model_hash


def _record(trained: TrainedModel, device: backend.Device, precision: str) -> dict[str, Any]:
    result = trained.result
    return {
        "parameters": sum(math.prod(v.shape) for v in trained.model.trainable_variables),
        "backend": device.backend,
        "device": device.kind,
        "device_name": device.name,
        "devices": result.devices,
        "precision": precision,
        "epochs": len(result.rows),
        "steps": int(result.rows[-1]["step"]),
        "best_epoch": result.best_epoch,
        "temperature": trained.temperature,
        "setup_seconds": round(trained.setup_seconds, 3),
        "seconds": round(result.seconds, 3),
        "images_per_second": round(result.images_per_second, 1),
        "versions": _versions(device.backend),
        "cpu": backend.cpu_name(),
    }


def _write_history(rows: Sequence[HistoryRow], path: Path) -> None:
    """One row per epoch; numbers have the digits of float32, missing ones are empty."""
    with files.replacing(path) as draft, draft.open("w", newline="") as stream:
        columns = dict.fromkeys([*COLUMNS, *rows[0]])  # the common ones first, then diagnostics
        writer = csv.DictWriter(stream, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.7g}" for name, value in row.items()} for row in rows)


def _versions(backend_name: str) -> dict[str, str]:
    packages = ("keras", "numpy", backend_name)
    return {"python": platform.python_version()} | {
        package: importlib.metadata.version(package) for package in packages
    }
