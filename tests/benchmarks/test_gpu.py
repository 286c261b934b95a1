"""`python -m benchmarks.gpu` keeps what is finished, and runs the speed record beside it."""

import subprocess
import sys
from pathlib import Path

import pytest

from resnet.system import files
from tests.support import REPOSITORY

AIRBENCH = """
from pathlib import Path
assert (Path("cifar10") / "cifar-10-batches-py" / "data_batch_1").read_text() == "raw"
print("-" * 9)
print("|  run     |  epoch  |  val_acc  |  tta_val_acc  |  total_time_seconds  |")
for run, seconds in enumerate((9.5, 4.0, 4.2)):
    print(f"|      {run}  |      0  |   0.5000  |               |              1.0000  |")
    print(f"|          |   eval  |   0.9300  |       0.94{run}0  |            {seconds:8.4f}  |")
print("Mean: 0.9410    Std: 0.0010")
"""


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REPOSITORY)


def test_a_folder_is_kept_until_what_is_trained_in_it_is_another(tmp_path: Path) -> None:
    from benchmarks import gpu

    data, folder = tmp_path / "data", tmp_path / "run"
    values = gpu.settings("smoke", ["data.dataset=generated"])
    images = gpu.shared(data, values)
    images.mkdir(parents=True)
    (images / "profile.json").touch()  # so that nothing is fetched
    kept = folder / ".state" / "checkpoints" / "a" / "000000001-b.npz"
    for overrides, stays in ([], True), (["train.seed=1"], False):
        gpu.prepared(folder, data, values)
        kept.parent.mkdir(parents=True)
        kept.touch()
        (folder / "run.json").write_text("{}")
        gpu.prepared(folder, data, gpu.settings("smoke", ["data.dataset=generated", *overrides]))
        assert kept.exists() == (folder / "run.json").exists() == stays
        assert (folder / "params.yaml").exists()
        assert (folder / "dvc.yaml").exists()
        gpu.shutil.rmtree(folder)


def test_a_network_is_trained_scored_and_reported(tmp_path: Path) -> None:
    chosen = ["data.dataset=generated", "train.device=cpu", "train.epochs=null", "train.steps=2"]
    chosen += ["net.depth=4", "net.widths=[8]"]
    told = ["--preset", "smoke", "--seeds", "0", "--work", str(tmp_path)]
    told += [word for one in chosen for word in ("--set", one)]
    subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *told],
        cwd=REPOSITORY,
        check=True,
    )
    [row] = files.read_json(tmp_path / "report.json")["rows"]
    assert row["runs"][0]["steps"] == 2
    assert 0 <= row["test_accuracy"]["mean"] <= 1
    assert 0 < row["share_of_arithmetic"] <= row["share_of_roofline"] < 1


def test_the_user_s_own_python_path_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import gpu

    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert gpu.environment()["PYTHONPATH"] == f"{REPOSITORY}:/somewhere"
    monkeypatch.delenv("PYTHONPATH")
    assert gpu.environment()["PYTHONPATH"] == str(REPOSITORY)


def test_the_speed_records_own_table_is_read(tmp_path: Path) -> None:
    from benchmarks import airbench

    raw, script = tmp_path / "raw", tmp_path / "airbench94.py"
    raw.mkdir()
    (raw / "data_batch_1").write_text("raw")
    script.write_text(AIRBENCH)
    for _ in range(2):
        found = airbench.measured(Path(sys.executable), script, tmp_path / "work", raw)
    assert found["runs"] == 3
    assert found["test_accuracy"] == {"mean": 0.941, "deviation": 0.001}
    assert found["seconds"] == {"mean": 4.1, "deviation": 0.1414}
    assert found["first_run_seconds"] == 9.5


def test_a_speed_record_that_fails_says_so(tmp_path: Path) -> None:
    from benchmarks import airbench, gpu

    script = tmp_path / "airbench94.py"
    script.write_text("raise SystemExit(3)")
    found = airbench.measured(Path(sys.executable), script, tmp_path / "work", tmp_path)
    assert "exited with 3 after 0 runs" in found["failed"]
    assert gpu.beside({"loop_seconds": {"mean": 1.0}}, found) == {}
    found = airbench.measured(tmp_path / "none", script, tmp_path / "work", tmp_path)
    assert "cannot be run" in found["failed"]


def test_time_to_94_per_cent_is_the_loops_where_the_mean_reaches_it() -> None:
    from benchmarks import gpu

    run = {
        "loop_seconds": 5.0,
        "setup_seconds": 9.0,
        "wall_seconds": None,  # it was taken up
        "images_per_second": 100.0,
    }
    runs = [run | {"test_accuracy": accuracy} for accuracy in (0.939, 0.942)]
    assert gpu.summary(runs)["loop_seconds_to_94%"] == 5.0
    assert gpu.summary(runs)["wall_seconds"] == {"mean": None}
    assert gpu.summary(runs[:1])["loop_seconds_to_94%"] is None
