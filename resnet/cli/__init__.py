"""The `resnet` command: parse, call one function, print what it returns.

Exit codes: 0 success; 1 an expected error (missing file, bad parameters, no server), with one
message; 2 wrong usage; 75 training was interrupted, and resumes when it is run again; 141 nobody
reads the output any more, as for a process that SIGPIPE ends. Each command imports what it needs
when it runs, so that `resnet --help` answers at once.
"""

import argparse
import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from resnet.checkout import project
from resnet.cli import children, completion, overview, pipeline, registry
from resnet.cli.parser import Parser
from resnet.errors import STOPPED, PipelineError, StoppedError, UsageError
from resnet.messages import redaction
from resnet.system import disk_errors, processes
from resnet.system.termination import SIGNALS, Stop

# New objects between two garbage collections. Python's default is 700 (from 3.13 on, 2,000), which
# makes hundreds of collections while it imports TensorFlow, where there is no garbage to find.
GC_THRESHOLD = 10_000


def main(words: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code."""
    try:
        return _run(words)
    except BrokenPipeError:  # as of 'resnet history | head'
        if not processes.reader_gone(sys.stdout.fileno()):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes at its end
        return 128 + signal.SIGPIPE


def _run(words: Sequence[str] | None) -> int:
    parent = os.getppid()  # now: imports take seconds, in which it may end
    gc.set_threshold(GC_THRESHOLD)
    redaction.install()
    try:
        with ExitStack() as stack:
            with _signals_blocked():
                parser = _parser()
                arguments = parser.parse(words)
                if arguments.command is None:
                    parser.print_help()
                    return 0
                signal.signal(signal.SIGTERM, _exit_on_sigterm)
                if arguments.resumes:
                    arguments.stop = stack.enter_context(Stop(parent))
            arguments.here = Path.cwd()  # relative paths are the user's, not the checkout's
            root = project.find_root()
            project.enter(root)
            code: int | None = arguments.command(root, arguments)
            sys.stdout.flush()
    except StoppedError as error:
        print(f"error: {error}", file=sys.stderr)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # a second signal ends it no sooner
        return STOPPED
    except PipelineError as error:
        if arguments.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except OSError as error:
        message = disk_errors.denied(error)
        if arguments.debug or not message:
            raise
        print(f"error: {message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 1
    finally:
        gc.freeze()  # or the interpreter collects garbage in all of TensorFlow before it exits
    return code or 0


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Defer signals to the end of the block: only then is it known how to handle them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _exit_on_sigterm(number: int, frame: object) -> NoReturn:
    """Exit by an exception, so that servers and stages are ended on the way."""
    raise SystemExit(128 + number)


class _Version(argparse.Action):
    """`--version`: the installed package's, looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *words: Any) -> None:
        from importlib.metadata import version

        print(f"resnet {version('resnet-pipeline')}")
        parser.exit()


def _parser() -> Parser:
    parser = Parser(prog="resnet", description="From CIFAR-10 to a residual network in production.")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    parser.set_defaults(
        command=None,
        parser=parser,
        resumes=False,  # whether a signal makes the command end with STOPPED
    )
    commands = parser.add_subparsers(metavar="COMMAND")
    for group in (pipeline, overview, registry, children):
        group.add(commands)
    completion.add(commands, parser)
    return parser
