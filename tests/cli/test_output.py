"""What happens to a command whose output nobody reads any more."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows import start
from resnet import cli
from tests.support import REPOSITORY


def test_a_command_whose_output_nobody_reads_ends_quietly(tmp_path: Path) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "resnet", "history"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_run_that_is_interrupted_says_how_it_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(root: Path, **choices: object) -> None:
        raise KeyboardInterrupt

    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(start, "run", interrupted)
    assert cli.main(["run"]) == 1
    assert capsys.readouterr().err.endswith("and the same command resumes it\n")
