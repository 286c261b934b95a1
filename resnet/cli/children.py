"""Commands for child processes of `resnet promote` and others: what loads TensorFlow.

They have no help text, so `resnet --help` does not list them.
"""

import argparse
from pathlib import Path

from resnet.cli.command import Commands


def add(commands: Commands) -> None:
    """Add them to the parser."""
    rescore = commands.add_parser("rescore")
    rescore.set_defaults(command=_rescore, parser=rescore)
    rescore.add_argument("model", type=Path)
    rescore.add_argument("out", type=Path)
    rescore.add_argument("--test-hash", required=True)
    device = commands.add_parser("device")
    device.set_defaults(command=_device)
    device.add_argument("backend")
    device.add_argument("device")
    probe = commands.add_parser("probe")
    probe.set_defaults(command=_probe, parser=probe)
    probe.add_argument("model", type=Path)
    probe.add_argument("probe", type=Path)
    probe.add_argument("--model-hash", required=True)
    served = commands.add_parser("served")
    served.set_defaults(command=_served, parser=served)
    served.add_argument("file", type=Path)
    served.add_argument("model")
    served.add_argument("version", type=int)


def _device(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.model import backend

    backend.select(arguments.backend, arguments.device)


def _rescore(root: Path, arguments: argparse.Namespace) -> None:
    from resnet import params
    from resnet.model import backend

    parameters = params.load(root)
    backend.select("tensorflow", "cpu")
    from resnet.registry.gate.rescore import rescore

    rescore(
        arguments.model, arguments.out, arguments.test_hash, parameters.evaluate, parameters.paths
    )


def _probe(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.model import backend

    backend.select("tensorflow", "cpu")
    from resnet.model.probe import check_file

    check_file(arguments.model, arguments.probe, arguments.model_hash)


def _served(root: Path, arguments: argparse.Namespace) -> None:
    from resnet.model import backend

    backend.select("tensorflow", "cpu")
    from resnet.registry.verification import served_model

    served_model.report(root, arguments.file, arguments.model, arguments.version)
