"""Find registered versions, and download the files of their runs."""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from resnet.data.arrivals import DataVersion
from resnet.data.profile import Profile
from resnet.errors import PipelineError
from resnet.evaluation.records import Evaluation, Predictions
from resnet.registry import store
from resnet.registry.store import Client
from resnet.system import files

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

LOCK = re.compile(r"\.lock(\.[0-9a-f]{32})?$")  # ends the name of a lock: see `ledger.lock`
PRODUCTION = "production"  # the alias of the version that serves
CANDIDATE = "candidate"  # the newest version that passed the gate
MODEL_FILE = "model.keras"  # artifacts of a version's run
METRICS_FILE = "evaluation/metrics.json"
PREDICTIONS_FILE = "evaluation/predictions.parquet"
PROFILE_FILE = "data/profile.json"
PROBE_FILE = "probe/probe.npz"  # see `resnet.model.probe`


class MissingArtifactError(PipelineError):
    """An artifact of a version's run, named by `artifact`, cannot be read."""

    def __init__(self, message: str, artifact: str = "") -> None:
        super().__init__(message)
        self.artifact = artifact


class VersionId(NamedTuple):
    """Which version: MLflow gives a number again after a registered model was deleted."""

    number: int
    model_hash: str | None
    """"" if it was registered without one, by hand; None if an earlier release's event is silent"""

    def is_same(self, other: "VersionId") -> bool:
        """Whether both are one version, as far as the ledger knows their model hashes."""
        silent = None in (self.model_hash, other.model_hash)
        return self.number == other.number and (silent or self.model_hash == other.model_hash)

    def __str__(self) -> str:
        if self.model_hash == "":
            return f"{self.number} (registered without a model hash)"
        return f"{self.number} (model {self.model_hash[:12] if self.model_hash else 'unknown'})"


@dataclass(frozen=True)
class Version:
    """A registered version, as the registry records it."""

    name: str
    number: int
    run_id: str  # "" if somebody registered the version by hand, without a run
    model_hash: str
    file_hash: str  # SHA-256 of the attached model.keras
    evaluation_hash: str
    test_hash: str  # of the test samples that it was evaluated on
    aliases: tuple[str, ...]
    portable_hash: str = ""  # SHA-256 of the report on its portable forms; "" if it has none

    @classmethod
    def of(cls, registered: ModelVersion) -> Self:
        """From MLflow's record of it."""
        tags = registered.tags
        return cls(
            name=registered.name,
            number=int(registered.version),
            run_id=registered.run_id or "",
            model_hash=tags.get("model_hash", ""),
            file_hash=tags.get("file_hash", ""),
            evaluation_hash=tags.get("evaluation_hash", ""),
            test_hash=tags.get("test_hash", ""),
            aliases=tuple(sorted(registered.aliases)),
            portable_hash=tags.get("portable_hash", ""),
        )

    @property
    def id(self) -> VersionId:
        """What identifies it in the ledger."""
        return VersionId(self.number, self.model_hash)

    def __str__(self) -> str:
        aliases = f" ({', '.join(self.aliases)})" if self.aliases else ""
        return f"{self.name} version {self.number}{aliases}"


def get(client: Client, name: str, number: int) -> Version | None:
    """The version of `name` with that number; None if there is none."""
    return store.existing(lambda: Version.of(client.get_model_version(name, str(number))))


def find(client: Client, name: str, model_hash: str) -> Version | None:
    """The version of `name` with this model hash; the oldest if there are several."""
    matches = client.search_model_versions(f"name = '{name}' and tags.model_hash = '{model_hash}'")
    # A search does not return the aliases.
    return get(client, name, min(int(match.version) for match in matches)) if matches else None


def latest(client: Client, name: str) -> Version | None:
    """The newest version of `name`."""
    newest = client.search_model_versions(
        f"name = '{name}'", max_results=1, order_by=["version_number DESC"]
    )
    return get(client, name, int(newest[0].version)) if newest else None


def with_alias(client: Client, name: str, alias: str) -> Version | None:
    """The version of `name` that `alias` names; None if it names none."""
    try:
        return Version.of(client.get_model_version_by_alias(name, alias))
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def registered_model(client: Client, name: str) -> RegisteredModel:
    """MLflow's record of the model `name`. Raises PipelineError, with the models that there are."""
    model = store.existing(lambda: client.get_registered_model(name))
    if model is None:
        raise PipelineError(f"there is no registered model {name}: {_instead(client)}")
    return model


def _instead(client: Client) -> str:
    pages = store.pages(lambda page: client.search_registered_models(page_token=page))
    names = (model.name for model in pages)
    known = ", ".join(sorted(name for name in names if not LOCK.search(name)))
    return f"--model takes one of {known}" if known else "nothing is registered yet: 'resnet run'"


