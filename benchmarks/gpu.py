"""Train on a GPU and report JSON: the paper's accuracies, times, and the share of the roofline.

Every training is `python -m resnet train` in a folder of its own with the pipeline's parameters.
It needs JAX, Keras and NumPy beside a handful of small packages (docs/how-to/gpu.md lists them),
and neither TensorFlow nor the pipeline's other tools.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from resnet import files, params

ROOT = Path(__file__).resolve().parents[1]
# Test accuracy of ResNet-N after 64,000 steps, He et al. 2015, table 6 (of five runs: best 93.57).
PAPER = {20: 91.25, 32: 92.49, 44: 92.83, 56: 93.03, 110: 93.39}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--preset", default="paper", help="presets/NAME.yaml; default: paper")
    parser.add_argument(
        "--depths", type=int, nargs="+", help="default: those of the paper, or the preset's"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--work", type=Path, default=ROOT / ".state" / "gpu", help="a folder")
    parser.add_argument("--out", type=Path, help="default: report.json in the folder")
    told = parser.parse_args()
    report = measured(told)
    files.write_json(told.out or told.work / "report.json", report)
    print(json.dumps(report, indent=2))


def measured(told: argparse.Namespace) -> dict[str, Any]:
    """All trainings, one after the other: each depth, or the preset's own network, each seed."""
    depths = told.depths or (PAPER if told.preset == "paper" else [])
    nets = [[f"net.depth={depth}"] for depth in depths] or [[]]
    rows = []
    for net in nets:
        chosen = [*net, *told.set]
        runs = [trained(told, [*chosen, f"train.seed={seed}"]) for seed in told.seeds]
        roof = answer("roofline", Path(runs[0]["folder"]))
        rows.append({"set": chosen, **summary(runs), **against(roof, runs), "runs": runs})
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return {
        "preset": told.preset,
        "system": platform.platform(),
        "versions": {name: version(name) for name in ("jax", "keras", "numpy")},
        "rows": rows,
    }


def trained(told: argparse.Namespace, overrides: Sequence[str]) -> dict[str, Any]:
    """One `resnet train` and the test accuracy of what it published."""
    name = "-".join([told.preset, *overrides]).replace("/", "_")
    folder = told.work.absolute() / name
    chosen = prepared(folder, told.work.absolute() / "data", told.preset, overrides)
    clock = time.perf_counter()
    command(folder, "train")
    wall = time.perf_counter() - clock
    record = files.read_json(folder / chosen.paths.training)
    return {
        "folder": str(folder),
        "device": record["device_name"],
        "test_accuracy": answer("score", folder)["accuracy"],
        "wall_seconds": round(wall, 2),
        "loop_seconds": record["seconds"],
        "other_seconds": round(wall - record["seconds"], 2),  # start, compilation, saving
        "images_per_second": record["images_per_second"],
        "steps": record["steps"],
    }


def prepared(folder: Path, data: Path, preset: str, overrides: Sequence[str]) -> params.Params:
    """A folder to train in; data that are split alike are fetched and ingested once."""
    here = ["train.backend=jax", "train.device=gpu"]  # an error without one
    merged = params.merge(params.read(ROOT), ROOT, preset, [*here, *overrides])
    split = params.check(merged).data
    shared = data / f"{split.dataset}-{split.validation}-{split.seed}"
    where = [f"paths.{name}={shared / name}" for name in ("raw", "arrays")]
    where.append(f"paths.profile={shared / 'profile.json'}")
    merged = params.merge(merged, ROOT, None, where)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files.write_text(folder / "params.yaml", params.dump(merged))
    shutil.copy(ROOT / "dvc.yaml", folder)  # by params.yaml and dvc.yaml the command knows its root
    if not (shared / "profile.json").exists():
        command(folder, "fetch")
        command(folder, "ingest")
    return params.check(merged)


def command(folder: Path, stage: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "resnet", stage], cwd=folder, env=environment(), check=True
    )


def answer(question: str, folder: Path) -> dict[str, Any]:
    """What on_device.py says in a process of its own, so that no two hold the GPU at once."""
    words = [sys.executable, "-m", "benchmarks.on_device", question, str(folder)]
    told = subprocess.run(words, env=environment(), check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(told.stdout.splitlines()[-1]))


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and deviation over the seeds."""

    def over(name: str, digits: int) -> dict[str, float]:
        values = [run[name] for run in runs]
        spread = {"deviation": round(stdev(values), digits)} if len(values) > 1 else {}
        return {"mean": round(mean(values), digits), **spread}

    return {
        "test_accuracy": over("test_accuracy", 4),
        "loop_seconds": over("loop_seconds", 2),
        "wall_seconds": over("wall_seconds", 2),
        "images_per_second": over("images_per_second", 1),
    }


def against(roof: dict[str, Any], runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the measured speed is of the most that this device could do, and of the paper."""
    speed = max(run["images_per_second"] for run in runs)
    by_arithmetic = roof["flops_per_second"] / roof["flops_per_image"]
    by_memory = roof["bytes_per_second"] / roof["bytes_per_image"]
    paper = PAPER.get(roof["depth"]) if roof["net"] == "basic A 16-32-64" else None
    return {
        "paper_accuracy": paper and paper / 100,
        "roofline": roof,
        "share_of_roofline": round(speed / min(by_arithmetic, by_memory), 4),
        "share_of_arithmetic": round(speed / by_arithmetic, 4),
    }


if __name__ == "__main__":
    main()
