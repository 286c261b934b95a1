"""Outputs of the stages → the parts of one MLflow run, each logged once and marked with a tag."""

import json
import platform
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from pathlib import Path

from resnet import params
from resnet.checkout import packages, provenance
from resnet.errors import PipelineError
from resnet.model.probe import Probe
from resnet.registry import portable_forms, store, versions
from resnet.registry.store import Client
from resnet.registry.tracking import curves
from resnet.registry.tracking.outputs import Outputs, evaluation_files
from resnet.registry.tracking.run_name import run_name
from resnet.system import account, mappings

from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag

TRAINING_TAGS = ("backend", "device", "device_name", "cpu")  # of training.json, logged as tags
TRAINING_METRICS = ("parameters", "epochs", "steps", "best_epoch", "seconds", "images_per_second")


def experiment(client: Client, model: str) -> str:
    """The id of the experiment with the trainings of the registered model `model`."""
    description = (
        f"Trainings of {model}, one per run; the registered model of that name has versions."
    )
    return store.experiment(client, model, description)


def open_run(
    client: Client,
    experiment: str,
    parameters: params.Params,
    root: Path,
    tags: Mapping[str, str],
) -> str:
    """Open a new run that has the parameters of the checkout at `root`; its id."""
    user = {"mlflow.user": account.user(), "mlflow.source.name": "resnet"}
    run = client.create_run(experiment, tags={**user, **tags}, run_name=run_name(parameters, root))
    _log_parameters(client, run.info.run_id, parameters)
    return str(run.info.run_id)


def complete(client: Client, run_id: str, outputs: Outputs, anew: Collection[str] = ()) -> None:
    """Log the parts that the run lacks, and in any case those named in `anew`.

    A part's tag is set after all of it is logged, and a part can be logged twice without harm: so
    this can be killed anywhere and called again.
    """
    tags = client.get_run(run_id).data.tags
    for name, log in PARTS.items():
        mark = outputs.marks.get(name, "done")
        done = tags.get(f"logged.{name}") == mark and not _is_lost(client, run_id, name)
        if name in anew or not done:
            log(client, run_id, outputs)
            store.set_tag(client, run_id, f"logged.{name}", mark)


def _recipe(client: Client, run_id: str, outputs: Outputs) -> None:
    """Parameters, code, and the installed packages."""
    _log_parameters(client, run_id, outputs.parameters)
    package_versions = outputs.reports.training["versions"]
    tags = {
        **outputs.origin,
        **{name: str(outputs.reports.training[name]) for name in TRAINING_TAGS},
        "precision": outputs.precision,
        **{f"version.{name}": str(version) for name, version in package_versions.items()},
        "system": platform.platform(),
    }
    if outputs.code.commit:
        tags["mlflow.source.git.commit"] = outputs.code.commit
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
    for name in ("params.yaml", "dvc.lock"):
        client.log_artifact(run_id, str(outputs.root / name), "recipe")
    with tempfile.TemporaryDirectory() as folder:
        patch = Path(folder) / "changes.patch"
        patch.write_bytes(
            outputs.code.patch.encode(errors="surrogateescape")
        )  # code may be Latin-1
        client.log_artifact(run_id, str(patch), "recipe")
    client.log_text(run_id, packages.listed(), "recipe/packages.txt")


def _data(client: Client, run_id: str, outputs: Outputs) -> None:
    """The data set: its digest is DVC's own, so `dvc.lock` and the run name the same thing."""
    arrays, images = outputs.parameters.paths.arrays.as_posix(), outputs.images_nhwc
    array = {"dtype": str(images.dtype), "shape": [-1, *images.shape[1:]]}
    features = [{"type": "tensor", "tensor-spec": array}]
    dataset = Dataset(
        name=outputs.parameters.data.dataset,
        digest=outputs.data_hash,
        source_type="local",
        source=json.dumps({"uri": arrays}),
        schema=json.dumps({"mlflow_tensorspec": {"features": json.dumps(features)}}),
        profile=json.dumps(outputs.counts),
    )
    context = InputTag("mlflow.data.context", "training")
    client.log_inputs(run_id, datasets=[DatasetInput(dataset, [context])])
    client.log_artifact(run_id, str(outputs.reports.paths.profile), "data")


def _training(client: Client, run_id: str, outputs: Outputs) -> None:
    """Curves, and training's own report."""
    paths, training = outputs.reports.paths, outputs.reports.training
    curves.complete(client, run_id, curves.read(paths.history))
    store.log_metrics(client, run_id, {name: training[name] for name in TRAINING_METRICS})
    for path in (paths.history, paths.training):
        client.log_artifact(run_id, str(path), "training")


def _model(client: Client, run_id: str, outputs: Outputs) -> None:
    """The model's file, byte for byte as dvc.lock has it."""
    path = outputs.reports.paths.model
    if path.name != versions.MODEL_FILE:
        raise PipelineError(f"paths.model is {path.name}: want a file {versions.MODEL_FILE}")
    client.log_artifact(run_id, str(path))


def _probe(client: Client, run_id: str, outputs: Outputs) -> None:
    """A few test samples and the model's probabilities, checked again before an alias moves."""
    artifact_folder, _, name = versions.PROBE_FILE.rpartition("/")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        Probe.of(outputs.model, outputs.images_nhwc).write(path)
        client.log_artifact(run_id, str(path), artifact_folder)


def _evaluation(client: Client, run_id: str, outputs: Outputs) -> None:
    """Metrics, predictions, tables and pictures; they replace those of an older evaluation.

    dvc.lock too: it names these files, and the recipe's is from before a later evaluation.
    """
    paths = outputs.reports.paths
    store.log_metrics(client, run_id, asdict(outputs.reports.evaluation.metrics))
    client.log_artifact(run_id, str(outputs.root / "dvc.lock"), "evaluation")
    client.log_artifact(run_id, str(paths.metrics), "evaluation")
    for path in evaluation_files(paths):
        if path.is_dir():
            client.log_artifacts(run_id, str(path), path.name)
        else:
            client.log_artifact(run_id, str(path), "evaluation")


def _portable(client: Client, run_id: str, outputs: Outputs) -> None:
    """The portable forms that were admitted; they replace those of an earlier export."""
    portable_forms.attach(client, run_id, outputs.reports.portable, outputs.reports.paths)


PARTS: Mapping[str, Callable[[Client, str, Outputs], None]] = {
    "recipe": _recipe,
    "data": _data,
    "training": _training,
    "model": _model,
    "probe": _probe,
    "evaluation": _evaluation,
    "portable": _portable,
}
NEEDED = {"model": versions.MODEL_FILE, "probe": versions.PROBE_FILE}  # before an alias moves


def _is_lost(client: Client, run_id: str, part: str) -> bool:
    """Whether an artifact that the check before a move needs is missing."""
    path = NEEDED.get(part)
    if path is None:
        return False
    folder = path.rpartition("/")[0] or None
    return path not in {file.path for file in client.list_artifacts(run_id, folder)}


def _log_parameters(client: Client, run_id: str, parameters: params.Params) -> None:
    values = parameters.model_dump(mode="json", include=provenance.MODEL_SECTIONS)
    flat = [Param(key, str(value)) for key, value in mappings.flatten(values).items()]
    client.log_batch(run_id, params=flat)
