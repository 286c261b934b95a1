"""How a command of `resnet` is added to its parser."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Commands = Any  # argparse's subparsers, whose class has no public name
Function = Callable[[Path, argparse.Namespace], int | None]
"""What runs a command: (the checkout's root, the arguments) → the exit code, None for 0."""


def command(
    commands: Commands,
    name: str,
    function: Function,
    text: str,
    parents: Sequence[argparse.ArgumentParser] = (),
) -> argparse.ArgumentParser:
    """Add the command `name`, with the arguments of `parents`; its parser, for more of them."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, parents=parents
    )
    parser.set_defaults(command=function)
    return parser
