"""Train on a GPU and report JSON: the paper's accuracies, times, and the share of the roofline.

Every training is `python -m resnet train` in a folder of its own with the pipeline's parameters.
It needs JAX, Keras and NumPy beside a handful of small packages (docs/how-to/gpu.md lists them),
and neither TensorFlow nor the pipeline's other tools. Given again, it keeps what is finished and
goes on with the training that was interrupted; the report is written after every row.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks import airbench
from resnet import params
from resnet.checkout import checkpoint_folders, provenance
from resnet.errors import STOPPED
from resnet.system import files

ROOT = Path(__file__).resolve().parents[1]
# Test accuracy of ResNet-N after 64,000 steps, He et al. 2015, table 6 (of five runs: best 93.57).
PAPER = {20: 91.25, 32: 92.49, 44: 92.83, 56: 93.03, 110: 93.39}
TARGET = 0.94  # of the speed records


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--preset", default="paper", help="presets/NAME.yaml; default: paper")
    parser.add_argument(
        "--depths", type=int, nargs="+", help="default: those of the paper, or the preset's"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--work", type=Path, default=ROOT / ".state" / "gpu", help="a folder")
    parser.add_argument("--out", type=Path, help="default: report.json in the folder")
    parser.add_argument("--airbench", type=Path, metavar="FILE", help="airbench94's own script")
    parser.add_argument(
        "--peer-python", type=Path, metavar="PYTHON", help="the interpreter with PyTorch for it"
    )
    told = parser.parse_args()
    if bool(told.airbench) != bool(told.peer_python):
        parser.error("--airbench and --peer-python belong together")
    report = measured(told, told.out or told.work / "report.json")
    print(json.dumps(report, indent=2))
    return 1 if any("failed" in row for row in report["rows"]) else 0


def measured(told: argparse.Namespace, out: Path) -> dict[str, Any]:
    """All trainings, one after the other: each depth, or the preset's own network, each seed."""
    depths = told.depths or (PAPER if told.preset == "paper" else [])
    nets = [[f"net.depth={depth}"] for depth in depths] or [[]]
    report: dict[str, Any] = {
        "preset": told.preset,
        "system": platform.platform(),
        "versions": {name: version(name) for name in ("jax", "keras", "numpy")},
        "rows": [],
    }
    for net in nets:
        report["rows"].append(row(told, [*net, *told.set]))
        files.write_json(out, report)
        print(json.dumps(report["rows"][-1]), file=sys.stderr, flush=True)
    if told.airbench:
        folder = told.work.absolute() / "airbench"
        raw = shared(told.work.absolute() / "data", settings(told.preset, told.set)) / "raw"
        report["airbench"] = peer = airbench.measured(told.peer_python, told.airbench, folder, raw)
        for one in report["rows"]:
            one |= beside(one, peer)
        files.write_json(out, report)
    return report


def row(told: argparse.Namespace, chosen: Sequence[str]) -> dict[str, Any]:
    """A network on every seed; where one fails, why."""
    try:
        runs = [trained(told, [*chosen, f"train.seed={seed}"]) for seed in told.seeds]
        found = answers(run["folder"] for run in runs)
    except subprocess.CalledProcessError as error:
        if error.returncode == STOPPED:
            raise SystemExit("told to end: the same command, given again, goes on") from None
        return {"set": chosen, "failed": f"{error}: what it said stands above"}
    for run, accuracy in zip(runs, found["accuracies"], strict=True):
        run["test_accuracy"] = accuracy
    return {"set": chosen, **summary(runs), **against(found["roofline"], runs), "runs": runs}


def trained(told: argparse.Namespace, overrides: Sequence[str]) -> dict[str, Any]:
    """One `resnet train`: its folder, and its times.

    What an earlier call has finished is not done again, and a training that it left is taken up.
    """
    name = "-".join([told.preset, *overrides]).replace("/", "_")
    folder = told.work.absolute() / name
    chosen = prepared(folder, told.work.absolute() / "data", settings(told.preset, overrides))
    done = folder / "run.json"
    if not done.exists():
        files.write_json(done, fitted(folder, chosen))
    return dict(files.read_json(done))


