"""Two processes on loopback train as one: `python -m resnet train` in both."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnet import params
from resnet.errors import PipelineError
from resnet.model import backend, model_file, temperature
from resnet.params import Params
from tests.support import REPOSITORY

XLA_FLAGS = "--xla_backend_optimization_level=0"  # the network is tiny: save the compiler's time
Process = subprocess.Popen[str]


@pytest.fixture
def start(settings: Callable[..., Params], tmp_path: Path) -> Callable[..., Process]:
    """Starts `resnet train` on JAX, in a folder of its own and on the same arrays."""

    def started(name: str, *overrides: str, **environment: str) -> Process:
        folder = tmp_path / name
        files = {"model": "model.keras", "history": "history.csv", "training": "training.json"}
        outputs = [f"paths.{what}={folder / file}" for what, file in files.items()]
        p = settings("train.backend=jax", *outputs, *overrides)
        folder.mkdir()
        (folder / "params.yaml").write_text(params.dump(p.model_dump(mode="json")))
        shutil.copy(REPOSITORY / "dvc.yaml", folder)
        return subprocess.Popen(
            [sys.executable, "-m", "resnet", "train"],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(REPOSITORY),
                "XLA_FLAGS": XLA_FLAGS,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return started


def variables(process: int, address: str) -> dict[str, str]:
    return {
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": address,
        "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
        "KERAS_DISTRIBUTION_PROCESS_ID": str(process),
    }


@pytest.fixture
def address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def ended(process: Process) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def history(folder: Path) -> list[dict[str, Any]]:
    with (folder / "history.csv").open() as stream:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(stream)]


def test_two_processes_train_as_one_and_only_the_first_writes(
    start: Callable[..., Process], tmp_path: Path, address: str
) -> None:
    short = "train.steps=12", "train.schedule.peak=0.05"
    alone = start("alone", *short)
    processes = [
        start(f"process{k}", *short, "train.devices=all", **variables(k, address)) for k in (0, 1)
    ]
    for process in (alone, *processes):
        ended(process)

    for one, shared in zip(
        history(tmp_path / "alone"), history(tmp_path / "process0"), strict=True
    ):
        assert shared == pytest.approx(one, rel=1e-4)
    fitted = [
        json.loads((tmp_path / name / "training.json").read_text())["temperature"]
        for name in ("alone", "process0")
    ]
    assert fitted[1] == pytest.approx(fitted[0], rel=1e-3)
    assert temperature.of(model_file.load(tmp_path / "process0" / "model.keras")) == fitted[1]
    files = {path.name for path in (tmp_path / "process1").iterdir()}
    assert files == {"params.yaml", "dvc.yaml", ".state"}


REQUIRE_EQUAL = """
import sys, jax
jax.config.update("jax_platforms", "cpu")
process = int(sys.argv[2])
jax.distributed.initialize(sys.argv[1], 2, process)
from resnet.errors import PipelineError
from resnet.training.engines import multi_process
multi_process.require_equal("abcd")
try:
    multi_process.require_equal("abcd" if process == 0 else "abce")
except PipelineError as error:
    print(error)
"""


def test_processes_that_differ_do_not_train_together(address: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", REQUIRE_EQUAL, address, str(process)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for process in (0, 1)
    ]
    for process in processes:
        assert "process 1 has other parameters, images or code than process 0" in ended(process)


def test_several_processes_need_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_DISTRIBUTION_PROCESS_ID", "0")
    with pytest.raises(PipelineError, match=r"train\.backend is tensorflow: set it to jax"):
        backend.select("tensorflow", "cpu", distributed=True)


def test_half_of_the_variables_are_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_DISTRIBUTION_PROCESS_ID", "0")
    with pytest.raises(PipelineError, match="_JOB_ADDRESSES, .*_NUM_PROCESSES must also be set"):
        backend._join_processes("cpu")
