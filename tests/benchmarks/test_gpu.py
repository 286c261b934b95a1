"""`python -m benchmarks.gpu` reports networks, and runs the speed record beside them."""

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


def test_a_network_is_trained_scored_and_reported(tmp_path: Path) -> None:
    overrides = ["data.dataset=generated", "train.device=cpu", "train.epochs=null"]
    overrides += ["train.steps=2", "net.depth=4", "net.widths=[8]"]
    command = [sys.executable, "-m", "benchmarks.gpu", "--preset", "smoke", "--seeds", "0"]
    command += ["--work", str(tmp_path)]
    command += [word for override in overrides for word in ("--set", override)]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    [row] = files.read_json(tmp_path / "report.json")["rows"]
    assert row["runs"][0]["steps"] == 2
    assert 0 <= row["test_accuracy"]["mean"] <= 1
    assert 0 < row["share_of_arithmetic"] <= row["share_of_roofline"] < 1


def test_the_speed_record_s_own_table_is_read(tmp_path: Path) -> None:
    from benchmarks import airbench

    raw, script = tmp_path / "raw", tmp_path / "airbench94.py"
    raw.mkdir()
    (raw / "data_batch_1").write_text("raw")
    script.write_text(AIRBENCH)
    for _ in range(2):
        report = airbench.measure(Path(sys.executable), script, tmp_path / "work", raw)
    assert report["runs"] == 3
    assert report["test_accuracy"] == {"mean": 0.941, "deviation": 0.001}
    assert report["seconds"] == {"mean": 4.1, "deviation": 0.1414}
    assert report["first_run_seconds"] == 9.5


def test_a_speed_record_that_fails_is_reported(tmp_path: Path) -> None:
    from benchmarks import airbench, gpu

    script = tmp_path / "airbench94.py"
    script.write_text("raise SystemExit(3)")
    report = airbench.measure(Path(sys.executable), script, tmp_path / "work", tmp_path)
    assert "exited with 3 after 0 runs" in report["failed"]
    assert gpu.compared_with_airbench({"loop_seconds": {"mean": 1.0}}, report) == {}
    report = airbench.measure(tmp_path / "none", script, tmp_path / "work", tmp_path)
    assert "cannot be run" in report["failed"]


def test_time_to_94_per_cent_is_the_loop_s_if_the_mean_accuracy_reaches_it() -> None:
    from benchmarks import gpu

    run = {
        "loop_seconds": 5.0,
        "setup_seconds": 9.0,
        "wall_seconds": None,  # it was resumed
        "images_per_second": 100.0,
    }
    runs = [run | {"test_accuracy": accuracy} for accuracy in (0.939, 0.942)]
    assert gpu.summary(runs)["loop_seconds_to_94%"] == 5.0
    assert gpu.summary(runs)["wall_seconds"] == {"mean": None}
    assert gpu.summary(runs[:1])["loop_seconds_to_94%"] is None
