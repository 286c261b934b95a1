"""Commands that show what there is: versions, how two of them differ, runs."""

import argparse
from pathlib import Path

from resnet.cli.command import A_VERSION, Commands, command, model_name, model_option


def add(commands: Commands) -> None:
    """Add them to the parser."""
    model = [model_option()]
    text = "list the versions: aliases, accuracy, and what differs from production"
    versions = command(commands, "versions", _versions, text, model)
    versions.add_argument("--json", action="store_true", help="as JSON lines, with everything")

    text = "compare two versions: parameters, code, data, metrics, the gate's verdicts"
    diff = command(commands, "diff", _diff, text, model)
    diff.add_argument("version", help=A_VERSION)
    diff.add_argument(
        "other", nargs="?", help="another; without it, production is compared with VERSION"
    )


def _versions(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.registry.overview import listing

    render = listing.as_json_lines if arguments.json else listing.as_table
    print(render(root, model_name(root, arguments)))


def _diff(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.registry.overview import difference

    first, second = arguments.version, arguments.other
    if second is None:
        first, second = "production", first
    print(difference.as_table(root, model_name(root, arguments), first, second))
