"""A checkpoint is intact or skipped."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet.errors import PipelineError
from resnet.training.checkpoint import Checkpoints, TrainingState
from tests.support import REPOSITORY


def state(step: int) -> TrainingState:
    random = np.random.default_rng(step)
    return TrainingState(
        step=step,
        rows=[{"epoch": 1.0, "train_loss": 0.1 + 0.2}],
        best_epoch=1,
        seconds=step / 3,
        step_seconds=step / 7,
        results=random.normal(size=(5, 2)).astype(np.float32),
        best_weights=[random.normal(size=4).astype(np.float32)],
        engine_state=[random.normal(size=(3, 3)).astype(np.float32), np.array(step, np.int64)],
    )


def same(first: TrainingState | None, second: TrainingState) -> bool:
    return first is not None and all(
        np.array_equal(*pair) and np.asarray(pair[0]).dtype == np.asarray(pair[1]).dtype
        for name in vars(second)
        for pair in zip(values(first, name), values(second, name), strict=True)
    )


def values(state: TrainingState, name: str) -> list[Any]:
    value = vars(state)[name]
    return value if name in ("best_weights", "engine_state") else [value]


@pytest.fixture
def checkpoints(tmp_path: Path) -> Iterator[Checkpoints]:
    checkpoints = Checkpoints(tmp_path / "key", 0)
    with checkpoints.lock(0):
        yield checkpoints


def steps(checkpoints: Checkpoints) -> list[int]:
    return sorted(int(path.name[:9]) for path in checkpoints.folder.iterdir())


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_checkpoint_comes_back_to_the_bit(checkpoints: Checkpoints) -> None:
    checkpoints.write(state(7))
    assert same(checkpoints.latest(), state(7))
    assert not same(checkpoints.latest(), state(8))


def test_the_last_two_are_kept(checkpoints: Checkpoints) -> None:
    for step in (1, 20, 3000):
        checkpoints.write(state(step))
    assert steps(checkpoints) == [20, 3000]


@pytest.mark.parametrize("end", [None, -9, 0])
def test_a_damaged_checkpoint_is_skipped_with_a_warning(
    checkpoints: Checkpoints, end: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints.write(state(1))
    checkpoints.write(state(2))
    newest = max(checkpoints.folder.iterdir())
    if end is None:
        damage(newest)
    else:
        newest.write_bytes(newest.read_bytes()[:end])
    assert same(checkpoints.latest(), state(1))
    assert ".damaged; using the one before it" in capsys.readouterr().err


def test_damaged_checkpoints_do_not_push_out_the_intact_ones_after_them(
    checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (870, 900):
        checkpoints.write(state(step))
    for path in checkpoints.folder.iterdir():
        damage(path)
    assert checkpoints.latest() is None
    first, second = capsys.readouterr().err.splitlines()
    assert "000000900-" in first
    assert first.endswith("using the one before it")
    assert second.endswith("there is none before it")
    for step in (30, 60, 90):
        checkpoints.write(state(step))
    assert same(checkpoints.latest(), state(90))
    assert len(list(checkpoints.folder.glob("*.npz"))) == 2
    assert len(list(checkpoints.folder.glob("*.damaged"))) == 2


def test_a_half_written_checkpoint_is_removed_by_the_next_training(
    checkpoints: Checkpoints,
) -> None:
    other = Checkpoints(checkpoints.folder.with_name("other"), 0)
    with other.lock(0):
        other.write(state(1))
        (other.folder / "000000002-abc.part").touch()
    with other.lock(0):
        assert [path.suffix for path in other.folder.iterdir()] == [".npz"]


def test_nothing_is_left_when_training_is_finished(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "key", 0)
    with checkpoints.lock(0):
        checkpoints.write(state(1))
        (checkpoints.folder / "000000002-abc.part").touch()
        checkpoints.clear()
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_failed_before_its_first_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Checkpoints(tmp_path / "key", 0).lock(0):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def test_a_training_has_begun_while_a_process_runs_it_and_once_it_has_a_checkpoint(
    tmp_path: Path,
) -> None:
    checkpoints = Checkpoints(tmp_path / "key", 0)
    assert not checkpoints.has_begun()
    with checkpoints.lock(0):
        (checkpoints.folder / "mlflow-run").write_text("a run")
        assert checkpoints.has_begun()
    assert not checkpoints.has_begun()
    with checkpoints.lock(0):
        checkpoints.write(state(1))
    assert checkpoints.has_begun()


def test_a_full_disk_is_reported_and_the_checkpoint_before_is_intact(
    checkpoints: Checkpoints,
) -> None:
    checkpoints.write(state(1))
    with (
        files_of_at_most(100),
        pytest.raises(PipelineError, match="000000002-.* was not written, the disk is full"),
    ):
        checkpoints.write(state(2))
    assert same(checkpoints.latest(), state(1))
    assert steps(checkpoints) == [1]


FULL = """
import sys
from pathlib import Path
import numpy as np
from resnet.errors import PipelineError
from resnet.training.checkpoint import Checkpoints, TrainingState
checkpoints = Checkpoints(Path("key"), 0)
with checkpoints.lock(0):
    checkpoints.write(TrainingState(step=1))
    try:
        checkpoints.write(TrainingState(step=2, best_weights=[np.zeros(1_000_000)]))
    except PipelineError as error:
        print(error)
    print("latest:", checkpoints.latest().step, len(list(Path("key").iterdir())))
"""


def test_a_full_file_system_is_one_clear_error() -> None:
    in_namespace = ["unshare", "-rm", "sh", "-c"]
    mounted = "mount -t tmpfs -o size=1m tmpfs /mnt && cd /mnt && "
    if subprocess.run(
        [*in_namespace, mounted + "true"], capture_output=True, check=False
    ).returncode:
        pytest.skip("this system lets no user mount a small file system")
    process = subprocess.run(
        [*in_namespace, mounted + '"$0" "$@"', sys.executable, "-c", FULL],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (
        "the disk is full (No space left on device): free some space and run this" in process.stdout
    )
    assert "latest: 1 1" in process.stdout


def test_the_same_training_does_not_run_twice_at_once(
    checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Checkpoints(checkpoints.folder, 0)
    with (
        pytest.raises(PipelineError, match="still running in another process after 0 s of waiting"),
        other.lock(0),
    ):
        pass
    assert "the same training is running in another process; waiting" in capsys.readouterr().out
