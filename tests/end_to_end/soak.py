"""Kill a training at random, again and again: `make soak KILLS=100`. Too long for `make test`."""

import random
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest

KILLS = {
    f"{number.name} to {whom}": (number, whom)
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
    for whom in ("the training", "dvc", "both")
    if (number, whom) != (signal.SIGINT, "dvc")  # which dvc ignores while a stage runs
}
TRAIN = ("dvc", "repro", "--force", "--single-item", "train")


@pytest.mark.timeout(0)
def test_every_training_ends_with_the_bits_of_an_undisturbed_one(
    new_checkout, pytestconfig, capsys, wait_for, with_all_cores
):
    checkout = new_checkout(
        "smoke",
        ["data.dataset=generated", "train.steps=3000", "runtime.checkpoint_seconds=0.1"],
    )
    checkout = replace(checkout, env=with_all_cores(checkout.env))  # one training at a time
    outputs = [checkout.root / name for name in ("models/model.keras", "reports/history.csv")]
    checkout.run("dvc", "repro", "ingest")
    checkout.run("resnet", "train")
    undisturbed = [path.read_bytes() for path in outputs]

    def same() -> bool:
        return [path.read_bytes() for path in outputs] == undisturbed

    seed = pytestconfig.getoption("--seed")
    chance, done, whole = random.Random(seed), Counter(), 0
    while done.total() < pytestconfig.getoption("--kills"):
        name, (number, whom) = chance.choice(list(KILLS.items()))
        with checkout.start(*TRAIN) as dvc:
            training = _at_work(checkout, dvc)
            time.sleep(chance.uniform(0, 1.5))
            if training and training.is_running():
                _send(number, {"the training": [training], "dvc": [dvc]}.get(whom, [dvc, training]))
                done[name] += 1
            dvc.wait()
            if dvc.returncode == 0:
                whole += 1
                assert same(), f"after {dict(done)}, seed {seed}"
    checkout.run(*TRAIN)
    assert same(), f"after {dict(done)}, seed {seed}"
    wait_for(lambda: not checkout.training())
    assert checkout.checkpoints("*") == set()
    with capsys.disabled():
        print(f"\n{done.total()} kills, {whole + 1} trainings, the same bits each time")
        for name, count in sorted(done.items()):
            print(f"{count:5} {name}")


def _at_work(checkout, dvc) -> psutil.Process | None:
    """The training that this dvc has started, once it has got further; None if it has ended."""
    before = checkout.checkpoints("*.npz")
    while dvc.poll() is None:
        own = [training for training in checkout.training() if training.ppid() == dvc.pid]
        if own and checkout.checkpoints("*.npz") - before:
            return own[0]
        if not own:
            before = checkout.checkpoints("*.npz")
        time.sleep(0.05)
    return None


def _send(number: int, processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
