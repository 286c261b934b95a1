"""Train on a GPU and report JSON: the paper's accuracies, times, and the share of the roofline.

Every training is `python -m resnet train` in a folder of its own with the pipeline's parameters.
It needs JAX, Keras, NumPy and a few small packages (docs/how-to/gpu.md lists them), and neither
TensorFlow nor the pipeline's other tools. The same command, run again, keeps finished trainings and
resumes an interrupted one; the report is written after every row.
"""

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import airbench
from benchmarks.study import REPOSITORY, Study, environment, spread
from resnet.errors import StoppedError
from resnet.system import files

# Test accuracy of ResNet-N after 64,000 steps, He et al. 2015, table 6 (of five runs: best 93.57).
PAPER = {20: 91.25, 32: 92.49, 44: 92.83, 56: 93.03, 110: 93.39}
TARGET = 0.94  # of the speed records
# Without a GPU it is an error, unless the user adds --set train.device=cpu.
OVERRIDES = ("train.backend=jax", "train.device=gpu")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--preset", default="paper", help="presets/NAME.yaml; default: paper")
    parser.add_argument(
        "--depths", type=int, nargs="+", help="default: those of the paper, or the preset's"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--work", type=Path, default=REPOSITORY / ".state" / "gpu", help="a folder")
    parser.add_argument("--out", type=Path, help="default: report.json in the folder")
    parser.add_argument("--airbench", type=Path, metavar="FILE", help="airbench94's own script")
    parser.add_argument(
        "--peer-python", type=Path, metavar="PYTHON", help="the interpreter with PyTorch for it"
    )
    arguments = parser.parse_args()
    if bool(arguments.airbench) != bool(arguments.peer_python):
        parser.error("--airbench and --peer-python belong together")
    try:
        report = measure(arguments, arguments.out or arguments.work / "report.json")
    except StoppedError:
        raise SystemExit("interrupted; run the same command again to resume") from None
    print(json.dumps(report, indent=2))
    return 1 if any("failed" in row for row in report["rows"]) else 0


def measure(arguments: argparse.Namespace, out: Path) -> dict[str, Any]:
    """All trainings, one after the other: each depth, or the preset's own network, each seed."""
    study = Study(REPOSITORY, arguments.preset, arguments.work.absolute(), OVERRIDES)
    depths = arguments.depths or (PAPER if arguments.preset == "paper" else [])
    nets = [[f"net.depth={depth}"] for depth in depths] or [[]]
    report: dict[str, Any] = {
        "preset": arguments.preset,
        "system": platform.platform(),
        "versions": {name: version(name) for name in ("jax", "keras", "numpy")},
        "rows": [],
    }
    for net in nets:
        report["rows"].append(measure_net(study, [*net, *arguments.set], arguments.seeds))
        files.write_json(out, report)
        print(json.dumps(report["rows"][-1]), file=sys.stderr, flush=True)
    if arguments.airbench:
        folder, raw = study.work / "airbench", study.images(study.values(arguments.set)) / "raw"
        peer = airbench.measure(arguments.peer_python, arguments.airbench, folder, raw)
        report["airbench"] = peer
        for row in report["rows"]:
            row |= compared_with_airbench(row, peer)
        files.write_json(out, report)
    return report


def measure_net(study: Study, overrides: Sequence[str], seeds: Sequence[int]) -> dict[str, Any]:
    """The row of a network trained on every seed, or why it failed."""
    try:
        runs = [study.train([*overrides, f"train.seed={seed}"]) for seed in seeds]
        scores = score_on_device(run["folder"] for run in runs)
    except subprocess.CalledProcessError as error:
        return {"set": overrides, "failed": f"{error}: its output is above"}
    for run, accuracy in zip(runs, scores["accuracies"], strict=True):
        run["test_accuracy"] = accuracy
    roofline = compared_with_roofline(scores["roofline"], runs)
    return {"set": overrides, **summary(runs), **roofline, "runs": runs}


def score_on_device(folders: Iterable[str]) -> dict[str, Any]:
    """The output of on_device.py, in a process of its own so that no two hold the GPU at once."""
    command = [sys.executable, "-m", "benchmarks.on_device", *folders]
    process = subprocess.run(
        command, env=environment(), check=True, stdout=subprocess.PIPE, text=True
    )
    return dict(json.loads(process.stdout.splitlines()[-1]))


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and deviation over the seeds; whole processes' seconds over the runs not resumed."""

    def of(name: str, digits: int) -> dict[str, Any]:
        return spread((run[name] for run in runs), digits)

    accuracy, loop = of("test_accuracy", 4), of("loop_seconds", 2)
    return {
        "test_accuracy": accuracy,
        "loop_seconds": loop,
        f"loop_seconds_to_{TARGET:.0%}": loop["mean"] if accuracy["mean"] >= TARGET else None,
        "setup_seconds": of("setup_seconds", 2),
        "wall_seconds": of("wall_seconds", 2),
        "images_per_second": of("images_per_second", 1),
    }


def compared_with_airbench(row: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """The loop of a row's network in units of airbench94's time; empty where one of them failed."""
    if "failed" in row or "failed" in peer:
        return {}
    return {"loop_in_airbench": round(row["loop_seconds"]["mean"] / peer["seconds"]["mean"], 3)}


def compared_with_roofline(
    roofline: dict[str, Any], runs: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The measured speed as a share of this device's maximum, and the paper's accuracy."""
    speed = max(run["images_per_second"] for run in runs)
    by_arithmetic = roofline["flops_per_second"] / roofline["flops_per_image"]
    by_memory = roofline["bytes_per_second"] / roofline["bytes_per_image"]
    paper = PAPER.get(roofline["depth"]) if roofline["net"] == "basic A 16-32-64" else None
    return {
        "paper_accuracy": paper and paper / 100,
        "roofline": roofline,
        "share_of_roofline": round(speed / min(by_arithmetic, by_memory), 4),
        "share_of_arithmetic": round(speed / by_arithmetic, 4),
    }


if __name__ == "__main__":
    sys.exit(main())
