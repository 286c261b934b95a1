"""Run a `resnet` command as a child process: for what loads TensorFlow and is not a stage."""

import sys
from collections.abc import Sequence
from pathlib import Path

from resnet.checkout import project
from resnet.errors import PipelineError
from resnet.system import processes
from resnet.system.processes import Say


def run(words: Sequence[str], root: Path, say: Say) -> list[str]:
    """The lines that `resnet WORDS` printed in the checkout at `root`, with no GPU visible to it.

    TensorFlow is not loaded into the caller's process. Raises PipelineError with the command's own
    error.
    """
    env = {**project.environment(root), "CUDA_VISIBLE_DEVICES": "-1"}
    before_error = processes.BeforeError(say)
    code, lines = processes.stream(
        [sys.executable, "-m", "resnet", *words], root, env, before_error
    )
    if code:
        raise PipelineError(
            processes.error(lines) or f"resnet {words[0]} exited with {code}: see the lines above"
        )
    before_error.release()
    return lines
