"""New batches of images in a real DVC repository: tracked when complete, pulled when absent."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from resnet import params
from resnet.checkout.dvc import DvcError
from resnet.data import arrivals
from resnet.data.arrivals import DataVersion, NewBatches
from tests.support import REPOSITORY, git


@pytest.fixture
def parameters() -> params.Params:
    loaded = params.load(REPOSITORY)
    return loaded.model_copy(
        update={"runtime": loaded.runtime.model_copy(update={"settle_seconds": 0})}
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with nothing but DVC's settings and an empty data/extra."""
    place = tmp_path / "checkout"
    (place / "data" / "extra").mkdir(parents=True)
    for name in (".gitignore", ".dvcignore", ".dvc/config"):
        (place / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(REPOSITORY / name, place / name)
    subprocess.run(["git", "init", "--quiet"], cwd=place, check=True)
    return place


def add(root: Path, name: str, value: int) -> Path:
    path = root / "data" / "extra" / name
    images = np.full((2, 32, 32, 3), value, np.uint8)
    np.savez(path, images=images, labels=np.zeros(2, np.uint8))
    return path


def tracked_by_git(root: Path) -> set[str]:
    words = ["git", "ls-files", "--others", "--exclude-standard", "data"]
    return set(subprocess.run(words, cwd=root, capture_output=True, text=True).stdout.split())


def test_a_new_batch_is_put_under_dvc_and_pulled_again(
    root: Path, parameters: params.Params
) -> None:
    path = add(root, "day.npz", 1)
    lines: list[str] = []
    before = DataVersion.current(root, parameters)
    assert arrivals.track(root, parameters, before, lines.append).tracked == ["day.npz"]
    assert tracked_by_git(root) == {"data/extra/day.npz.dvc"}
    here = DataVersion.current(root, parameters)
    assert here.change_since(before) == "day.npz was added"
    assert here.hash != before.hash
    assert arrivals.track(root, parameters, before, lines.append) == NewBatches([], [], [], [])

    content = path.read_bytes()
    path.unlink()
    assert DataVersion.current(root, parameters) == here
    absent = arrivals.absent(root, parameters)
    assert [track.name for track in absent] == ["day.npz.dvc"]
    arrivals.pull(root, parameters, absent, lines.append)
    assert path.read_bytes() == content
    assert arrivals.absent(root, parameters) == []

    add(root, "day.npz", 2)
    assert arrivals.track(root, parameters, here, lines.append).tracked == ["day.npz"]
    assert DataVersion.current(root, parameters).change_since(here) == "day.npz was changed"


def test_a_batch_whose_dvc_file_git_removed_is_not_tracked_again(
    root: Path, parameters: params.Params
) -> None:
    path, nothing = add(root, "day.npz", 1), DataVersion("a", {})
    arrivals.track(root, parameters, nothing, print)
    trained = DataVersion.current(root, parameters)
    Path(f"{path}.dvc").unlink()  # as a git pull takes it away, and leaves the data
    new = arrivals.track(root, parameters, trained, print)
    assert new.tracked == []
    (reason,) = new.unwanted
    assert "day.npz is not tracked by DVC: " in reason
    assert DataVersion.current(root, parameters).change_since(trained) == "day.npz was removed"

    path.rename(path.with_name("night.npz"))  # in DVC's cache, but under a name that nobody removed
    assert arrivals.track(root, parameters, trained, print).tracked == ["night.npz"]


def test_a_batch_that_dvc_refuses_does_not_hold_up_the_others(
    root: Path, parameters: params.Params, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / "data" / "extra" / "a").symlink_to(tmp_path / "elsewhere")
    add(root, "b.npz", 1)
    new = arrivals.track(root, parameters, DataVersion("a", {}), print)
    assert new.tracked == ["b.npz"]
    (refused,) = new.refused
    assert refused.startswith("add a: ")


def test_a_batch_that_no_training_could_read_is_not_tracked(
    root: Path, parameters: params.Params
) -> None:
    extra = root / "data" / "extra"
    (extra / "a" / "cat").mkdir(parents=True)
    (extra / "a" / "cat" / "IMG_1.HEIC").touch()
    (extra / "b.npz").write_bytes(b"no arrays")
    new = arrivals.track(root, parameters, DataVersion("a", {}), print)
    assert new.tracked == []
    assert "1 of its 1 files are not images that can be read" in new.refused[0]
    assert "b.npz is not an .npz file" in new.refused[1]
    assert list(extra.glob("*.dvc")) == []


def test_a_batch_that_cannot_be_pulled_is_an_error(root: Path, parameters: params.Params) -> None:
    path = root / "data" / "extra" / "gone.npz"
    Path(f"{path}.dvc").write_text(f"outs:\n- md5: {'0' * 32}\n  hash: md5\n  path: gone.npz\n")
    with pytest.raises(DvcError, match="^pull: "):
        arrivals.pull(root, parameters, arrivals.absent(root, parameters), lambda line: None)


def test_a_batch_that_is_still_being_written_is_left_alone(
    root: Path, parameters: params.Params
) -> None:
    path = add(root, "day.npz", 1)
    lines: list[str] = []
    os.utime(path, (0, 0))  # as a copy keeps the time of its original
    slow = parameters.runtime.model_copy(update={"settle_seconds": 3600})
    slow_parameters = parameters.model_copy(update={"runtime": slow})
    new = arrivals.track(root, slow_parameters, DataVersion("a", {}), lines.append)
    assert new == NewBatches([], ["day.npz"], [], [])
    assert [line for line in lines if "day.npz changed" in line and "still being written" in line]
    assert not Path(f"{path}.dvc").exists()


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (DataVersion("a", {}), DataVersion("a", {}), None),
        (DataVersion("a", {"x": "1"}), DataVersion("a", {"x": "1", "y": "2"}), "y was added"),
        (DataVersion("a", {"x": "1"}), DataVersion("a", {"x": "2"}), "x was changed"),
        (DataVersion("a", {"x": "1"}), DataVersion("a", {}), "x was removed"),
        (DataVersion("a", {}), DataVersion("b", {}), "the data set is published with other files"),
        (DataVersion(None, {}), DataVersion("b", {}), None),
        (
            DataVersion("a", {"x": "1", "y": "1"}),
            DataVersion("b", {"y": "2", "z": "1"}),
            "z was added, y was changed, x was removed, the data set is published with other files",
        ),
    ],
)
def test_what_is_new_is_described(
    before: DataVersion, after: DataVersion, change: str | None
) -> None:
    assert after.change_since(before) == change


def test_a_profile_records_what_it_was_made_from() -> None:
    profile = {"source": "a", "extra": {"x": {"md5": "1", "images": 3}}}
    assert DataVersion.of(profile) == DataVersion("a", {"x": "1"})
    assert DataVersion.of({"dataset": "cifar10"}) == DataVersion(None, {})


def dvc(root: Path, *words: str) -> str:
    command = [sys.executable, "-m", "dvc", *words]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def test_added_images_reach_the_remote_and_another_clone_and_a_second_pull_keeps_them(
    root: Path, parameters: params.Params, tmp_path: Path
) -> None:
    path = add(root, "day.npz", 1)
    before = DataVersion.current(root, parameters)
    assert arrivals.track(root, parameters, before, print).tracked == ["day.npz"]
    dvc(root, "push")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "A day's images")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(root), str(clone))
    remote = str(root / ".state" / "dvc-remote")
    dvc(clone, "remote", "modify", "--local", "local", "url", remote)
    for _ in range(2):
        dvc(clone, "pull")
        assert (clone / "data" / "extra" / "day.npz").read_bytes() == path.read_bytes()
    dvc(clone, "checkout")
    assert (clone / "data" / "extra" / "day.npz").exists()
    assert "up to date" in dvc(clone, "status")