def fitted(folder: Path, chosen: params.Params) -> dict[str, Any]:
    """One `resnet train`. Of one that was taken up, the loop's seconds alone are those of all."""
    resumed = any(checkpoint_folders.home(folder).glob("*/*.npz"))
    clock = time.perf_counter()
    command(folder, "train")
    wall = time.perf_counter() - clock
    record = files.read_json(folder / chosen.paths.training)
    setup, loop = record["setup_seconds"], record["seconds"]
    return {
        "folder": str(folder),
        "device": record["device_name"],
        "resumed": resumed,
        "wall_seconds": None if resumed else round(wall, 2),
        "setup_seconds": setup,  # the network, the images onto the device, compilation
        "loop_seconds": loop,
        # start, imports, saving
        "other_seconds": None if resumed else round(wall - setup - loop, 2),
        "images_per_second": record["images_per_second"],
        "steps": record["steps"],
    }


def settings(preset: str, overrides: Sequence[str]) -> dict[str, Any]:
    """The preset's values for a GPU: without one it is an error, but for --set train.device=cpu."""
    here = ["train.backend=jax", "train.device=gpu"]
    return params.merge(params.read(ROOT), ROOT, preset, [*here, *overrides])


def shared(data: Path, values: dict[str, Any]) -> Path:
    """The folder of the images of all trainings for which they are split alike."""
    split = params.check(values).data
    return data / f"{split.dataset}-{split.validation}-{split.seed}"


def prepared(folder: Path, data: Path, values: dict[str, Any]) -> params.Params:
    """A folder to train in; data that are split alike are fetched and ingested once.

    One that an earlier call has made is emptied if parameters, code or libraries are others now.
    """
    images = shared(data, values)
    where = [f"paths.{name}={images / name}" for name in ("raw", "extra", "arrays")]
    where.append(f"paths.profile={images / 'profile.json'}")
    merged = params.merge(values, ROOT, None, where)
    chosen = params.check(merged)
    key, noted = provenance.training_key(chosen, folder), folder / "key"
    if not noted.exists() or noted.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        files.write_text(folder / "params.yaml", params.dump(merged))
        shutil.copy(ROOT / "dvc.yaml", folder)  # by these two the command knows its root
        files.write_text(noted, key)
    if not (images / "profile.json").exists():
        (images / "extra").mkdir(parents=True, exist_ok=True)  # no batches but CIFAR-10's own
        command(folder, "fetch")
        command(folder, "ingest")
    return chosen


def command(folder: Path, stage: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "resnet", stage], cwd=folder, env=environment(), check=True
    )


def answers(folders: Iterable[str]) -> dict[str, Any]:
    """What on_device.py says in a process of its own, so that no two hold the GPU at once."""
    words = [sys.executable, "-m", "benchmarks.on_device", *folders]
    told = subprocess.run(words, env=environment(), check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(told.stdout.splitlines()[-1]))


def environment() -> dict[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and deviation over the seeds; of the seconds of a whole process over the undisturbed."""
    loop, accuracy = spread(runs, "loop_seconds", 2), spread(runs, "test_accuracy", 4)
    return {
        "test_accuracy": accuracy,
        "loop_seconds": loop,
        f"loop_seconds_to_{TARGET:.0%}": loop["mean"] if accuracy["mean"] >= TARGET else None,
        "setup_seconds": spread(runs, "setup_seconds", 2),
        "wall_seconds": spread(runs, "wall_seconds", 2),
        "images_per_second": spread(runs, "images_per_second", 1),
    }


def spread(runs: Sequence[dict[str, Any]], name: str, digits: int) -> dict[str, Any]:
    values = [run[name] for run in runs if run[name] is not None]
    deviation = {"deviation": round(stdev(values), digits)} if len(values) > 1 else {}
    return {"mean": round(mean(values), digits) if values else None, **deviation}


def beside(row: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """How long a row's network took, in airbench94's time; nothing where one of them failed."""
    if "failed" in row or "failed" in peer:
        return {}
    return {"loop_in_airbench": round(row["loop_seconds"]["mean"] / peer["seconds"]["mean"], 3)}


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
    sys.exit(main())
