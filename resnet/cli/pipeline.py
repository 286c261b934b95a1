"""Commands that run the pipeline: the whole of it, a stage, and what stands around it."""

import argparse
import os
from pathlib import Path

from resnet.cli.command import Commands, command


def add(commands: Commands) -> None:
    """Add them to the parser."""
    run = command(commands, "run", _run, "the whole pipeline, as a Prefect flow run")
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
    for name, function, text in (
        ("fetch", _fetch, "stage: get and verify the data set's files"),
        ("ingest", _ingest, "stage: check, split and profile the images"),
        ("annotate", _annotate, "stage: get what is known of the test images"),
        ("train", _train, "stage: train the network"),
        ("evaluate", _evaluate, "stage: score the model on the test images"),
        ("doctor", _doctor, "look for the known traps, and say what to do about each"),
        ("deploy", _deploy, "the deployments of prefect.yaml onto the running server"),
        ("ui", _ui, "Prefect's and MLflow's servers on loopback, until interrupted"),
    ):
        added = command(commands, name, function, text)
        added.set_defaults(resumes=name == "train")
    publish = command(
        commands, "publish", _publish, "register what the stages made as a run and a version"
    )
    publish.add_argument("--cause", help="what caused the training, for the version's tag")


def _run(root: Path, arguments: argparse.Namespace) -> None:
    from flows import start

    start.run(
        root,
        preset=arguments.preset,
        overrides=arguments.set,
        promote=arguments.promote,
        or_stand_in=arguments.or_stand_in,
    )


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


def _annotate(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params
    from resnet.data.sets.annotations import annotate

    chosen = params.load(root)
    names, folder = chosen.evaluate.annotations, chosen.paths.annotations
    annotate(names, chosen.data.dataset, folder, chosen.runtime)


def _train(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params
    from resnet.training import train

    chosen = params.load(root)
    callback = None
    if os.environ.get("MLFLOW_TRACKING_URI"):
        from resnet.registry.tracking.live_run import LiveRun

        callback = LiveRun(root, chosen)
    train.run(chosen, root, callback, arguments.stop)


def _evaluate(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params
    from resnet.model import backend

    chosen = params.load(root)
    backend.select(chosen.train.backend, chosen.train.device)
    from resnet.evaluation.evaluate import evaluate

    evaluate(chosen.evaluate, chosen.paths)


def _publish(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params
    from resnet.model import backend

    chosen = params.load(root)
    backend.select("tensorflow", "cpu")
    from resnet.registry.tracking.publish import publish

    print(publish(chosen, root, arguments.cause))


def _doctor(root: Path, arguments: argparse.Namespace) -> int:
    from resnet.operations import doctor

    return doctor.report(root, arguments.debug)


def _deploy(root: Path, arguments: argparse.Namespace) -> None:
    from flows.deploy import deploy

    deploy(root)


def _ui(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.operations import servers

    servers.serve(root)
