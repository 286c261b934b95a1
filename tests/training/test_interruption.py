"""Whatever ends a training, it is resumed when it is started again, and ends with the same bits."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import psutil
import pytest

from resnet import params
from resnet.checkout import checkpoint_folders
from resnet.errors import STOPPED, PipelineError, StoppedError
from resnet.model import backend, precision
from resnet.params import Params
from resnet.system.termination import SIGNALS, Stop
from resnet.training import loop
from resnet.training.callback import Callback, NullCallback
from resnet.training.train import TrainingSettings, train
from tests.support import REPOSITORY

Settings = Callable[..., Params]

KILLED_WRITING = """
import os, runpy, signal, sys
from pathlib import Path
calls = iter(range(3))
rename = Path.rename
def last(path, target):
    return rename(path, target) if next(calls) < 2 else os.kill(os.getpid(), signal.SIGKILL)
Path.rename = last
sys.argv = ["resnet", "train"]
runpy.run_module("resnet", run_name="__main__")
"""
STARTING = """
import sys
from resnet import cli
parser = cli._parser
def slow():
    print("starting", flush=True)
    return parser()
cli._parser = slow
sys.exit(cli.main(["train"]))
"""
POOLED = [
    "net.block=pooled",
    "net.stem=whitening",
    "train.optimizer.name=muon",
    "train.augment.flip=alternating",
]


class AtEpoch(NullCallback):
    """Calls `action` at the end of one epoch."""

    def __init__(self, number: int, action: Callable[[], object]) -> None:
        self.number, self.action = number, action

    def epoch(self, row: Mapping[str, float]) -> None:
        if row["epoch"] == self.number:
            self.action()


class EndsAfterItsRunWasOpened(NullCallback):
    """Notes the id of an MLflow run, as `live_run` does, and raises an error."""

    def started(self, total_steps: int, folder: Path, key: str) -> None:
        checkpoint_folders.run_id_file(folder).write_text("a run")
        raise PipelineError("it ended at its start")


def run(p: Params, callback: Callback | None = None) -> None:
    folder = p.paths.model.parent / "checkpoints"
    settings = TrainingSettings(p.net, p.train, p.paths, p.runtime, folder, "key")
    with Stop(os.getppid()) as stop:
        train(settings, callback or NullCallback(), stop)


def outputs(p: Params) -> tuple[bytes, bytes]:
    return p.paths.model.read_bytes(), p.paths.history.read_bytes()


def checkpoint_steps(folder: Path) -> list[int]:
    return sorted(int(path.name[:9]) for path in folder.glob("*/*.npz"))


def stop_at(epoch: int) -> Callback:
    return AtEpoch(epoch, lambda: signal.raise_signal(signal.SIGTERM))


# In this process.


@pytest.mark.parametrize("overrides", [[], POOLED])
def test_the_bits_do_not_depend_on_the_number_of_steps_per_call(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, overrides: list[str]
) -> None:
    p = settings("train.steps=30", *overrides)
    monkeypatch.setattr(loop, "CHUNK_SECONDS", 1e9)
    run(p)
    undisturbed = outputs(p)
    monkeypatch.setattr(loop, "CHUNK_SECONDS", 0)
    with pytest.raises(StoppedError):
        run(p, stop_at(2))
    run(p)
    assert outputs(p) == undisturbed


def test_a_resumed_training_makes_the_same_choices(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    p = settings("train.early_stop=2", "train.steps=200", "train.schedule.peak=0.5")
    run(p)
    undisturbed, record = outputs(p), json.loads(p.paths.training.read_text())
    assert record["best_epoch"] == record["epochs"] - 2 < 18
    best = record["best_epoch"]
    for end in (best, best + 1):
        with pytest.raises(StoppedError, match=f"after step {10 * end} of 200"):
            run(p, stop_at(end))
    run(p)
    assert f"resuming after step {10 * (best + 1)} of 200" in capsys.readouterr().out
    assert outputs(p) == undisturbed
    assert json.loads(p.paths.training.read_text())["best_epoch"] == record["best_epoch"]


def test_an_interrupted_training_goes_on_in_the_precision_that_it_took(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    explicit, p = settings("train.precision=bfloat16"), settings("train.precision=auto")
    run(explicit)
    undisturbed = outputs(p)
    monkeypatch.setattr(backend, "cpu_flags", lambda: {"amx_bf16"})
    monkeypatch.setattr(precision, "measure", lambda backend: (1.0, 0.5))
    with pytest.raises(StoppedError):
        run(p, stop_at(1))
    monkeypatch.setattr(precision, "measure", lambda backend: (0.5, 1.0))
    run(p)
    output = capsys.readouterr().out
    assert "precision: bfloat16, that of the checkpoint" in output
    assert "resuming after step 10 of 20" in output
    assert outputs(p) == undisturbed
    assert json.loads(p.paths.training.read_text())["precision"] == "bfloat16"


def test_a_training_that_left_the_id_of_its_run_only_takes_the_precision_that_is_faster_now(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    p = settings("train.precision=auto")
    monkeypatch.setattr(backend, "cpu_flags", lambda: {"amx_bf16"})
    monkeypatch.setattr(precision, "measure", lambda backend: (1.0, 0.5))
    with pytest.raises(PipelineError, match="ended at its start"):
        run(p, EndsAfterItsRunWasOpened())
    folders = (p.paths.model.parent / "checkpoints").iterdir()
    (folder,) = (path for path in folders if path.is_dir())
    assert [path.name for path in folder.iterdir()] == ["mlflow-run"]
    monkeypatch.setattr(precision, "measure", lambda backend: (0.5, 1.0))
    run(p)
    assert "precision: float32, convolutions in bfloat16 take" in capsys.readouterr().out
    assert json.loads(p.paths.training.read_text())["precision"] == "float32"


def test_a_training_is_not_resumed_on_other_images(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    p = settings("train.steps=30")
    with pytest.raises(StoppedError):
        run(p, stop_at(1))
    path = p.paths.arrays / "train_images.npy"
    images = np.load(path)
    images[17, 3, 2, 1] ^= 1
    np.save(path, images)
    run(p)
    assert "resuming" not in capsys.readouterr().out


def test_truncating_the_files_does_not_affect_a_running_training(settings: Settings) -> None:
    p = settings("train.steps=30")
    run(p)
    undisturbed = outputs(p)

    def truncate() -> None:
        for path in p.paths.arrays.iterdir():
            os.truncate(path, 200)

    run(p, AtEpoch(1, truncate))
    assert outputs(p) == undisturbed
    with pytest.raises(PipelineError, match="train_images.npy is damaged"):
        run(p)


def test_a_training_that_diverges_keeps_a_checkpoint_from_before(settings: Settings) -> None:
    p = settings(
        "runtime.checkpoint_seconds=0",
        "train.steps=20",
        "train.schedule.name=piecewise",
        "train.schedule.boundaries=[0.5]",
        "train.schedule.factor=1.0e-30",
    )
    for _ in range(2):  # the second time it resumes there, and fails in the same way
        with pytest.raises(PipelineError, match=r"at? step 1[12].* training diverged; lower"):
            run(p)
        assert checkpoint_steps(p.paths.model.parent / "checkpoints")[-1] in (10, 11)


# Real processes.


class Started:
    """`resnet train` in a checkout of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.checkpoints = root / ".state" / "checkpoints"

    def override(self, *overrides: str) -> None:
        values = params.merge(params.read(self.root), self.root, None, overrides)
        (self.root / "params.yaml").write_text(params.dump(values))

    def start(self, *words: str) -> "subprocess.Popen[str]":
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(
            words or (sys.executable, "-m", "resnet", "train"),
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for_step(self, process: "subprocess.Popen[str]", above: int) -> int:
        """The newest checkpoint's step once that is `above` or more."""
        while process.poll() is None:
            if (found := checkpoint_steps(self.checkpoints)) and found[-1] >= above:
                return found[-1]
            time.sleep(0.01)
        raise AssertionError(f"it ended first: {process.communicate()[0]}")


@pytest.fixture
def started(tmp_path: Path, settings: Settings) -> Started:
    root = tmp_path / "checkout"
    root.mkdir()
    files = [f"paths.{name}={root / name}.keras" for name in ("model", "history", "training")]
    p = settings(*files, "train.steps=400", "runtime.checkpoint_seconds=0.1")
    (root / "params.yaml").write_text(params.dump(p.model_dump(mode="json")))
    shutil.copy(REPOSITORY / "dvc.yaml", root)
    return Started(root)


@pytest.mark.parametrize(("precision", "steps"), [("float32", 400), ("bfloat16", 60)])
def test_a_training_killed_while_it_writes_and_then_left_by_its_parent_ends_as_an_undisturbed_one(
    started: Started, precision: str, steps: int
) -> None:
    started.override(f"train.precision={precision}", f"train.steps={steps}")
    p = params.load(started.root)
    run(p)
    undisturbed = outputs(p)
    for path in (p.paths.model, p.paths.history):
        path.unlink()

    writing = started.start(sys.executable, "-c", KILLED_WRITING)
    assert writing.wait() == -signal.SIGKILL
    (_, step) = checkpoint_steps(started.checkpoints)
    assert len(list(started.checkpoints.glob("*/*.part"))) == 1

    shell = started.start("sh", "-c", f"{sys.executable} -m resnet train; true")
    started.wait_for_step(shell, step + 1)
    (orphan,) = psutil.Process(shell.pid).children()
    shell.kill()
    output, _ = shell.communicate()  # until the orphan has closed it too
    assert f"resuming after step {step} of {steps}" in output
    step = checkpoint_steps(started.checkpoints)[-1]
    assert f"error: training was interrupted after step {step} of {steps}; run it again" in output
    assert list(started.checkpoints.glob("*/*.part")) == []
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE

    last = started.start()
    output, _ = last.communicate()
    assert last.returncode == 0, output
    assert outputs(p) == undisturbed
    assert list(started.checkpoints.iterdir()) == []


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_a_signal_while_training_starts_ends_it_as_one_later_does(
    started: Started, number: signal.Signals, seconds: float
) -> None:
    """At once when its first line is run, while the command line is read, or while it loads."""
    process = started.start(sys.executable, "-c", STARTING)
    assert process.stdout is not None
    assert process.stdout.readline() == "starting\n"
    time.sleep(seconds)
    process.send_signal(number)
    output, _ = process.communicate()
    assert process.returncode == STOPPED, output
    assert "error: interrupted before the first step; nothing was lost; run it again" in output
    assert list(started.checkpoints.glob("*/*")) == []


def test_a_training_whose_parent_ends_while_it_starts_ends_before_its_first_step(
    started: Started,
) -> None:
    shell = started.start("sh", "-c", f"{sys.executable} -c '{STARTING}'; true")
    assert shell.stdout is not None
    assert shell.stdout.readline() == "starting\n"
    shell.kill()
    output, _ = shell.communicate()  # until the orphan has closed it too
    assert "error: training was interrupted after step 0 of 400" in output


def test_a_training_on_jax_that_was_killed_ends_as_an_undisturbed_one(started: Started) -> None:
    p = params.load(started.root)
    started.override("train.backend=jax", "train.steps=120")
    alone = started.start()
    output, _ = alone.communicate()
    assert alone.returncode == 0, output
    undisturbed = outputs(p)
    for path in (p.paths.model, p.paths.history):
        path.unlink()

    killed = started.start()
    step = started.wait_for_step(killed, 1)
    killed.kill()
    killed.communicate()
    last = started.start()
    output, _ = last.communicate()
    assert last.returncode == 0, output
    assert int(output.partition("resuming after step ")[2].split()[0]) >= step
    assert outputs(p) == undisturbed
