"""Commands about registered versions: what they are, where they go, who said so."""

import argparse
import sys
from pathlib import Path

from resnet.cli.command import Commands, command

A_VERSION = "a number, or an alias such as candidate"


def add(commands: Commands) -> None:
    """Add them to the parser."""
    promote = command(
        commands, "promote", _promote, "put a version into production, if the gate lets it"
    )
    promote.add_argument("--force", action="store_true", help="against the gate; it is recorded")
    approve = command(
        commands, "approve", _approve, "answer a request: put the version into production"
    )
    reject = command(commands, "reject", _reject, "answer a request: leave production as it is")
    for decided in (promote, approve, reject):
        decided.add_argument("version", help=A_VERSION)

    rollback = command(
        commands, "rollback", _rollback, "put the version before back into production"
    )
    rollback.add_argument("--to", metavar="VERSION", help="this version; default: the one before")
    for reasoned in (promote, approve, reject, rollback):
        reasoned.add_argument("--reason", required=True)

    history = command(commands, "history", _history, "who moved what into production, when and why")
    history.add_argument("--json", action="store_true", help="as JSON lines")

    reconcile = command(
        commands, "reconcile", _reconcile, "finish or undo what a crash left of a move"
    )
    reconcile.add_argument(
        "--accept",
        action="store_true",
        help="record a move behind the ledger's back; default: undo it",
    )
    reconcile.add_argument("--reason", default="", help="needed with --accept")

    verify = command(
        commands, "verify", _verify, "rebuild a version from the registry, check every claim"
    )
    verify.add_argument("version", help=A_VERSION)
    verify.add_argument("--retrain", action="store_true", help="train it again; compare the bits")

    prune = command(commands, "prune", _prune, "list what no alias, event or tag holds; remove it")
    prune.add_argument("--delete", action="store_true", help="remove it; default: only list it")
    prune.add_argument(
        "--days", type=float, default=7.0, help="keep what is younger; default: %(default)g"
    )

    card = command(commands, "card", _card, "draw the page that says what a version is")
    card.add_argument("version", help=A_VERSION)
    card.add_argument("--out", metavar="FILE", type=Path, help="write it to this file as well")

    predict = command(commands, "predict", _predict, "classify images with a registered version")
    predict.add_argument("source", type=Path, help="an image, a folder of them, or a parquet file")
    predict.add_argument("--version", default="production", help=A_VERSION)
    predict.add_argument("--out", type=Path, default=Path("predictions.parquet"), help="parquet")

    predict.add_argument(
        "--no-record",
        dest="record",
        action="store_false",
        help="leave no record of the batch in the registry",
    )
    predict.add_argument("--flow-run", help=argparse.SUPPRESS)

    monitor = command(
        commands, "monitor", _monitor, "compare the last scored batches with what a version knows"
    )
    monitor.add_argument("--version", default="production", help=A_VERSION)
    monitor.add_argument(
        "--batches", type=int, metavar="N", help="the last N; default: params.yaml's"
    )
    monitor.add_argument("--out", type=Path, metavar="FILE", help="write the report there as well")

    of_a_model = (promote, approve, reject, rollback, history, reconcile, verify, prune, card)
    for about in (*of_a_model, predict, monitor):
        about.add_argument(
            "--model", metavar="NAME", help="registered model; default: params.yaml's"
        )


def _promote(root: Path, arguments: argparse.Namespace) -> int:
    from resnet import params
    from resnet.registry.gate import gate
    from resnet.registry.promotion import promotion

    chosen = params.load(root)
    name = _name(root, arguments)
    verdict = gate.judge(root, name, arguments.version, chosen.gate)
    decision = promotion.promote(root, verdict, reason=arguments.reason, force=arguments.force)
    print(decision)
    return 0 if decision.promoted else 1


def _approve(root: Path, arguments: argparse.Namespace) -> int:
    from resnet import params
    from resnet.registry.promotion import approval

    chosen = params.load(root)
    decision = approval.approve(
        root,
        _name(root, arguments),
        arguments.version,
        chosen.gate,
        reason=arguments.reason,
    )
    print(decision)
    return 0 if decision.promoted else 1


def _reject(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.registry.promotion import approval

    name = _name(root, arguments)
    print(approval.reject(root, name, arguments.version, reason=arguments.reason))


def _rollback(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.registry.promotion import promotion

    name = _name(root, arguments)
    print(promotion.rollback(root, name, reason=arguments.reason, to=arguments.to))


def _history(root: Path, arguments: argparse.Namespace) -> None:
    from datetime import UTC, datetime

    from resnet.registry.promotion import history

    name = _name(root, arguments)
    events, problems = history.read(root, name)
    show = history.as_json_lines if arguments.json else history.as_table
    text = show(events, datetime.now(UTC))
    if text:  # as JSON lines no event is no line
        print(text)
    for problem in problems:
        print(f"warning: {problem}", file=sys.stderr)


def _reconcile(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.registry.promotion.reconcile import reconcile

    name = _name(root, arguments)
    lines = reconcile(root, name, accept=arguments.accept, reason=arguments.reason)
    print("\n".join(lines) or "nothing to reconcile")


def _verify(root: Path, arguments: argparse.Namespace) -> int:
    from resnet.registry.verification import claims
    from resnet.registry.verification.verify import verify

    name = _name(root, arguments)
    chosen = claims.EVERY if arguments.retrain else claims.CLAIMS
    report = verify(root, name, arguments.version, _say, chosen)
    print(report)
    return int(report.failed)


def _prune(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.operations import prune

    name = _name(root, arguments)
    items = prune.prune(root, name, arguments.days, arguments.delete)
    print(prune.as_text(items, arguments.delete))


def _card(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.registry.card import card

    made = card.make(root, _name(root, arguments), arguments.version)
    print(made)
    if arguments.out:
        made.write(out := arguments.here / arguments.out)
        print(out)


def _predict(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.model import backend

    name = _name(root, arguments)
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
    )
    print(scored)


def _monitor(root: Path, arguments: argparse.Namespace) -> int:
    from resnet import params
    from resnet.monitoring.monitor import monitor
    from resnet.system import files

    rules = params.load(root).monitor
    name = _name(root, arguments)
    report = monitor(root, name, arguments.version, rules, arguments.batches)
    print(report)
    if arguments.out:
        files.write_text(arguments.here / arguments.out, report.html)
    return 1 if report.drift.verdict == "Drifted" else 0


def _say(line: str) -> None:
    """To stderr: stdout is for what a command returns."""
    print(line, file=sys.stderr, flush=True)


def _name(root: Path, arguments: argparse.Namespace) -> str:
    """The registered model that a command is about."""
    from resnet import params

    name: str = arguments.model or params.load(root).model_name
    return name
