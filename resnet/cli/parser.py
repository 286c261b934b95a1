"""The parser of the command line: its errors suggest what a mistyped word was meant to be."""

import argparse
from collections.abc import Sequence
from typing import Any

from resnet.messages.spelling import suggestion


class Parser(argparse.ArgumentParser):
    """The parser of `resnet`, and of each of its commands."""

    def parse(self, words: Sequence[str] | None) -> argparse.Namespace:
        """As `parse_args`, but an unknown option is an error of the command that it is given to."""
        arguments, unknown = self.parse_known_args(words)
        if unknown:
            parser: Parser = arguments.parser
            options = [word for action in parser._actions for word in action.option_strings]
            hint = suggestion(unknown[0].partition("=")[0], options)
            parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return arguments

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """argparse's own check of choices; its list of commands would name hidden ones as well."""
        if not isinstance(action, argparse._SubParsersAction) or value in action.choices:
            return super()._check_value(action, value)
        hint = suggestion(str(value), [one.dest for one in action._get_subactions()])
        raise argparse.ArgumentError(
            None, f"there is no command '{value}'{hint or ': resnet --help lists them'}"
        )
