"""The command `completion`: a script that completes commands, options and file names in a shell."""

import argparse
from pathlib import Path
from typing import Any

from resnet.cli.command import Commands

SHELLS = ("bash", "zsh", "fish")


def add(commands: Commands, top: argparse.ArgumentParser) -> None:
    """Add it to the parser `top`, whose commands it completes."""
    text = "print a script that completes commands and options in a shell"
    completion = commands.add_parser("completion", help=text, description=text)
    completion.set_defaults(parser=completion)
    completion.add_argument("shell", choices=SHELLS, action=_Print, top=top)


class _Print(argparse.Action):
    """Prints the script while the arguments are parsed: it is wanted outside of a checkout, too."""

    def __init__(self, *words: Any, top: argparse.ArgumentParser, **more: Any) -> None:
        super().__init__(*words, **more)
        self._top = top

    def __call__(self, parser: argparse.ArgumentParser, *words: Any) -> None:
        import shtab

        shell = words[1]
        _complete_files(self._top, shtab.FILE)
        print(shtab.complete(self._top, shell))
        parser.exit()


def _complete_files(parser: argparse.ArgumentParser, how: object) -> None:
    """Tell shtab which arguments are files: those that are parsed as a path."""
    for action in parser._actions:
        if action.type is Path:
            action.complete = how  # type: ignore[attr-defined]
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                _complete_files(child, how)
