"""A checkpoint is whole or passed over, and a killed training ends where an undisturbed one does."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet import params
from resnet.errors import PipelineError
from resnet.params import Params
from resnet.training.checkpoint import Checkpoints, Snapshot

Settings = Callable[..., Params]

TRAIN = """
import sys
from pathlib import Path
from resnet import cli, params
from resnet.errors import StoppedError
from resnet.training.train import train
p = params.check(params.read(Path(sys.argv[1])))
try:
    train(p.net, p.train, p.paths, p.runtime, Path(sys.argv[1]) / "checkpoints", None)
except StoppedError as error:
    sys.exit(cli.STOPPED)
"""


def snapshot(step: int) -> Snapshot:
    random = np.random.default_rng(step)
    return Snapshot(
        step=step,
        state=[random.normal(size=(3, 3)).astype(np.float32), np.int64(step).reshape(())],
        results=random.normal(size=(5, 2)).astype(np.float32),
        rows=[{"epoch": 1.0, "train_loss": 0.1 + 0.2}],
        best_epoch=1,
        best=[random.normal(size=4).astype(np.float32)],
    )


def same(one: Snapshot | None, other: Snapshot) -> bool:
    return (
        one is not None
        and (one.step, one.rows, one.best_epoch) == (other.step, other.rows, other.best_epoch)
        and all(map(np.array_equal, one.state, other.state))
        and all(map(np.array_equal, one.best, other.best))
        and np.array_equal(one.results, other.results)
    )


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    made = Checkpoints(tmp_path / "key", 0)
    with made.held(0):
        pass
    return made


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "key").iterdir())


def test_a_checkpoint_comes_back_to_the_bit(checkpoints: Checkpoints) -> None:
    checkpoints.write(snapshot(7))
    assert same(checkpoints.latest(), snapshot(7))


def test_the_last_two_are_kept(checkpoints: Checkpoints, tmp_path: Path) -> None:
    for step in (1, 20, 3000):
        checkpoints.write(snapshot(step))
    assert [int(path.name.split("-")[0]) for path in files(tmp_path)] == [20, 3000]


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_a_damaged_one_is_passed_over_with_a_warning(
    checkpoints: Checkpoints, tmp_path: Path, damage: str, capsys: Any
) -> None:
    checkpoints.write(snapshot(1))
    checkpoints.write(snapshot(2))
    newest = files(tmp_path)[-1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes({"flipped": content, "cut": content[:-9], "empty": b""}[damage])
    assert same(checkpoints.latest(), snapshot(1))
    assert "is damaged; taking the one before it" in capsys.readouterr().err


def test_nothing_is_left_when_training_is_done(checkpoints: Checkpoints, tmp_path: Path) -> None:
    checkpoints.write(snapshot(1))
    (tmp_path / "key" / "000000002-abc.part").touch()
    checkpoints.clear()
    assert not (tmp_path / "key").exists()


def test_a_full_disk_is_told_and_the_checkpoint_before_is_intact(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    checkpoints.write(snapshot(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(PipelineError, match="step 2 cannot be written.*make room and run"):
            checkpoints.write(snapshot(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert same(checkpoints.latest(), snapshot(1))
    assert len(files(tmp_path)) == 1


def test_two_trainings_of_the_same_do_not_run_at_once(checkpoints: Checkpoints) -> None:
    with (
        checkpoints.held(0),
        pytest.raises(PipelineError, match="another process has been training the same"),
    ):
        code = "import sys; from resnet.training.checkpoint import Checkpoints as C\n"
        folder = checkpoints._folder
        done = subprocess.run(
            [sys.executable, "-c", f"{code}with C({str(folder)!r}, 0).held(0): pass"],
            capture_output=True,
            text=True,
            check=False,
        )
        raise PipelineError(done.stderr)


# Real processes, killed for real.


@pytest.fixture
def start(tmp_path: Path, settings: Settings) -> Callable[..., "subprocess.Popen[str]"]:
    """Starts a training of 3,000 steps in a folder of tmp_path, with frequent checkpoints."""

    def made(name: str, *overrides: str) -> "subprocess.Popen[str]":
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        outputs = [f"paths.{one}={folder / one}" for one in ("model", "history", "training")]
        p = settings(*outputs, "train.steps=600", "runtime.checkpoint_seconds=0.05", *overrides)
        (folder / "params.yaml").write_text(params.dump(p.model_dump(mode="json")))
        return subprocess.Popen(
            [sys.executable, "-c", TRAIN, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return made


def model_hash(folder: Path) -> str:
    return str(json.loads((folder / "training").read_text())["model_hash"])


def wait_for_checkpoint(folder: Path, process: "subprocess.Popen[str]", after: int = 0) -> int:
    """The step of the newest checkpoint, once there is one after step `after`."""
    while process.poll() is None:
        found = [int(path.name[:9]) for path in (folder / "checkpoints").glob("*-*[0-9a-f]")]
        if found and max(found) > after:
            return max(found)
        time.sleep(0.01)
    raise AssertionError(f"it ended first: {process.communicate()[0]}")


def test_a_training_killed_again_and_again_ends_as_an_undisturbed_one(
    start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    undisturbed = start("undisturbed")
    step = 0
    for extra in (0.0, 0.03):
        killed = start("killed")
        step = wait_for_checkpoint(tmp_path / "killed", killed, step)
        time.sleep(extra)  # at some other point of writing
        killed.kill()
        killed.communicate()
    last = start("killed")
    output, _ = last.communicate()
    assert last.returncode == 0, output
    assert "going on after step" in output
    assert undisturbed.communicate()[0] is not None
    assert model_hash(tmp_path / "killed") == model_hash(tmp_path / "undisturbed")
    for name in ("model", "history"):
        one, other = ((tmp_path / run / name).read_bytes() for run in ("killed", "undisturbed"))
        assert one == other
    assert not (tmp_path / "killed" / "checkpoints").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_told_training_keeps_a_checkpoint_and_has_an_exit_code_of_its_own(
    start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path, number: signal.Signals
) -> None:
    told = start("told", "train.steps=1000000", "runtime.checkpoint_seconds=1e9")
    for line in told.stdout or ():
        if line.startswith("train:"):
            break
    told.send_signal(number)
    told.communicate()
    assert told.returncode == 75
    assert len(list((tmp_path / "told" / "checkpoints").iterdir())) == 1
    assert not (tmp_path / "told" / "model").exists()


def test_a_training_ends_with_a_checkpoint_when_its_parent_is_killed(
    settings: Settings, start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    ended = start("orphan", "train.steps=1000000", "runtime.checkpoint_seconds=1e9")
    ended.kill()
    ended.communicate()
    script = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {TRAIN!r}, sys.argv[1]])\n"
        "print(child.pid, flush=True)\nchild.wait()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "orphan")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    for line in parent.stdout:
        if line.startswith("train:"):
            break
    parent.kill()
    deadline = time.monotonic() + 30
    while not list((tmp_path / "orphan" / "checkpoints").glob("*-*")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    while Path(f"/proc/{child}").exists():
        state = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
        if state == "Z":
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert os.path.exists(tmp_path / "orphan" / "checkpoints")
