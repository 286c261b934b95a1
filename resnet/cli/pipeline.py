"""Commands that run the pipeline, a stage of it, or what is around it: checks and servers."""

import argparse
import os
from pathlib import Path

from resnet.checkout import project
from resnet.checkout.command import WHEN_TOLD, arguments_when_told
from resnet.cli.command import Commands, command
from resnet.errors import PipelineError
from resnet.system import network

# The options with a value that `resnet start` passes on to Prefect.
PASSED_ON = (
    ("param", "KEY=VALUE", "a parameter of the flow; may be given several times"),
    ("params", "JSON", "all of them as one object"),
    ("start-in", "DURATION", "such as '2 hours'"),
    ("start-at", "TIME", "such as 'tomorrow 03:00'"),
)


def add(commands: Commands) -> None:
    """Add them to the parser."""
    _add_run(commands)
    _add_stages(commands)
    _add_servers(commands)


def _add_run(commands: Commands) -> None:
    run = command(commands, "run", _run, "run the whole pipeline as a Prefect flow run")
    run.add_argument("--preset", default="quick", help="presets/NAME.yaml; quick is params.yaml")
    run.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="such as train.epochs=3"
    )
    run.add_argument(
        "--promote",
        choices=["if-better", "ask", "never"],
        default="if-better",
        help="ask: a version that passes the gate waits for 'resnet approve'",
    )
    run.add_argument(
        "--or-synthetic",
        "--or-stand-in",  # its name before
        action="store_true",
        help="use the synthetic data set if CIFAR-10 is not available",
    )
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="say which stages would run and why, and what the registry lacks; do nothing",
    )


def _add_stages(commands: Commands) -> None:
    """The stages, each as DVC calls it, and what registers their outputs."""
    for name, function, text in (
        ("fetch", _fetch, "stage: get and verify the data set's files"),
        ("ingest", _ingest, "stage: check, split and profile the samples"),
        ("annotate", _annotate, "stage: get the annotations of the test samples"),
        ("train", _train, "stage: train the network"),
        ("evaluate", _evaluate, "stage: score the model on the test samples"),
        ("export", _export, "stage: write the portable forms that agree with the model"),
    ):
        command(commands, name, function, text).set_defaults(resumes=name == "train")
    text = "register the outputs of the stages as a run and a version"
    publish = command(commands, "publish", _publish, text)
    publish.add_argument("--cause", help="why the model was trained, a tag of the version")
    publish.add_argument(WHEN_TOLD, action="store_true", help=argparse.SUPPRESS)


def _add_servers(commands: Commands) -> None:
    """The servers, what they execute, and what checks all of it."""
    command(commands, "doctor", _doctor, "check the installation for known problems")
    _add_start(commands)
    text = "execute the runs of the deployments, until interrupted"
    command(commands, "worker", _worker, text)
    text = "put the deployments of prefect.yaml on the running server"
    command(commands, "deploy", _deploy, text).add_argument(
        "--take-over", action="store_true", help="also those of another checkout"
    )
    text = "run Prefect's and MLflow's servers on loopback, until interrupted"
    ui = command(commands, "ui", _ui, text)
    for server, variable in (("prefect", network.PREFECT_PORT), ("mlflow", network.MLFLOW_PORT)):
        ui.add_argument(
            f"--{server}-port",
            type=int,
            metavar="PORT",
            help=f"from now on; {network.PORTS[variable]} until another is given",
        )


def _add_start(commands: Commands) -> None:
    text = "start a run of a deployment, as 'prefect deployment run' does with the same options"
    start = command(commands, "start", _start, text)
    start.add_argument("deployment", help="such as retrain/weekly")
    for name, metavar, text in PASSED_ON:
        start.add_argument(f"--{name}", action="append", default=[], metavar=metavar, help=text)
    start.add_argument("--watch", action="store_true", help="wait until it has ended")


def _run(root: Path, arguments: argparse.Namespace) -> None:
    choices = {
        "preset": arguments.preset,
        "overrides": arguments.set,
        "promote": arguments.promote,
        "or_synthetic": arguments.or_synthetic,
    }
    if arguments.dry_run:
        from resnet.operations import dry_run

        print(dry_run.report(root, **choices))
    else:
        from flows import start

        try:
            start.run(root, **choices)
        except KeyboardInterrupt:
            raise PipelineError(
                "interrupted: a training keeps its last checkpoint, and the same command resumes it"
            ) from None


def _fetch(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params
    from resnet.data import datasets
    from resnet.data.fetch import fetch

    parameters = params.load(root)
    dataset = datasets.load(parameters.data.dataset)
    fetch(dataset, parameters.paths, parameters.runtime, project.downloads(root))


def _ingest(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params
    from resnet.data import datasets
    from resnet.data.ingest import ingest

    parameters = params.load(root)
    ingest(datasets.load(parameters.data.dataset), parameters.data, parameters.paths)


def _annotate(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params
    from resnet.data import datasets
    from resnet.data.sets.annotations import annotate

    parameters = params.load(root)
    names, folder = parameters.evaluate.annotations, parameters.paths.annotations
    dataset = datasets.load(parameters.data.dataset)
    annotate(names, dataset, folder, parameters.runtime, project.downloads(root))


def _train(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params
    from resnet.training import train

    parameters = params.load(root)
    callback = None
    if os.environ.get("MLFLOW_TRACKING_URI"):
        from resnet.registry.tracking.live_run import LiveRun

        callback = LiveRun(root, parameters)
    train.run(parameters, root, callback, arguments.stop)


def _evaluate(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params
    from resnet.model import backend

    parameters = params.load(root)
    device = backend.select(parameters.train.backend, parameters.train.device)
    from resnet.evaluation.evaluate import evaluate

    evaluate(parameters.evaluate, parameters.paths, device)


def _export(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params
    from resnet.model import backend

    parameters = params.load(root)
    if parameters.export.forms:
        backend.select("tensorflow", "cpu")
    from resnet.export.export import export

    export(parameters.export, parameters.paths)


def _publish(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params
    from resnet.model import backend

    backend.select("tensorflow", "cpu")
    from resnet.registry.tracking.publish import publish

    cause = arguments.cause
    if arguments.when_told:
        from resnet.registry.tracking import served_images  # noqa: F401  (it takes a while)

        told = arguments_when_told()
        if told is None:
            return
        cause = told["cause"]
    print(publish(params.load(root), root, cause))


def _doctor(root: Path, arguments: argparse.Namespace) -> int:
    from flows import health
    from resnet.operations.doctor import report

    return report.report(root, arguments.debug, health.CHECKS)


def _deploy(root: Path, arguments: argparse.Namespace) -> None:
    from flows.deploy import deploy

    deploy(root, arguments.take_over)


def _start(root: Path, arguments: argparse.Namespace) -> int:
    from flows import by_hand

    options = [
        f"--{name}={value}"
        for name, _, _ in PASSED_ON
        for value in getattr(arguments, name.replace("-", "_"))
    ]
    return by_hand.start(root, arguments.deployment, [*options, *["--watch"] * arguments.watch])


def _worker(root: Path, arguments: argparse.Namespace) -> None:
    from flows import worker

    worker.work(root)


def _ui(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.operations import servers

    servers.serve(
        root,
        {
            network.PREFECT_PORT: arguments.prefect_port,
            network.MLFLOW_PORT: arguments.mlflow_port,
        },
    )
