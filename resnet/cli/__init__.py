"""The `resnet` command: parse, call one function, print what it returns.

Exit codes: 0 success; 1 the world is wrong, with one message; 2 wrong usage; 75 training was told
to end, and goes on when it is called again. Each command imports what it needs when it runs, so
that `resnet --help` answers at once.
"""

import argparse
import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

from resnet.checkout import project
from resnet.cli import children, pipeline, registry
from resnet.errors import PipelineError, StoppedError
from resnet.system.termination import SIGNALS, Stop

STOPPED = 75  # told to end, and what was done is kept: EX_TEMPFAIL of sysexits.h
# New objects between two searches for garbage. By itself Python makes one after 700 (from 3.13 on,
# 2,000), and so hundreds while it imports TensorFlow, where there is none to find.
SEARCHED_AFTER = 10_000


def main(words: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code."""
    parent = os.getppid()  # now: what is loaded later takes seconds, in which it may end
    gc.set_threshold(SEARCHED_AFTER)
    try:
        with ExitStack() as ended:
            with _held_back():
                arguments = _parser().parse_args(words)
                signal.signal(signal.SIGTERM, _terminated)
                if arguments.resumes:
                    arguments.stop = ended.enter_context(Stop(parent))
            arguments.here = Path.cwd()  # relative paths are the user's, not the checkout's
            root = project.find_root()
            project.enter(root)
            code: int | None = arguments.command(root, arguments)
    except StoppedError as error:
        print(f"error: {error}", file=sys.stderr)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # told twice, it ends no sooner
        return STOPPED
    except PipelineError as error:
        if arguments.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 1
    finally:
        gc.freeze()  # or the interpreter looks for garbage in all of TensorFlow before it ends
    return code or 0


@contextmanager
def _held_back() -> Iterator[None]:
    """Let signals wait for the end of the block: then it is known what they mean."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _terminated(number: int, frame: object) -> NoReturn:
    """Leave by an exception, so that servers and stages are ended on the way."""
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="resnet", description="From CIFAR-10 to a residual network in production."
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(resumes=False)  # whether a signal makes the command end with STOPPED
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (pipeline, registry, children):
        group.add(commands)
    return parser
