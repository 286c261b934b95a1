"""Run a `resnet` command as a child process: for what loads TensorFlow and is not a stage."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from resnet.checkout import project
from resnet.errors import PipelineError
from resnet.system import processes
from resnet.system.processes import Say

WHEN_TOLD = "--when-told"  # the option of a command that waits as `Prepared` has it


def run(words: Sequence[str], root: Path, say: Say) -> list[str]:
    """The lines that `resnet WORDS` printed in the checkout at `root`, with no GPU visible to it.

    TensorFlow is not loaded into the caller's process. Raises PipelineError with the command's own
    error.
    """
    return _follow(words[0], _start(words, root, subprocess.DEVNULL), say)


class Prepared:
    """A command whose process imports what it needs before it is told what to do.

    It reads that, as JSON, from its input, and ends if there is nothing: so also when the process
    that started it is killed. To be closed.
    """

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self._process = _start([name, WHEN_TOLD], root, subprocess.PIPE)

    @property
    def waits(self) -> bool:
        """Whether it can still be told; else it was killed, perhaps for its memory."""
        return self._process.poll() is None

    def run(self, arguments: Mapping[str, Any], say: Say) -> list[str]:
        """The lines that it printed; once. Raises PipelineError with the command's own error."""
        assert self._process.stdin is not None  # noqa: S101  (it is a pipe)
        with suppress(BrokenPipeError), self._process.stdin as pipe:  # ended: its lines say why
            json.dump(arguments, pipe)
        return _follow(self.name, self._process, say)

    def close(self) -> None:
        """End it, if it has not ended."""
        if self._process.poll() is None:
            processes.end(self._process.pid)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def arguments_when_told() -> dict[str, Any] | None:
    """In the process of a `Prepared`: what it is told; None if it is not wanted."""
    text = sys.stdin.read()
    return dict(json.loads(text)) if text else None


def _start(words: Sequence[str], root: Path, stdin: int) -> subprocess.Popen[str]:
    env = {**project.environment(root), "CUDA_VISIBLE_DEVICES": "-1"}
    return processes.start([sys.executable, "-m", "resnet", *words], root, env, stdin)


def _follow(name: str, process: subprocess.Popen[str], say: Say) -> list[str]:
    before_error = processes.BeforeError(say)
    code, lines = processes.follow(process, before_error)
    if code:
        raise PipelineError(
            processes.error(lines) or f"resnet {name} exited with {code}: see the lines above"
        )
    before_error.release()
    return lines
