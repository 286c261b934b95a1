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
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from resnet import project
from resnet.errors import PipelineError, StoppedError

STOPPED = 75  # told to end, and what was done is kept: EX_TEMPFAIL of sysexits.h


def main(words: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code."""
    arguments = _parser().parse_args(words)
    arguments.here = Path.cwd()  # relative paths are the user's, not the checkout's
    signal.signal(signal.SIGTERM, _terminated)
    try:
        root = project.find_root()
        project.enter(root)
        code: int | None = arguments.command(root, arguments)
    except PipelineError as error:
        if arguments.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return STOPPED if isinstance(error, StoppedError) else 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 1
    finally:
        gc.freeze()  # or the interpreter looks for garbage in all of TensorFlow before it ends
    return code or 0


def _terminated(number: int, frame: object) -> NoReturn:
    """Leave by an exception, so that servers and stages are ended on the way."""
    raise SystemExit(128 + number)


def _fetch(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params
    from resnet.data.fetch import fetch

    chosen = params.load(root)
    fetch(chosen.data, chosen.paths, chosen.runtime)


def _ingest(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params
    from resnet.data.ingest import ingest

    chosen = params.load(root)
    ingest(chosen.data, chosen.paths)


def _train(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params, provenance
    from resnet.training.train import train

    chosen = params.load(root)
    listener = None
    if os.environ.get("MLFLOW_TRACKING_URI"):
        from resnet.registry.live import LiveRun

        listener = LiveRun(root, chosen)
    checkpoints, key = project.state(root) / "checkpoints", provenance.training_key(chosen, root)
    train(chosen.net, chosen.train, chosen.paths, chosen.runtime, checkpoints, key, listener)


def _evaluate(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import backend, params

    chosen = params.load(root)
    backend.select(chosen.train.backend, chosen.train.device)
    from resnet.evaluation.evaluate import evaluate

    evaluate(chosen.evaluate, chosen.paths)


def _publish(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import backend, params

    chosen = params.load(root)
    backend.select("tensorflow", "cpu")
    from resnet.registry.publish import publish

    print(publish(chosen, root))


def _promote(root: Path, arguments: argparse.Namespace) -> int:
    from resnet import params
    from resnet.registry import gate, promotion

    chosen = params.load(root)
    name = arguments.model or chosen.model_name
    verdict = gate.judge(root, name, arguments.version, chosen.gate)
    decision = promotion.promote(root, verdict, reason=arguments.reason, force=arguments.force)
    print(decision)
    return 0 if decision.promoted else 1


def _approve(root: Path, arguments: argparse.Namespace) -> int:
    from resnet import params
    from resnet.registry import approval

    chosen = params.load(root)
    decision = approval.approve(
        root,
        arguments.model or chosen.model_name,
        arguments.version,
        chosen.gate,
        reason=arguments.reason,
    )
    print(decision)
    return 0 if decision.promoted else 1


def _reject(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params
    from resnet.registry import approval

    name = arguments.model or params.load(root).model_name
    print(approval.reject(root, name, arguments.version, reason=arguments.reason))


def _rollback(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params
    from resnet.registry import promotion

    name = arguments.model or params.load(root).model_name
    print(promotion.rollback(root, name, reason=arguments.reason, to=arguments.to))


def _history(root: Path, arguments: argparse.Namespace) -> None:
    from datetime import UTC, datetime

    from resnet import params
    from resnet.registry import history

    name = arguments.model or params.load(root).model_name
    events, problems = history.read(root, name)
    show = history.as_json_lines if arguments.json else history.as_table
    print(show(events, datetime.now(UTC)))
    for problem in problems:
        print(f"warning: {problem}", file=sys.stderr)


def _reconcile(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params
    from resnet.registry.reconcile import reconcile

    name = arguments.model or params.load(root).model_name
    lines = reconcile(root, name, accept=arguments.accept, reason=arguments.reason)
    print("\n".join(lines) or "nothing to reconcile")


def _probe(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import backend

    backend.select("tensorflow", "cpu")
    from resnet.probe import check_file

    check_file(arguments.model, arguments.probe, arguments.model_hash)


def _verify(root: Path, arguments: argparse.Namespace) -> int:
    from resnet import params
    from resnet.registry import claims
    from resnet.registry.verify import verify

    name = arguments.model or params.load(root).model_name
    chosen = claims.EVERY if arguments.retrain else claims.CLAIMS
    report = verify(root, name, arguments.version, _progress, chosen)
    print(report)
    return int(report.failed)


def _prune(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params, prune

    name = arguments.model or params.load(root).model_name
    items = prune.prune(root, name, arguments.days, arguments.delete)
    print(prune.as_text(items, arguments.delete))


def _served(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import backend

    backend.select("tensorflow", "cpu")
    from resnet.registry import served

    served.report(root, arguments.file, arguments.model, arguments.version)


def _progress(line: str) -> None:
    """To stderr: stdout is for what a command returns."""
    print(line, file=sys.stderr, flush=True)


def _predict(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import backend, params

    name = arguments.model or params.load(root).model_name
    backend.select("tensorflow", "cpu")
    from resnet.serving.registered import score_registered

    source, out = (arguments.here / path for path in (arguments.source, arguments.out))
    version, summary = score_registered(root, name, arguments.version, source, out)
    print(f"{summary.images} images scored by {version}: {out}")
    for label, count in summary.counts.items():
        print(f"  {label:<12}{count:>7}")
    print(f"  mean confidence {summary.confidence:.1%}")


def _rescore(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import backend, params

    chosen = params.load(root)
    backend.select("tensorflow", "cpu")
    from resnet.registry.rescore import rescore

    rescore(arguments.model, arguments.out, arguments.test_hash, chosen.evaluate, chosen.paths)


def _run(root: Path, arguments: argparse.Namespace) -> None:
    from flows import start

    start.run(
        root,
        preset=arguments.preset,
        overrides=arguments.set,
        promote=arguments.promote,
        stand_in=arguments.or_stand_in,
    )


def _doctor(root: Path, arguments: argparse.Namespace) -> int:
    from resnet import doctor

    return doctor.report(root)


def _deploy(root: Path, arguments: argparse.Namespace) -> None:
    from flows.deploy import deploy

    deploy(root)


def _ui(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import servers

    servers.serve(root)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="resnet", description="From CIFAR-10 to a residual network in production."
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: object, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=function)
        return added

    def of_model(added: argparse.ArgumentParser) -> None:
        added.add_argument(
            "--model", metavar="NAME", help="registered model; default: params.yaml's"
        )

    run = command("run", _run, "the whole pipeline, as a Prefect flow run")
    run.add_argument("--preset", default="quick", help="presets/NAME.yaml; quick is params.yaml")
    run.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="such as train.epochs=3"
    )
    run.add_argument(
        "--promote",
        choices=["if-better", "ask", "never"],
        default="if-better",
        help="ask: what passes the gate waits for 'resnet approve'",
    )
    run.add_argument(
        "--or-stand-in",
        action="store_true",
        help="use the generated stand-in where CIFAR-10 cannot be had",
    )

    command("fetch", _fetch, "stage: get and verify the data set's files")
    command("ingest", _ingest, "stage: check, split and profile the images")
    command("train", _train, "stage: train the network")
    command("evaluate", _evaluate, "stage: score the model on the test images")
    command("publish", _publish, "register what the stages made as a run and a version of MLflow")

    promote = command("promote", _promote, "put a version into production, if the gate lets it")
    promote.add_argument("version", help="a version's number, or an alias such as candidate")
    promote.add_argument("--reason", required=True)
    promote.add_argument("--force", action="store_true", help="against the gate; it is recorded")
    of_model(promote)

    for name, function, text in (
        ("approve", _approve, "answer a request for approval: put the version into production"),
        ("reject", _reject, "answer a request for approval: leave production as it is"),
    ):
        answer = command(name, function, text)
        answer.add_argument("version", help="a version's number, or an alias such as candidate")
        answer.add_argument("--reason", required=True)
        of_model(answer)

    rollback = command("rollback", _rollback, "put the version before back into production")
    rollback.add_argument("--reason", required=True)
    rollback.add_argument("--to", metavar="VERSION", help="this version; default: the one before")
    of_model(rollback)

    history = command("history", _history, "who moved what into production, when and why")
    history.add_argument("--json", action="store_true", help="as JSON lines")
    of_model(history)

    reconcile = command("reconcile", _reconcile, "finish or undo what a crash left of a move")
    reconcile.add_argument(
        "--accept",
        action="store_true",
        help="record a move behind the ledger's back; default: undo it",
    )
    reconcile.add_argument("--reason", default="", help="needed with --accept")
    of_model(reconcile)

    verify = command("verify", _verify, "rebuild a version from the registry, check every claim")
    verify.add_argument("version", help="a number or an alias")
    verify.add_argument("--retrain", action="store_true", help="train it again; compare the bits")
    of_model(verify)

    prune = command("prune", _prune, "list what no alias, event or tag holds; remove it")
    prune.add_argument("--delete", action="store_true", help="remove it; default: only list it")
    prune.add_argument(
        "--days", type=float, default=7.0, help="keep what is younger; default: %(default)g"
    )
    of_model(prune)

    predict = command("predict", _predict, "classify images with a registered version")
    predict.add_argument("source", type=Path, help="an image, a folder of them, or a parquet file")
    predict.add_argument("--version", default="production", help="a number or an alias")
    predict.add_argument("--out", type=Path, default=Path("predictions.parquet"), help="parquet")
    of_model(predict)

    # For `resnet promote` and its like, which start them: without a help text they are not listed.
    rescore = commands.add_parser("rescore")
    rescore.set_defaults(command=_rescore)
    rescore.add_argument("model", type=Path)
    rescore.add_argument("out", type=Path)
    rescore.add_argument("--test-hash", required=True)
    probe = commands.add_parser("probe")
    probe.set_defaults(command=_probe)
    probe.add_argument("model", type=Path)
    probe.add_argument("probe", type=Path)
    probe.add_argument("--model-hash", required=True)
    served = commands.add_parser("served")
    served.set_defaults(command=_served)
    served.add_argument("file", type=Path)
    served.add_argument("model")
    served.add_argument("version", type=int)

    command("doctor", _doctor, "look for the known traps, and say what to do about each")
    command("deploy", _deploy, "the deployments of prefect.yaml onto the running server")
    command("ui", _ui, "Prefect's and MLflow's servers on loopback, until interrupted")
    return parser


if __name__ == "__main__":
    sys.exit(main())
