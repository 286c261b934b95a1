import csv
import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet.data import arrays
from resnet.errors import PipelineError, StoppedError
from resnet.model import backend, model_file
from resnet.params import Params
from resnet.system.termination import Stop
from resnet.training.callback import Callback, NullCallback
from resnet.training.loop import COLUMNS
from resnet.training.train import TrainingSettings, train
from tests.support import loaded

Settings = Callable[..., Params]


class Recorder:
    """A callback that records its calls."""

    def __init__(self, at_epoch: Callable[[], None] = lambda: None) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.at_epoch = at_epoch

    def started(self, total_steps: int, folder: Path, key: str) -> None:
        self.calls.append(("started", total_steps))

    def epoch(self, row: Mapping[str, float]) -> None:
        self.calls.append(("epoch", dict(row)))
        self.at_epoch()

    def finished(self, model_hash: str) -> None:
        self.calls.append(("finished", model_hash))

    def stopped(self, reason: str) -> None:
        self.calls.append(("stopped", reason))

    def failed(self, reason: str) -> None:
        self.calls.append(("failed", reason))


def run(p: Params, callback: Callback | None = None) -> None:
    folder = p.paths.model.parent / "checkpoints"
    settings = TrainingSettings(p.net, p.train, p.paths, p.runtime, folder, "key")
    with Stop(os.getppid()) as stop:
        train(settings, callback or NullCallback(), stop)


def history(p: Params) -> list[dict[str, str]]:
    with p.paths.history.open() as stream:
        return list(csv.DictReader(stream))


def without_validation(p: Params) -> None:
    np.save(p.paths.arrays / "validation_images.npy", np.zeros((0, 32, 32, 3), np.uint8))
    np.save(p.paths.arrays / "validation_labels.npy", np.zeros(0, np.uint8))


def test_training_learns_and_what_it_writes_agrees(settings: Settings) -> None:
    p, recorder = settings("train.steps=25"), Recorder()
    run(p, recorder)

    rows, record = history(p), json.loads(p.paths.training.read_text())
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "10"), ("2", "20"), ("3", "25")]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    assert (record["epochs"], record["steps"], record["device"]) == (3, 25, "cpu")
    assert record["backend"] == "tensorflow"
    assert set(record["versions"]) == {"python", "keras", "numpy", "tensorflow"}

    model = model_file.load(p.paths.model)
    assert record["model_hash"] == model_file.model_hash(model)
    split = arrays.load(p.paths, "validation")
    accuracy = (np.asarray(model(split.images_nhwc)).argmax(axis=1) == split.labels_n).mean()
    best = max(float(row["validation_accuracy"]) for row in rows)
    assert accuracy == pytest.approx(best, abs=1e-6)
    assert float(rows[record["best_epoch"] - 1]["validation_accuracy"]) == best
    assert accuracy > 0.3

    assert [name for name, _ in recorder.calls] == ["started", *["epoch"] * 3, "finished"]
    assert recorder.calls[0][1] == 25
    assert recorder.calls[-1][1] == record["model_hash"]
    assert set(recorder.calls[1][1]) == set(COLUMNS)


