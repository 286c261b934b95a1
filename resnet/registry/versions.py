"""Find registered versions, and bring back the files that were attached to them."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from resnet.errors import PipelineError
from resnet.evaluation.values import Evaluation, Predictions
from resnet.registry import store
from resnet.registry.store import Client
from resnet.system import files

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

PRODUCTION = "production"  # the alias that serves
CANDIDATE = "candidate"  # the newest version that passed the gate
MODEL_FILE = "model.keras"  # artifacts of a version's run
METRICS_FILE = "evaluation/metrics.json"
PREDICTIONS_FILE = "evaluation/predictions.parquet"
PROFILE_FILE = "data/profile.json"
PROBE_FILE = "probe/probe.npz"  # see `resnet.model.probe`


@dataclass(frozen=True)
class Version:
    """A registered version, as the registry's records say."""

    name: str
    number: int
    run_id: str  # "" where somebody has made the version by hand, without a run
    model_hash: str
    file_hash: str  # SHA-256 of the attached model.keras
    evaluation_hash: str
    test_hash: str  # of the images that it was scored on
    aliases: tuple[str, ...]

    @classmethod
    def of(cls, found: ModelVersion) -> Self:
        """From MLflow's record of it."""
        tags = found.tags
        return cls(
            name=found.name,
            number=int(found.version),
            run_id=found.run_id or "",
            model_hash=tags.get("model_hash", ""),
            file_hash=tags.get("file_hash", ""),
            evaluation_hash=tags.get("evaluation_hash", ""),
            test_hash=tags.get("test_hash", ""),
            aliases=tuple(sorted(found.aliases)),
        )

    def __str__(self) -> str:
        aliases = f" ({', '.join(self.aliases)})" if self.aliases else ""
        return f"{self.name} version {self.number}{aliases}"


def get(client: Client, name: str, number: int) -> Version | None:
    """The version of `name` with that number."""
    try:
        return Version.of(client.get_model_version(name, str(number)))
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def find(client: Client, name: str, model_hash: str) -> Version | None:
    """The version of `name` with this model hash; the oldest where there are several."""
    found = client.search_model_versions(f"name = '{name}' and tags.model_hash = '{model_hash}'")
    # A search does not bring the aliases.
    return get(client, name, min(int(one.version) for one in found)) if found else None


def latest(client: Client, name: str) -> Version | None:
    """The newest version of `name`."""
    found = client.search_model_versions(
        f"name = '{name}'", max_results=1, order_by=["version_number DESC"]
    )
    return get(client, name, int(found[0].version)) if found else None


def with_alias(client: Client, name: str, alias: str) -> Version | None:
    """The version of `name` that `alias` names now."""
    try:
        return Version.of(client.get_model_version_by_alias(name, alias))
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def resolve(client: Client, name: str, selector: str | int) -> Version:
    """The version that `selector` names: a number, an alias, or `latest`.

    Raises PipelineError where there is none.
    """
    text = str(selector)
    version = (
        get(client, name, int(text))
        if text.isdecimal()
        else latest(client, name)
        if text == "latest"
        else with_alias(client, name, text)
    )
    if version is None:
        newest = latest(client, name)
        raise PipelineError(
            f"{name} has no version '{text}'; "
            + (f"its newest is {newest.number}" if newest else "it has none: publish one first")
        )
    return version


def download(client: Client, version: Version, into: Path) -> Path:
    """The attached model.keras in the folder `into`, byte for byte as it was published.

    Raises PipelineError where it is not there, or is not what was published.
    """
    path = fetch(client, version, MODEL_FILE, into)
    found = files.digest(path)
    if found != version.file_hash:
        raise PipelineError(
            f"{version}: its {MODEL_FILE} has sha256 {found[:12]}…, {version.file_hash[:12]}… was "
            "published: the registry's artifact is damaged; put the file back, which DVC's cache "
            "may still have, or take another version"
        )
    return path


def evaluation(client: Client, version: Version, into: Path) -> Evaluation:
    """The evaluation that belongs to `version`. `into` is a folder for the download.

    Raises PipelineError where it is not there, or is not the one that the version's tags name.
    """
    path = fetch(client, version, METRICS_FILE, into)
    try:
        found = Evaluation.from_dict(files.read_json(path))
    except (ValueError, KeyError, TypeError):
        found = None
    named = version.evaluation_hash, version.test_hash
    if found is None or (found.hash, found.test_hash) != named:
        raise PipelineError(
            f"{version}: its {METRICS_FILE} is not the evaluation that its tags name: "
            "run 'resnet publish' again"
        )
    return found


def predictions(client: Client, version: Version, into: Path) -> Predictions:
    """What `version` said of each test image in the evaluation that belongs to it.

    Raises PipelineError where they are not there, or do not give that evaluation's accuracy.
    """
    metrics = evaluation(client, version, into).metrics
    found = Predictions.read(fetch(client, version, PREDICTIONS_FILE, into))
    images, correct = len(found.labels_n), int(found.correct_n.sum())
    if (images, correct) != (metrics.images, metrics.correct):
        raise PipelineError(
            f"{version}: its {PREDICTIONS_FILE} has {correct} of {images} images right, but its "
            f"evaluation says {metrics.correct} of {metrics.images}: run 'resnet publish' again"
        )
    return found


def profile(client: Client, version: Version, into: Path) -> dict[str, Any]:
    """What ingest said of the data that `version` was trained on. Raises PipelineError."""
    path = fetch(client, version, PROFILE_FILE, into)
    try:
        return dict(files.read_json(path))
    except (ValueError, TypeError) as error:
        raise PipelineError(
            f"{version}: its {PROFILE_FILE} cannot be read ({error}): publish the model again"
        ) from None


def newest_profile(root: Path, name: str) -> dict[str, Any]:
    """What ingest said of the data of the newest version of `name`; nothing where there is none.

    Raises PipelineError where it cannot be read.
    """
    client = store.client(root)
    version = latest(client, name)
    if version is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        return profile(client, version, Path(folder))


def classes(client: Client, version: Version, into: Path) -> list[str]:
    """The names of the labels 0, 1, … that `version` was trained on. Raises PipelineError."""
    try:
        return [str(name) for name in profile(client, version, into)["classes"]]
    except (KeyError, TypeError) as error:
        raise PipelineError(
            f"{version}: its {PROFILE_FILE} names no classes ({error!r}): publish the model again"
        ) from None


def added(client: Client, version: Version, into: Path) -> dict[str, str]:
    """DVC's md5 of each batch that was added to the images `version` was trained on, by its name.

    Empty where its profile is from before there were any. Raises PipelineError.
    """
    try:
        batches = profile(client, version, into).get("extra", {})
        return {str(name): str(one["md5"]) for name, one in batches.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise PipelineError(
            f"{version}: its {PROFILE_FILE} does not name the batches that were added ({error!r}): "
            "publish the model again"
        ) from None


def fetch(client: Client, version: Version, artifact: str, into: Path) -> Path:
    """One artifact of the version's run, in the folder `into`. Raises PipelineError without it."""
    into.mkdir(parents=True, exist_ok=True)
    try:
        return client.fetch_artifact(version.run_id, artifact, into)
    except (MlflowException, OSError) as error:
        raise PipelineError(
            f"{version}: its artifact {artifact} cannot be read ({error}): was the artifact store "
            "moved or emptied? 'resnet doctor' looks"
        ) from error
