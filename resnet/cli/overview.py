"""Commands that show what there is: versions, how two of them differ, runs."""

import argparse
from pathlib import Path

from resnet.cli.command import (
    A_VERSION,
    Commands,
    command,
    last,
    model_name,
    model_option,
    positive,
    records_options,
)


def add(commands: Commands) -> None:
    """Add them to the parser."""
    model = [model_option()]
    text = "list the versions: aliases, accuracy, and what differs from production"
    command(commands, "versions", _versions, text, [*model, records_options("versions")])

    text = "compare two versions: parameters, code, data, metrics, the gate's verdicts"
    diff = command(commands, "diff", _diff, text, model)
    diff.add_argument("version", help=A_VERSION)
    diff.add_argument(
        "other", nargs="?", help="another; without it, production is compared with VERSION"
    )

    text = "list the recent runs and why they failed: flow runs if a server runs, else trainings"
    runs = command(commands, "runs", _runs, text, model)
    runs.add_argument(
        "--failed", action="store_true", help="only those that failed, crashed or were cancelled"
    )
    runs.add_argument(
        "--last", type=positive, default=20, metavar="N", help="how many; default: %(default)s"
    )


def _versions(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.registry.overview import listing

    render = listing.as_json_lines if arguments.json else listing.as_table
    print(render(root, model_name(root, arguments), last(arguments)))


def _diff(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.registry.overview import difference

    first, second = arguments.version, arguments.other
    if second is None:
        first, second = "production", first
    print(difference.as_table(root, model_name(root, arguments), first, second))


def _runs(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.system import addresses

    api = addresses.running_prefect()
    if api:
        from flows import recent

        print(recent.report(api, arguments.failed, arguments.last))
        return
    from resnet.registry.overview import runs

    print("no Prefect server is running ('make ui' starts it, with all flow runs): trainings only")
    print(runs.report(root, model_name(root, arguments), arguments.failed, arguments.last))
