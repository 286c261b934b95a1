"""Rows about whole trainings: what they reach, and in what time. They take hours.

What `python -m benchmarks.fast` trains is trained here, with the same code.
"""

import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import builds, commands, fast, peer
from benchmarks.peer import OURS
from benchmarks.rounds import best_in_turn
from benchmarks.study import Study, spread
from benchmarks.table import Measurement, Setting
from resnet import params
from resnet.training.loop import plan

SEEDS = (0, 1, 2)
FIVE_MINUTES = 300.0  # seconds
BEFORE = 89.3  # % of the test images, by commit f50bffb's `quick` in five minutes
RECORD = 94.0  # % of the test images, by airbench94_muon
RECORD_IMAGES = 8 * 50_000  # that airbench94_muon trains on: eight epochs
CIFAR10_IMAGES = 50_000  # training and validation images
ROUNDS = 5  # of 2,000 images of `fast`


def freed_time(setting: Setting) -> Iterator[Measurement]:
    """The test accuracy of `quick` with as many epochs as five minutes have, on `SEEDS`."""
    epoch = {"work": "epoch", "batches": 3, "overrides": []}
    with peer.running({OURS: peer.of_build(setting.root, epoch)}) as contenders:
        per_second = best_in_turn(contenders, 3)[OURS]
    epochs = math.floor(2 * FIVE_MINUTES * per_second) / 2
    yield _accuracy(setting, "quick", [f"train.epochs={epochs:g}"], BEFORE)


def fast_accuracy(setting: Setting) -> Iterator[Measurement]:
    """The test accuracy of `fast` on `SEEDS`."""
    yield _accuracy(setting, "fast", [], RECORD)


def fast_time(setting: Setting) -> Iterator[Measurement]:
    """The seconds of `fast`'s steps, and of airbench94_muon's, at the speeds of rounds in turn."""
    root = setting.root
    recipe, data = _fast(root).train, _fast(root).data
    steps = plan(recipe, CIFAR10_IMAGES - data.validation, data.validation).steps
    work = {"work": "train", "preset": "fast", "overrides": [], "batches": 2000 // recipe.batch}
    record = peer.in_torch(setting, {"batches": 1}, "airbench_peer.py")
    with peer.running({OURS: peer.of_build(root, work), **record}) as contenders:
        speed = best_in_turn(contenders, ROUNDS)
    best = max(record, key=speed.__getitem__)
    seconds = steps * recipe.batch / speed[OURS], RECORD_IMAGES / speed[best]
    yield Measurement.ratio("s", *seconds, f"{best}, from {ROUNDS} rounds of 2,000 images")


def quick_whole(setting: Setting) -> Iterator[Measurement]:
    """The seconds of `quick`'s whole loop in `resnet train`, once in each build."""
    with builds.clone() as ours, builds.clone(builds.TODAY) as theirs:
        for root in (ours, theirs):
            commands.resnet(root, "fetch")
            commands.resnet(root, "ingest")
        seconds = []
        for root in (ours, theirs):
            commands.resnet(root, "train")
            seconds.append(float(commands.training(root)["seconds"]))
    yield Measurement.ratio("s", seconds[0], seconds[1])


def _fast(root: Path) -> params.Params:
    return params.check(params.merge(params.read(root), root, "fast", []))


def _accuracy(
    setting: Setting, preset: str, overrides: Sequence[str], against: float
) -> Measurement:
    """The mean test accuracy in %, with its deviation and the seconds of the loop."""
    raw = setting.root / params.load(setting.root).paths.raw
    with tempfile.TemporaryDirectory() as folder:
        study = Study(
            setting.root,
            preset,
            Path(folder),
            [*fast.OVERRIDES, *overrides],
            raw if raw.exists() else None,
        )
        parameters = params.check(study.values())
        runs = [fast.train_and_evaluate(study, seed, parameters) for seed in SEEDS]
    accuracy = spread([100 * run["accuracy"] for run in runs], 2)
    return Measurement("%", accuracy["mean"], against, accuracy["mean"], _note(runs, overrides))


def _note(runs: Sequence[dict[str, Any]], overrides: Sequence[str]) -> str:
    accuracy = spread([100 * run["accuracy"] for run in runs], 2)
    seconds = spread([run["seconds"] for run in runs], 0)
    words = [
        f"{len(runs)} seeds",
        f"deviation {accuracy.get('deviation', 0):g}",
        f"loop {seconds['mean']:g} s",
        *overrides,
    ]
    return ", ".join(words)
