"""Commands about registered versions: what they are, which is in production, who decided so."""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from resnet.cli.command import (
    A_VERSION,
    Commands,
    command,
    last,
    model_name,
    model_option,
    records_options,
)


class _Options(NamedTuple):
    """Arguments that several commands have, as argparse's parents."""

    version: argparse.ArgumentParser  # which version the command is about
    served: argparse.ArgumentParser  # the same, as an option: production by default
    reason: argparse.ArgumentParser
    model: argparse.ArgumentParser


def add(commands: Commands) -> None:
    """Add them to the parser."""
    version, served, reason = (argparse.ArgumentParser(add_help=False) for _ in range(3))
    options = _Options(version, served, reason, model_option())
    options.version.add_argument("version", help=A_VERSION)
    options.served.add_argument(
        "--version", default="production", help=f"{A_VERSION}; default: %(default)s"
    )
    options.reason.add_argument("--reason", required=True, help="why; the history records it")
    _add_moves(commands, options)
    _add_records(commands, options)
    _add_scoring(commands, options)


def _add_moves(commands: Commands, options: _Options) -> None:
    """Commands that decide which version is in production."""
    decision = [options.version, options.reason, options.model]
    text = "put a version into production if the gate lets it"
    promote = command(commands, "promote", _promote, text, decision)
    promote.add_argument(
        "--force", action="store_true", help="promote against the gate; the history records it"
    )
    text = "answer a request: put the version into production"
    command(commands, "approve", _approve, text, decision)
    text = "answer a request: leave production as it is"
    command(commands, "reject", _reject, text, decision)
    text = "put the previous production version back into production"
    rollback = command(commands, "rollback", _rollback, text, [options.reason, options.model])
    rollback.add_argument(
        "--to", metavar="VERSION", help="rollback target; default: the previous production version"
    )


def _add_records(commands: Commands, options: _Options) -> None:
    """Commands about what the registry holds: its ledger, its claims, its files."""
    text = "who moved what into production, when and why"
    parents = [options.model, records_options("events")]
    history = command(commands, "history", _history, text, parents)
    history.add_argument(
        "--verify",
        action="store_true",
        help="read the whole chain in the store, which is done once per day in any case",
    )

    text = "recover interrupted moves, and restore aliases that were changed outside the ledger"
    reconcile = command(commands, "reconcile", _reconcile, text, [options.model])
    reconcile.add_argument(
        "--accept",
        action="store_true",
        help="record a change outside the ledger; default: undo it",
    )
    reconcile.add_argument("--reason", default="", help="required with --accept")

    text = "let the registry of a checkout that was moved or copied find its artifacts"
    relocate = command(commands, "relocate", _relocate, text)
    relocate.add_argument(
        "--copied",
        action="store_true",
        help="the checkout is a copy: the original's artifacts stay the original's",
    )

    text = "rebuild a version from the registry and check every claim"
    verify = command(commands, "verify", _verify, text, [options.version, options.model])
    verify.add_argument(
        "--retrain", action="store_true", help="train it again as well, and compare the bits"
    )

    text = "upgrade MLflow's SQLite file to the installed MLflow; a copy of it stays"
    command(commands, "upgrade-store", _upgrade_store, text)

    text = "list what no alias, event or tag references; with --delete, remove it"
    prune = command(commands, "prune", _prune, text, [options.model])
    prune.add_argument("--delete", action="store_true", help="remove it; default: only list it")
    prune.add_argument(
        "--days", type=float, default=7.0, help="keep what is newer; default: %(default)g"
    )

    text = "render the model card, the page about a version"
    card = command(commands, "card", _card, text, [options.version, options.model])
    card.add_argument("--out", metavar="FILE", type=Path, help="write it to this file as well")


def _add_scoring(commands: Commands, options: _Options) -> None:
    """Commands that score samples with a version, and watch what it has scored."""
    served = [options.served, options.model]
    text = "classify samples, say images, with a registered version"
    predict = command(commands, "predict", _predict, text, served)
    predict.add_argument("source", type=Path, help="a file, a folder of them, or a parquet file")
    predict.add_argument(
        "--out",
        type=Path,
        default=Path("predictions.parquet"),
        help="parquet file to write; default: %(default)s",
    )
    predict.add_argument(
        "--no-record",
        dest="record",
        action="store_false",
        help="do not record the batch in the registry",
    )
    predict.add_argument("--flow-run", help=argparse.SUPPRESS)

    text = "compare the last scored batches with the version's reference data"
    monitor = command(commands, "monitor", _monitor, text, served)
    monitor.add_argument(
        "--batches", type=int, metavar="N", help="the last N; default: params.yaml's"
    )
    monitor.add_argument(
        "--out", type=Path, metavar="FILE", help="write the report to this file as well"
    )


