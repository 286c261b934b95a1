"""How a command of `resnet` is added to its parser."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

A_VERSION = "a number, or an alias such as candidate"
LAST = 50  # rows of a table, unless others are asked for
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
    parser.set_defaults(command=function, parser=parser)
    return parser


def model_option() -> argparse.ArgumentParser:
    """The option `--model`, as a parent of parsers: see `model_name`."""
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument(
        "--model", metavar="NAME", help="registered model; default: the one of params.yaml's data"
    )
    return parent


def model_name(root: Path, arguments: argparse.Namespace) -> str:
    """The name of the registered model that a command is about."""
    from resnet import params

    name: str = arguments.model or params.load(root).model_name
    return name


def records_options(what: str) -> argparse.ArgumentParser:
    """The options of a command that lists `what` there is, as a parent of parsers: see `last`."""
    parent = argparse.ArgumentParser(add_help=False)
    number = parent.add_mutually_exclusive_group()
    number.add_argument(
        "--last", type=positive, metavar="N", help=f"the last N {what}; default: {LAST}"
    )
    number.add_argument("--all", action="store_true", help=f"all {what}; the default of --json")
    parent.add_argument("--json", action="store_true", help="as JSON lines, with everything")
    return parent


def last(arguments: argparse.Namespace) -> int | None:
    """How many of the last records to list; None for all."""
    number: int | None = arguments.last
    return number if number or arguments.all or arguments.json else LAST


def positive(text: str) -> int:
    """An argument that is a whole number above zero. Raises ValueError, which argparse reports."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above zero")
    return number
