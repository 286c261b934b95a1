"""The folders of checkpoints as other processes than trainings see them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from resnet.checkout import checkpoint_folders
from resnet.training.checkpoint import Checkpoints, TrainingState

Make = Callable[..., Checkpoints]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Leave the checkpoint of a training that was killed `age` seconds ago."""
    monkeypatch.delenv("RESNET_STATE", raising=False)

    def make_one(name: str, age: float) -> Checkpoints:
        folder = checkpoint_folders.home(tmp_path) / name
        checkpoints = Checkpoints(folder, 0)
        with checkpoints.lock(0):
            checkpoints.write(TrainingState(step=1))
        for path in (*folder.iterdir(), folder):
            moment = path.stat().st_mtime - age
            os.utime(path, (moment, moment))
        return checkpoints

    return make_one


def test_an_old_training_that_does_not_run_is_abandoned_and_any_other_is_resumable(
    tmp_path: Path, make: Make
) -> None:
    old, young, going_on = make("a", 100), make("b", 0), make("c", 100)
    before = young.folder.stat().st_mtime - 50
    with going_on.lock(0):
        assert checkpoint_folders.abandoned(tmp_path, before) == [old.folder]
        assert checkpoint_folders.resumable(tmp_path, before) == [young.folder, going_on.folder]
    assert checkpoint_folders.abandoned(tmp_path, before) == [old.folder, going_on.folder]


def test_a_folder_is_removed_with_its_lock_unless_somebody_trains_there(
    tmp_path: Path, make: Make
) -> None:
    checkpoints = make("a", 100)
    with checkpoints.lock(0):
        checkpoint_folders.remove(checkpoints.folder)
        assert checkpoints.latest() is not None
    checkpoint_folders.remove(checkpoints.folder)
    assert list(checkpoint_folders.home(tmp_path).iterdir()) == []
