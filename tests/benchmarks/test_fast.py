"""`python -m benchmarks.fast` trains a preset on several seeds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from resnet import params
from resnet.system import files
from tests.support import REPOSITORY


def test_each_seed_is_trained_and_scored_and_writes_nothing_into_the_checkout(
    tmp_path: Path,
) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(REPOSITORY / "presets", checkout / "presets")
    shutil.copy(REPOSITORY / "dvc.yaml", checkout)
    values = params.merge(params.read(REPOSITORY), REPOSITORY, None, ["data.dataset=generated"])
    (checkout / "params.yaml").write_text(params.dump(values))
    (checkout / "presets" / "tiny.yaml").write_text(
        "net: {depth: 4, widths: [8]}\ntrain: {epochs: null, steps: 2, batch: 64}\n"
    )

    def run(*command: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        subprocess.run([sys.executable, "-m", *command], cwd=checkout, env=environment, check=True)

    def modification_times() -> dict[str, int]:
        paths = (path for name in ("data", "presets") for path in (checkout / name).rglob("*"))
        return {str(path): path.stat().st_mtime_ns for path in paths}

    run("resnet", "fetch")
    before, names = modification_times(), {path.name for path in checkout.iterdir()}
    out = tmp_path / "fast.json"
    run("benchmarks.fast", "--preset", "tiny", "--seeds", "3", "4", "--out", str(out))
    report = files.read_json(out)
    assert [run["seed"] for run in report["runs"]] == [3, 4]
    for name in ("accuracy", "seconds"):
        first, second = (run[name] for run in report["runs"])
        assert report[name]["mean"] == pytest.approx((first + second) / 2)
        assert report[name]["deviation"] == pytest.approx(abs(first - second) / 2**0.5)
    assert len({run["model_hash"] for run in report["runs"]}) == 2
    assert modification_times() == before
    assert {path.name for path in checkout.iterdir()} == names
