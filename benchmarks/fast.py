"""Train a preset on several seeds: test accuracy and time, mean and deviation, as JSON.

    python -m benchmarks.fast                  # presets/fast.yaml, seeds 0, 1 and 2
    python -m benchmarks.fast --preset quick --seeds 0 1

It is no part of `make bench`: a seed of `fast` takes 25 to 50 minutes on two CPU cores. The raw
images must be there (`resnet fetch`); what is trained is written to a temporary folder.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from resnet import params
from resnet.checkout import project
from resnet.model import backend
from resnet.params import Params
from resnet.system import files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path(".state/fast.json"))
    chosen = parser.parse_args()
    root, out = project.find_root(), chosen.out.absolute()
    project.enter(root)
    trained = params.check(params.merge(params.read(root), root, chosen.preset, [])).train
    device = backend.select(trained.backend, trained.device, deterministic=trained.deterministic)
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in chosen.seeds:
            runs.append(one(settings(root, chosen.preset, seed, Path(folder))))
            files.write_json(
                out,
                {
                    "preset": chosen.preset,
                    "machine": device.name,
                    "versions": {
                        name: version(name) for name in ("keras", "numpy", trained.backend)
                    },
                    "runs": runs,
                    **{
                        name: spread([run[name] for run in runs])
                        for name in ("accuracy", "seconds")
                    },
                },
            )
    print(out.read_text())


def settings(root: Path, preset: str, seed: int, folder: Path) -> Params:
    """The preset with another seed, which writes to `folder`, and no scores of subsets."""
    here = [f"train.seed={seed}", "evaluate.annotations=[]"]
    values = params.merge(params.read(root), root, preset, here)
    written = {
        name: str(folder / path)
        for name, path in values["paths"].items()
        if path and name not in ("raw", "archive")
    }
    return params.check({**values, "paths": {**values["paths"], **written}})


def one(chosen: Params) -> dict[str, Any]:
    """Train and evaluate once: the test accuracy, and the seconds of the loop."""
    from resnet.data.ingest import ingest
    from resnet.evaluation.evaluate import evaluate
    from resnet.system.termination import Stop
    from resnet.training.callback import NullCallback
    from resnet.training.train import TrainingSettings, train

    paths, key = chosen.paths, f"seed-{chosen.train.seed}"
    if not paths.profile.exists():
        paths.extra.mkdir(parents=True)  # no batches but CIFAR-10's own
        ingest(chosen.data, paths)
    checkpoints = paths.model.parent / "checkpoints"
    settings = TrainingSettings(chosen.net, chosen.train, paths, chosen.runtime, checkpoints, key)
    with Stop(os.getppid()) as stop:
        train(settings, NullCallback(), stop)
    evaluate(chosen.evaluate, paths)
    training, metrics = files.read_json(paths.training), files.read_json(paths.metrics)
    return {
        "seed": chosen.train.seed,
        "accuracy": metrics["accuracy"],
        "seconds": training["seconds"],
        "images_per_second": training["images_per_second"],
        "model_hash": training["model_hash"],
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.mean(values), "deviation": deviation}


if __name__ == "__main__":
    main()
