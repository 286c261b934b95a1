"""A process that publishes is started ahead of time, and leaves nothing if it is not wanted."""

import errno
from pathlib import Path

import psutil
import pytest
from prefect.logging import disable_run_logger

from flows import publication as publications
from flows.publication import publication
from resnet.checkout.command import Prepared
from resnet.errors import PipelineError
from tests.support import REPOSITORY

MEASURED = "evaluate: 100 % measured, accuracy 89.00%"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which no stage has run."""
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    return tmp_path


def publishing() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if "publish" in child.cmdline()]


def test_it_starts_once_all_is_measured_and_ends_if_it_is_not_wanted(tree: Path) -> None:
    with publication(tree) as one:
        for line in ("train: 100 % (5 of 5 steps)", "evaluate: 60 % (6 of 10)", "evaluate: done"):
            one.listen(line)
        assert publishing() == []
        one.listen(MEASURED)
        (process,) = publishing()
        one.listen(MEASURED)
        assert publishing() == [process]
    assert not process.is_running()
    assert not (tree / ".state" / "mlflow").exists()


def test_it_does_what_it_is_told_and_its_error_is_that_of_the_command(
    tree: Path,
) -> None:
    prepared = Prepared("publish", tree)
    lines: list[str] = []
    with pytest.raises(PipelineError, match=r"training\.json is not there: run 'dvc repro' first"):
        prepared.run({"cause": None}, lines.append)
    prepared.close()
    assert [line for line in lines if "error" in line] == []


def test_a_process_that_was_killed_or_could_not_be_started_is_replaced_by_another(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = r"training\.json is not there: run 'dvc repro' first"
    with publication(tree) as one, disable_run_logger():
        one.listen(MEASURED)
        (process,) = publishing()
        process.kill()
        process.wait()
        with pytest.raises(PipelineError, match=missing):
            one.run(None)

    def no_memory(*words: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(publications, "Prepared", no_memory)
    with publication(tree) as another:
        another.listen(MEASURED)  # the stage that prints it goes on


def test_it_ends_when_the_process_that_started_it_is_gone(tree: Path) -> None:
    prepared = Prepared("publish", tree)
    process = prepared._process
    assert process.stdin is not None
    process.stdin.close()  # as the kernel does
    assert process.wait(timeout=120) == 0
    prepared.close()
    assert not (tree / ".state" / "mlflow").exists()