def test_without_bfloat16_instructions_auto_gives_the_bits_of_float32(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    p = settings("train.precision=float32")
    run(p)
    explicit = p.paths.model.read_bytes()
    monkeypatch.setattr(backend, "cpu_flags", lambda: {"avx2"})
    run(settings("train.precision=auto"))
    assert "precision: float32, this CPU has no instructions" in capsys.readouterr().out
    assert p.paths.model.read_bytes() == explicit
    assert json.loads(p.paths.training.read_text())["precision"] == "float32"


def test_a_model_trained_in_bfloat16_is_published_in_float32(settings: Settings) -> None:
    p = settings("train.precision=bfloat16")
    run(p)
    assert json.loads(p.paths.training.read_text())["precision"] == "bfloat16"
    model = model_file.load(p.paths.model)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert {weight.dtype for weight in model.weights} == {"float32"}


def test_diagnostics_change_no_bit_and_add_columns_to_the_history(settings: Settings) -> None:
    p = settings("train.diagnostics=true")
    run(p)
    diagnosed, weights = history(p), p.paths.model.read_bytes()
    run(settings())
    assert p.paths.model.read_bytes() == weights
    added = [name for name in diagnosed[0] if name not in COLUMNS]
    assert [{name: row[name] for name in COLUMNS} for row in diagnosed] == history(p)
    assert "gradient_norm/group1_block1" in added
    assert all(float(row[name]) > 0 for row in diagnosed for name in added)


def test_without_validation_images_the_last_epoch_is_kept(settings: Settings) -> None:
    p, recorder = settings(), Recorder()
    without_validation(p)
    run(p, recorder)
    assert json.loads(p.paths.training.read_text())["best_epoch"] == len(history(p)) == 2
    assert {row["validation_accuracy"] for row in history(p)} == {""}
    assert "validation_accuracy" not in recorder.calls[1][1]


def test_the_last_epoch_may_be_a_partial_one(settings: Settings) -> None:
    p = settings("train.steps=null", "train.epochs=1.5")
    run(p)
    assert [row["step"] for row in history(p)] == ["10", "15"]


def test_early_stop_ends_after_epochs_without_a_better_one(settings: Settings) -> None:
    # A rate too small to change any prediction: no epoch is better than the first.
    p = settings("train.early_stop=2", "train.steps=100", "train.schedule.peak=1e-12")
    run(p)
    rows = history(p)
    best = json.loads(p.paths.training.read_text())["best_epoch"]
    assert len(rows) == best + 2 < 10


def test_early_stop_without_validation_images_is_refused(settings: Settings) -> None:
    p = settings("train.early_stop=2")
    without_validation(p)
    with pytest.raises(PipelineError, match=r"set data\.validation above 0"):
        run(p)


def test_a_diverging_loss_names_its_step_and_leaves_nothing(settings: Settings) -> None:
    p, recorder = settings("train.schedule.peak=1e30", "train.schedule.warmup=0"), Recorder()
    with pytest.raises(PipelineError, match=r"the loss is .* at step \d+: .* train.schedule.peak"):
        run(p, recorder)
    assert recorder.calls[-1][0] == "failed"
    assert not p.paths.model.exists()
    assert not p.paths.training.exists()


@pytest.mark.parametrize(
    ("factor", "validated", "observation"),
    [
        ("1.0e-30", True, "the validation loss is nan after step 20"),
        ("1.0e-30", False, "the model's output is not finite for 10 of 10 training images"),
        ("1.0e-45", False, "a weight is not a finite number after step 20"),
    ],
)
def test_a_model_that_the_last_step_spoils_is_not_published(
    settings: Settings, factor: str, validated: bool, observation: str
) -> None:
    p = settings(
        "runtime.checkpoint_seconds=0",
        "train.schedule.name=piecewise",
        "train.schedule.boundaries=[0.95]",  # the 20th step alone has another rate
        f"train.schedule.factor={factor}",
    )
    recorder = Recorder()
    if not validated:
        without_validation(p)
    folder = p.paths.model.parent
    before = {*folder.iterdir(), folder / "checkpoints"}
    for _ in range(2):  # the second time it resumes, and fails in the same way
        with pytest.raises(PipelineError, match=f"{observation}: training diverged; lower"):
            run(p, recorder)
        assert recorder.calls[-1][0] == "failed"
        assert set(folder.iterdir()) == before
        assert min(int(path.name[:9]) for path in folder.glob("checkpoints/*/*.npz")) < 20


def test_sigterm_interrupts_training_and_the_callback_is_called(settings: Settings) -> None:
    p = settings("train.steps=1000000")
    recorder = Recorder(at_epoch=lambda: signal.raise_signal(signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StoppedError, match="after step 10 of 1000000; run it again to resume"):
        run(p, recorder)
    assert [name for name, _ in recorder.calls] == ["started", "epoch", "stopped"]
    assert signal.getsignal(signal.SIGTERM) == before
    assert not p.paths.model.exists()


def test_less_than_a_batch_of_images_is_refused(settings: Settings) -> None:
    with pytest.raises(PipelineError, match="320 training images, less than one batch of 321"):
        run(settings("train.batch=321"))


def test_a_profile_of_images_that_are_all_alike_is_refused(settings: Settings) -> None:
    p = settings()
    p.paths.profile.write_text(
        json.dumps({"mean": [128.0] * 3, "deviation": [0.0] * 3, "classes": ["one", "two"]})
    )
    with pytest.raises(PipelineError, match="deviations above 0"):
        run(p)


@pytest.mark.parametrize("content", [None, "{", "{}"])
def test_a_profile_that_cannot_be_read_is_refused(settings: Settings, content: str | None) -> None:
    p = settings()
    p.paths.profile.unlink()
    if content is not None:
        p.paths.profile.write_text(content)
    with pytest.raises(PipelineError, match="resnet ingest"):
        run(p)


def test_importing_the_stage_imports_no_keras() -> None:
    assert "keras" not in loaded("import resnet.training.train")