def _promote(root: Path, arguments: argparse.Namespace) -> int:
    from resnet import params
    from resnet.registry.gate import gate
    from resnet.registry.promotion import promotion

    parameters = params.load(root)
    name = model_name(root, arguments)
    verdict = gate.judge(root, name, arguments.version, parameters.gate)
    decision = promotion.promote(root, verdict, reason=arguments.reason, force=arguments.force)
    print(decision)
    return 0 if decision.promoted else 1


def _approve(root: Path, arguments: argparse.Namespace) -> int:
    from resnet import params
    from resnet.registry.promotion import approval

    parameters = params.load(root)
    decision = approval.approve(
        root,
        model_name(root, arguments),
        arguments.version,
        parameters.gate,
        reason=arguments.reason,
    )
    print(decision)
    return 0 if decision.promoted else 1


def _reject(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.registry.promotion import approval

    name = model_name(root, arguments)
    print(approval.reject(root, name, arguments.version, reason=arguments.reason))


def _rollback(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.registry.promotion import promotion

    name = model_name(root, arguments)
    print(promotion.rollback(root, name, reason=arguments.reason, to=arguments.to))


def _history(root: Path, arguments: argparse.Namespace) -> None:
    from datetime import UTC, datetime

    from resnet.registry import store, versions
    from resnet.registry.promotion import history

    name = model_name(root, arguments)
    events, problems = history.read(root, name, verify=arguments.verify)
    if arguments.model and not events and not problems:  # an emptied store is a problem
        versions.registered_model(store.client(root), name)
    render = history.as_json_lines if arguments.json else history.as_table
    text = render(events, datetime.now(UTC), last(arguments))
    if text:  # as JSON lines, no event is no line
        print(text)
    for problem in problems:
        print(f"warning: {problem}", file=sys.stderr)
    if not problems and (check := history.last_check(root, name)):
        _progress(check)


def _reconcile(root: Path, arguments: argparse.Namespace) -> None:
    from flows import runs
    from resnet.errors import PipelineError
    from resnet.registry import store, versions
    from resnet.registry.promotion.reconcile import reconcile

    name, freed = model_name(root, arguments), []
    try:
        moved = reconcile(root, name, accept=arguments.accept, reason=arguments.reason)
        if arguments.model and not moved:
            versions.registered_model(store.client(root), name)
        for line in moved:
            print(line, flush=True)
    finally:  # a broken ledger keeps no run from being freed, nor a server that is down a move
        try:
            freed = runs.free(root)
        except PipelineError as error:
            print(f"warning: no flow run was looked at: {error}", file=sys.stderr)
        for line in freed:
            print(line, flush=True)
    if not moved and not freed:
        print("nothing to reconcile")


def _relocate(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.registry import relocation

    print(relocation.relocate(root, copied=arguments.copied))


def _verify(root: Path, arguments: argparse.Namespace) -> int:
    from resnet.registry.verification import claims
    from resnet.registry.verification.verify import verify

    name = model_name(root, arguments)
    checked = claims.EVERY if arguments.retrain else claims.CLAIMS
    report = verify(root, name, arguments.version, _progress, checked)
    print(report)
    return int(report.failed)


def _upgrade_store(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.registry import store

    print(store.upgrade(root))


def _prune(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.operations import prune

    name = model_name(root, arguments)
    items = prune.prune(root, name, arguments.days, arguments.delete)
    print(prune.as_text(items, arguments.delete))
    if why := prune.left_alone(root):
        print(why)


def _card(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.registry.card import card

    out = _out(arguments)
    model_card = card.make(root, model_name(root, arguments), arguments.version)
    print(model_card)
    if out:
        model_card.write(out)
        print(out)


def _predict(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.model import backend

    name = model_name(root, arguments)
    backend.select("tensorflow", "cpu")
    from resnet.serving.score_batch import score_registered

    source, out = (arguments.here / path for path in (arguments.source, arguments.out))
    scored = score_registered(
        root,
        name,
        arguments.version,
        source,
        out,
        record=arguments.record,
        flow_run=arguments.flow_run,
        say=_progress,
    )
    print(scored)


def _monitor(root: Path, arguments: argparse.Namespace) -> int:
    from resnet import params
    from resnet.monitoring.monitor import monitor
    from resnet.registry import links
    from resnet.system import files

    rules, out = params.load(root).monitor, _out(arguments)
    name = model_name(root, arguments)
    report = monitor(root, name, arguments.version, rules, arguments.batches)
    print(report)
    if how_to_open := links.how_to_open(root):
        _progress(how_to_open)
    if out:
        files.write_text(out, report.html)
    return 1 if report.drift.state == "Drift" else 0


def _out(arguments: argparse.Namespace) -> Path | None:
    """The file that --out names, in a folder that exists; None without the option."""
    from resnet.system import files

    if arguments.out is None:
        return None
    out: Path = arguments.here / arguments.out
    files.require_folder(out)
    return out


def _progress(line: str) -> None:
    """Print a line of progress to stderr: stdout is for what a command returns."""
    print(line, file=sys.stderr, flush=True)
