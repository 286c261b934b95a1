"""The row about serving: one image by `mlflow.pyfunc` against the compiled call alone."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import subjects
from benchmarks.table import Measurement, Setting
from resnet.model import backend

CALLS = 300
ALLOWED_MS = 2.0  # for MLflow's own work, for every network


def measure(setting: Setting) -> Iterator[Measurement]:
    """The latency less `ALLOWED_MS`, against the compiled call."""
    backend.select("tensorflow", "cpu")
    from resnet.model import forward
    from resnet.nets.build import build, published

    net = subjects.paper(20, (16, 32, 64)).net
    weights = build(net, subjects.DATA).get_weights()
    model = published(net, subjects.DATA, weights)
    image_1hwc, _ = subjects.images(1)
    with tempfile.TemporaryDirectory() as folder:
        served = _registered(model, image_1hwc, Path(folder))
        ours, call = _latencies_ms([served.predict, forward.compiled(model)], image_1hwc)
    yield Measurement("ms", ours, call, (ours - ALLOWED_MS) / call)


def _registered(model: Any, example_nhwc: np.ndarray, root: Path) -> Any:
    """`model` as `publish` logs it, in a store under `root`, loaded through `mlflow.pyfunc`."""
    from resnet.registry import store
    from resnet.registry.tracking import mlflow_model

    import mlflow

    client = store.client(root)
    run = client.create_run(store.experiment(client, "bench")).info.run_id
    logged = mlflow_model.log(client, run, model, example_nhwc)
    with store.as_default(client):
        return mlflow.pyfunc.load_model(f"models:/{logged}")


def _latencies_ms(calls: list[Callable[[np.ndarray], Any]], image_1hwc: np.ndarray) -> list[float]:
    """The median of each of `calls`, made in turn, after ten of each that warm up."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(10 + CALLS):
        for call, latencies in zip(calls, seconds, strict=True):
            started = time.perf_counter()
            call(image_1hwc)
            latencies.append(time.perf_counter() - started)
    return [1e3 * median(latencies[10:]) for latencies in seconds]
