"""Kill a training at random, again and again: `make soak KILLS=100`. Too long for `make test`."""

import os
import random
import signal
import time
from collections import Counter

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
    new_checkout, pytestconfig, capsys, wait_for
):
    checkout = new_checkout(
        "smoke",
        ["data.dataset=generated", "train.steps=3000", "runtime.checkpoint_seconds=0.1"],
    )
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
            _wait_for_a_checkpoint(checkout, dvc)
            time.sleep(chance.uniform(0, 1.5))
            if dvc.poll() is None:
                _send(checkout, dvc, number, whom)
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


def _wait_for_a_checkpoint(checkout, dvc) -> None:
    """Until a training has got further, or has ended."""
    before = checkout.checkpoints("*.npz")
    while dvc.poll() is None and not checkout.checkpoints("*.npz") - before:
        time.sleep(0.05)


def _send(checkout, dvc, number: int, whom: str) -> None:
    if whom == "both":
        os.killpg(dvc.pid, number)
    elif whom == "dvc":
        dvc.send_signal(number)
    else:
        for training in checkout.training():
            training.send_signal(number)
