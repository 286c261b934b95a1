"""A stage of a recorded commit is run by the command that dvc.lock records for it."""

from pathlib import Path

import pytest
import yaml

from resnet.checkout import rebuild
from resnet.errors import PipelineError


def tree(folder: Path, listed: str, recorded: str) -> Path:
    """A checkout with one stage, whose command dvc.yaml lists and dvc.lock records."""
    for name, command in (("dvc.yaml", listed), ("dvc.lock", recorded)):
        (folder / name).write_text(yaml.safe_dump({"stages": {"train": {"cmd": command}}}))
    return folder


def test_the_recorded_command_is_run_whatever_it_is_called(tmp_path: Path) -> None:
    command = "exec python -c 'from pathlib import Path; Path(\"made\").touch()'"
    rebuild.run("train", tree(tmp_path, command, command), False, lambda line: None)
    assert (tmp_path / "made").exists()


def test_a_command_that_the_commit_does_not_have_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="records the command 'touch made' .* is not run"):
        rebuild.run("train", tree(tmp_path, "true", "touch made"), False, lambda line: None)
    assert not (tmp_path / "made").exists()


def test_a_stage_without_a_recorded_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no command of stage evaluate"):
        rebuild.run("evaluate", tree(tmp_path, "true", "true"), False, lambda line: None)
