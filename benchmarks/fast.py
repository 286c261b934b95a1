"""Train a preset on several seeds: test accuracy and time, mean and deviation, as JSON.

    python -m benchmarks.fast                  # presets/fast.yaml, seeds 0, 1 and 2
    python -m benchmarks.fast --preset quick --seeds 0 1

It is not part of `make bench`: a seed of `fast` takes 25 to 50 minutes on two CPU cores. The raw
images must exist (`resnet fetch`); the runs are written to a temporary folder.
"""

import argparse
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.study import Study, run_stage, spread
from resnet import params
from resnet.checkout import project
from resnet.params import Params
from resnet.system import files

OVERRIDES = ["evaluate.annotations=[]"]  # scores on the whole test set only


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path(".state/fast.json"))
    arguments = parser.parse_args()
    root, out = project.find_root(), arguments.out.absolute()
    with tempfile.TemporaryDirectory() as folder:
        raw = root / params.load(root).paths.raw
        study = Study(root, arguments.preset, Path(folder), OVERRIDES, raw)
        parameters = params.check(study.values())
        runs: list[dict[str, Any]] = []
        for seed in arguments.seeds:
            runs.append(train_and_evaluate(study, seed, parameters))
            files.write_json(out, report(arguments.preset, runs, parameters))
    print(out.read_text())


def train_and_evaluate(study: Study, seed: int, parameters: Params) -> dict[str, Any]:
    """The test accuracy of one run, and the seconds of its loop."""
    folder = Path(study.train([f"train.seed={seed}"])["folder"])
    run_stage(folder, "evaluate")
    training = files.read_json(folder / parameters.paths.training)
    metrics = files.read_json(folder / parameters.paths.metrics)
    return {
        "seed": seed,
        "accuracy": metrics["accuracy"],
        "seconds": training["seconds"],
        "images_per_second": training["images_per_second"],
        "model_hash": training["model_hash"],
        "machine": training["device_name"],
    }


def report(preset: str, runs: Sequence[dict[str, Any]], parameters: Params) -> dict[str, Any]:
    libraries = ("keras", "numpy", parameters.train.backend)
    return {
        "preset": preset,
        "machine": runs[0]["machine"],
        "versions": {name: version(name) for name in libraries},
        "runs": [{name: run[name] for name in run if name != "machine"} for run in runs],
        **{name: spread(run[name] for run in runs) for name in ("accuracy", "seconds")},
    }


if __name__ == "__main__":
    main()
