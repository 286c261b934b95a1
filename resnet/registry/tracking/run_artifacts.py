"""What the stages made → the parts of one MLflow run, each logged once and marked with a tag."""

import json
import platform
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from resnet import params
from resnet.checkout import packages, provenance
from resnet.checkout.dvc_lock import DvcLock
from resnet.errors import PipelineError
from resnet.evaluation.values import Evaluation
from resnet.model.probe import IMAGES, Probe
from resnet.registry import store, versions
from resnet.registry.store import Client
from resnet.registry.tracking import curves
from resnet.system import files, mappings, processes

from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag

TOLD = ("backend", "device", "device_name", "cpu")  # of training.json, logged as tags
MEASURED = ("parameters", "epochs", "steps", "best_epoch", "seconds", "images_per_second")


@dataclass(frozen=True)
class Scores:
    """The outputs that say which model there is and how good it is. Quick to read."""

    paths: params.Paths  # absolute
    training: Mapping[str, Any]
    evaluation: Evaluation

    @classmethod
    def read(cls, chosen: params.Params, root: Path) -> Self:
        """Raises PipelineError where one is missing, or belongs to another model."""
        paths = chosen.paths.under(root)
        try:
            training = files.read_json(paths.training)
        except FileNotFoundError:
            raise PipelineError(
                f"{chosen.paths.training} is not there: run 'dvc repro' first"
            ) from None
        evaluation = Evaluation.read(paths.metrics)
        if evaluation.model_hash != training["model_hash"]:
            raise PipelineError(
                f"{chosen.paths.metrics} is about model {evaluation.model_hash[:12]}…, but "
                f"{training['model_hash'][:12]}… was trained: run 'dvc repro' first"
            )
        return cls(paths, training, evaluation)

    @property
    def model_hash(self) -> str:
        return self.evaluation.model_hash


@dataclass(frozen=True)
class Outputs:
    """All that `publish` records: the scores, and where they come from."""

    chosen: params.Params
    root: Path
    scores: Scores
    code: provenance.Code
    data_hash: str

    @classmethod
    def read(cls, chosen: params.Params, root: Path) -> Self:
        """Raises PipelineError where the outputs are not those that dvc.lock records."""
        scores = Scores.read(chosen, root)
        lock = DvcLock.read(root)
        lock.check(root, chosen)
        for path in (scores.paths.history, scores.paths.profile, *_reports(scores.paths)):
            if not path.exists():
                raise PipelineError(f"{path} is not there: run 'dvc repro' first")
        data_hash = lock.md5(chosen.paths.arrays)
        return cls(chosen, root, scores, provenance.code(root), data_hash)

    @property
    def origin(self) -> dict[str, str]:
        """Where the model comes from, as tags."""
        return {
            "git_commit": self.code.commit or "none",
            "git_dirty": str(self.code.dirty).lower(),
            "data_hash": self.data_hash,
            "params_hash": provenance.params_hash(self.chosen),
        }

    @cached_property
    def model(self) -> Any:
        """The model's file as a `keras.Model`. Needs TensorFlow.

        Raises PipelineError where it is not the model that was trained and evaluated.
        """
        from resnet.model import model_file

        model = model_file.load(self.scores.paths.model)
        found, wanted = model_file.model_hash(model), self.scores.model_hash
        if found != wanted:
            raise PipelineError(
                f"{self.chosen.paths.model} holds model {found[:12]}…, but {wanted[:12]}… was "
                "trained and evaluated: run 'dvc repro' first"
            )
        return model

    @cached_property
    def images_nhwc(self) -> Any:
        """A few test images, uint8 (n, 32, 32, 3): the first."""
        from resnet.data import arrays

        return arrays.load(self.scores.paths.arrays, "test").images_nhwc[:IMAGES]


def open_run(
    client: Client, experiment: str, chosen: params.Params, tags: Mapping[str, str]
) -> str:
    """A new run with the parameters already in it; its id."""
    user = {"mlflow.user": processes.user(), "mlflow.source.name": "resnet"}
    name = f"resnet-{chosen.net.depth}-{chosen.net.block}"
    run = client.create_run(experiment, tags={**user, **tags}, run_name=name)
    _log_parameters(client, run.info.run_id, chosen)
    return str(run.info.run_id)


def complete(client: Client, run_id: str, outputs: Outputs, anew: Collection[str] = ()) -> None:
    """Log the parts that the run lacks, and those named in `anew` in any case.

    A part's tag is set when all of it is there, and a part can be logged twice without harm: so
    this can be killed anywhere and called again.
    """
    tags = client.get_run(run_id).data.tags
    for name, log in PARTS.items():
        mark = outputs.scores.evaluation.hash if name == "evaluation" else "done"
        done = tags.get(f"logged.{name}") == mark and not _is_lost(client, run_id, name)
        if name in anew or not done:
            log(client, run_id, outputs)
            client.set_tag(run_id, f"logged.{name}", mark)