def resolve(client: Client, name: str, selector: str | int) -> Version:
    """The version that `selector` names: a number, an alias, or `latest`.

    Raises PipelineError if there is none, and names the models that there are if there is no such.
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
        if newest is None:
            registered_model(client, name)
        raise PipelineError(
            f"{name} has no version '{text}'; "
            + (f"its newest is {newest.number}" if newest else "it has none: publish one first")
        )
    return version


def download(client: Client, version: Version, into: Path) -> Path:
    """Download the version's model.keras, byte for byte as published, into the folder `into`.

    Raises PipelineError if it is missing, or is not the file that was published.
    """
    path = fetch(client, version, MODEL_FILE, into)
    digest = files.digest(path)
    if digest != version.file_hash:
        raise PipelineError(
            f"{version}: its {MODEL_FILE} has sha256 {digest[:12]}…, but {version.file_hash[:12]}… "
            "was published: the registry's artifact is damaged; restore the file, which may still "
            "be in DVC's cache, or use another version"
        )
    return path


def evaluation(client: Client, version: Version, into: Path) -> Evaluation:
    """The evaluation of `version`. `into` is a folder for the download.

    Raises PipelineError if it is missing, or is not the one that the version's tags name.
    """
    path = fetch(client, version, METRICS_FILE, into)
    try:
        recorded = Evaluation.from_dict(files.read_json(path))
    except (ValueError, KeyError, TypeError):
        recorded = None
    named = version.evaluation_hash, version.test_hash
    if recorded is None or (recorded.hash, recorded.test_hash) != named:
        raise PipelineError(
            f"{version}: its {METRICS_FILE} is not the evaluation that its tags name: "
            "run 'resnet publish' again"
        )
    return recorded


def predictions(client: Client, version: Version, into: Path) -> Predictions:
    """The predictions of `version` for each test image of its evaluation.

    Raises PipelineError if they are missing, or do not give that evaluation's accuracy.
    """
    metrics = evaluation(client, version, into).metrics
    predicted = Predictions.read(fetch(client, version, PREDICTIONS_FILE, into))
    images, correct = len(predicted.labels_n), int(predicted.correct_n.sum())
    if (images, correct) != (metrics.images, metrics.correct):
        raise PipelineError(
            f"{version}: its {PREDICTIONS_FILE} has {correct} of {images} images correct, but its "
            f"evaluation says {metrics.correct} of {metrics.images}: run 'resnet publish' again"
        )
    return predicted


def profile(client: Client, version: Version, into: Path) -> dict[str, Any]:
    """Ingest's profile of the data that `version` was trained on. Raises PipelineError."""
    path = fetch(client, version, PROFILE_FILE, into)
    try:
        return dict(files.read_json(path))
    except (ValueError, TypeError) as error:
        raise PipelineError(
            f"{version}: its {PROFILE_FILE} cannot be read ({error}): publish the model again"
        ) from None


def newest_profile(root: Path, name: str) -> dict[str, Any]:
    """Ingest's profile of the data of the newest version of `name`; empty if there is none.

    Raises PipelineError if it cannot be read.
    """
    client = store.client(root)
    version = latest(client, name)
    if version is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        return profile(client, version, Path(folder))


def data_profile(client: Client, version: Version, into: Path) -> Profile:
    """What `version` was trained on. Raises PipelineError."""
    try:
        return Profile.of(profile(client, version, into))
    except (KeyError, ValueError, TypeError) as error:
        raise PipelineError(
            f"{version}: its {PROFILE_FILE} does not describe its data ({error!r}): publish the "
            "model again"
        ) from None


def added_batches(client: Client, version: Version, into: Path) -> Mapping[str, str]:
    """DVC's md5 of each batch that was added to the images `version` was trained on, by its name.

    Empty if its profile is older than added batches. Raises PipelineError.
    """
    try:
        return DataVersion.of(profile(client, version, into)).extra
    except (KeyError, TypeError, AttributeError) as error:
        raise PipelineError(
            f"{version}: its {PROFILE_FILE} does not name the batches that were added ({error!r}): "
            "publish the model again"
        ) from None


def fetch(client: Client, version: Version, artifact: str, into: Path) -> Path:
    """Download an artifact of the version's run into the folder `into`; the copy's path.

    Raises PipelineError if it cannot be read.
    """
    if not version.run_id:
        raise MissingArtifactError(
            f"{version} was registered by hand, without a run that holds its {artifact}: a version "
            "that 'resnet publish' registers has one",
            artifact,
        )
    into.mkdir(parents=True, exist_ok=True)
    if (copy := into / artifact).is_file():
        copy.unlink()  # it has the artifact's mode: read-only, where DVC linked what was published
    try:
        return client.fetch_artifact(version.run_id, artifact, into)
    except (MlflowException, OSError) as error:
        raise MissingArtifactError(
            f"{version}: its artifact {artifact} cannot be read ({error}): was the artifact store "
            "moved or emptied? 'resnet doctor' checks",
            artifact,
        ) from error