def _recipe(client: Client, run_id: str, outputs: Outputs) -> None:
    """Parameters, code, and the packages that were at work."""
    _log_parameters(client, run_id, outputs.chosen)
    versions_of = outputs.scores.training["versions"]
    tags = {
        **outputs.origin,
        **{name: str(outputs.scores.training[name]) for name in TOLD},
        **{f"version.{name}": str(version) for name, version in versions_of.items()},
        "system": platform.platform(),
    }
    if outputs.code.commit:
        tags["mlflow.source.git.commit"] = outputs.code.commit
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
    for name in ("params.yaml", "dvc.lock"):
        client.log_artifact(run_id, str(outputs.root / name), "recipe")
    client.log_text(run_id, outputs.code.patch, "recipe/changes.patch")
    client.log_text(run_id, packages.listed(), "recipe/packages.txt")


def _data(client: Client, run_id: str, outputs: Outputs) -> None:
    """The data set: its digest is DVC's own, so `dvc.lock` and the run name the same thing."""
    profile = files.read_json(outputs.scores.paths.profile)
    arrays = outputs.chosen.paths.arrays.as_posix()
    shape = {"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": [-1, 32, 32, 3]}}
    dataset = Dataset(
        name=outputs.chosen.data.dataset,
        digest=outputs.data_hash,
        source_type="local",
        source=json.dumps({"uri": arrays}),
        schema=json.dumps({"mlflow_tensorspec": {"features": json.dumps([shape])}}),
        profile=json.dumps(profile.get("counts", {})),
    )
    context = InputTag("mlflow.data.context", "training")
    client.log_inputs(run_id, datasets=[DatasetInput(dataset, [context])])
    client.log_artifact(run_id, str(outputs.scores.paths.profile), "data")


def _training(client: Client, run_id: str, outputs: Outputs) -> None:
    """Curves, and what training said of itself."""
    paths, training = outputs.scores.paths, outputs.scores.training
    curves.complete(client, run_id, curves.read(paths.history))
    store.log_metrics(client, run_id, {name: training[name] for name in MEASURED})
    for path in (paths.history, paths.training):
        client.log_artifact(run_id, str(path), "training")


def _model(client: Client, run_id: str, outputs: Outputs) -> None:
    """The model's file, byte for byte as dvc.lock has it."""
    path = outputs.scores.paths.model
    if path.name != versions.MODEL_FILE:
        raise PipelineError(f"paths.model is {path.name}: want a file {versions.MODEL_FILE}")
    client.log_artifact(run_id, str(path))


def _probe(client: Client, run_id: str, outputs: Outputs) -> None:
    """What the model answers to a few test images: whoever moves an alias asks it again."""
    folder, _, name = versions.PROBE_FILE.rpartition("/")
    with tempfile.TemporaryDirectory() as room:
        path = Path(room) / name
        Probe.of(outputs.model, outputs.images_nhwc).write(path)
        client.log_artifact(run_id, str(path), folder)


def _evaluation(client: Client, run_id: str, outputs: Outputs) -> None:
    """Metrics, predictions, tables and pictures; they take the place of an older evaluation's.

    dvc.lock too: it says which files they are, and the recipe's is from before a later evaluation.
    """
    paths = outputs.scores.paths
    store.log_metrics(client, run_id, asdict(outputs.scores.evaluation.metrics))
    client.log_artifact(run_id, str(outputs.root / "dvc.lock"), "evaluation")
    client.log_artifact(run_id, str(paths.metrics), "evaluation")
    for path in _reports(paths):
        if path.is_dir():
            client.log_artifacts(run_id, str(path), path.name)
        else:
            client.log_artifact(run_id, str(path), "evaluation")


PARTS: Mapping[str, Callable[[Client, str, Outputs], None]] = {
    "recipe": _recipe,
    "data": _data,
    "training": _training,
    "model": _model,
    "probe": _probe,
    "evaluation": _evaluation,
}
NEEDED = {"model": versions.MODEL_FILE, "probe": versions.PROBE_FILE}  # before an alias moves


def _is_lost(client: Client, run_id: str, part: str) -> bool:
    """Whether an artifact that the check before a move needs is not there."""
    path = NEEDED.get(part)
    if path is None:
        return False
    folder = path.rpartition("/")[0] or None
    return path not in {one.path for one in client.list_artifacts(run_id, folder)}


def _reports(paths: params.Paths) -> tuple[Path, ...]:
    """What an evaluation leaves beside its metrics; the last is a folder."""
    tables = (paths.per_class, paths.confusion, paths.reliability, paths.subsets)
    return (paths.predictions, *tables, paths.pictures)


def _log_parameters(client: Client, run_id: str, chosen: params.Params) -> None:
    values = chosen.model_dump(mode="json", include=provenance.MODEL_SECTIONS)
    flat = [Param(key, str(value)) for key, value in mappings.flatten(values).items()]
    client.log_batch(run_id, params=flat)
