"""The version that `verify` checks: what its run has recorded, each part fetched once."""

import platform
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from resnet import params
from resnet.checkout import command, git, packages
from resnet.checkout.dvc_lock import DvcLock
from resnet.errors import PipelineError
from resnet.evaluation.records import Evaluation, Predictions
from resnet.export.report import PortableReport
from resnet.model import backend
from resnet.registry import portable_forms, versions
from resnet.registry.store import Client
from resnet.registry.versions import Version
from resnet.system.processes import Say

from mlflow.exceptions import MlflowException

OWN_DATA = ("extra",)  # keys of `paths`: see `VersionUnderTest.own_data`


class Unknown(Exception):  # noqa: N818  (it is a result)
    """A claim cannot be checked here."""


class RecordedPaths(BaseModel, frozen=True):
    """The recorded paths that claims are about; older or newer code may have more."""

    raw: Path
    arrays: Path
    profile: Path
    annotations: Path
    model: Path
    history: Path
    training: Path
    metrics: Path
    predictions: Path


class VersionUnderTest:
    """A version, what was recorded of it, and a folder to work in.

    Each part raises PipelineError where the registry does not have it.
    """

    def __init__(self, root: Path, client: Client, version: Version, home: Path, say: Say) -> None:
        self.root, self.version, self.say = root, version, say
        self.clone = home / "clone"  # made by the first check
        self._client, self._artifacts = client, home / "artifacts"

    @cached_property
    def tree(self) -> Path:
        """The checkout in the clone, which is all of it unless the repository is a larger one."""
        return self.clone / git.prefix(self.root)

    def fetch(self, artifact: str) -> Path:
        """A copy of one artifact of the run."""
        return versions.fetch(self._client, self.version, artifact, self._artifacts)

    def tag(self, name: str) -> str:
        """A tag of the version, or else of its run."""
        try:
            return self._tags[name]
        except KeyError:
            raise PipelineError(
                f"it has no tag {name}: was it registered by something other than 'resnet publish'?"
            ) from None

    @cached_property
    def _tags(self) -> dict[str, str]:
        version = self._client.get_model_version(self.version.name, str(self.version.number))
        try:
            run = self._client.get_run(self.version.run_id)
        except MlflowException as error:
            raise PipelineError(f"its run cannot be read: {error}") from None
        return {**run.data.tags, **version.tags}

    @cached_property
    def values(self) -> dict[str, Any]:
        """The recorded params.yaml."""
        return params.read(self.fetch("recipe/params.yaml").parent)

    def section(self, name: str) -> Mapping[str, Any]:
        """A section of the recorded params.yaml."""
        section = self.values.get(name)
        if not isinstance(section, Mapping):
            raise PipelineError(f"its recipe/params.yaml has no section {name}")
        return section

    @property
    def own_data(self) -> set[str]:
        """Paths of data that stages read and none makes: a commit has only pointers to them."""
        recorded = self.section("paths")
        return {str(recorded[name]) for name in OWN_DATA if name in recorded}

    @cached_property
    def paths(self) -> RecordedPaths:
        """The recorded paths, all of them inside a checkout."""
        try:
            paths = RecordedPaths.model_validate(self.section("paths"))
        except ValidationError:
            raise Unknown("this checkout's code has other paths than the recorded ones") from None
        for name, path in paths:
            if path.is_absolute() or ".." in path.parts:
                raise Unknown(f"paths.{name} is {path}, which is outside of a checkout")
        return paths

    @cached_property
    def lock(self) -> DvcLock:
        """The recorded dvc.lock."""
        return DvcLock.read(self.fetch("recipe/dvc.lock").parent)

    @cached_property
    def installed(self) -> packages.Pins:
        """The packages of the environment that published the version; at least one."""
        pins = packages.pins(self.fetch("recipe/packages.txt").read_text(errors="replace"))
        if not pins:
            raise PipelineError("its recipe/packages.txt lists no package")
        return pins

    @cached_property
    def evaluation(self) -> Evaluation:
        """The recorded evaluation; its hash is that of the version's tag."""
        return versions.evaluation(self._client, self.version, self._artifacts)

    @cached_property
    def predictions(self) -> Predictions:
        """The recorded predictions; they have as many correct images as the evaluation."""
        return versions.predictions(self._client, self.version, self._artifacts)

    @cached_property
    def portable(self) -> PortableReport | None:
        """The report on its portable forms, each of which has the SHA-256 that it gives."""
        return portable_forms.download(self._client, self.version, self._artifacts)

    @cached_property
    def model(self) -> Path:
        """The attached model.keras; its SHA-256 is that of the version's tag."""
        return versions.download(self._client, self.version, self._artifacts)

    @cached_property
    def served_report(self) -> dict[str, str]:
        """The output of `resnet served` in a child process; where it fails, `error` too."""
        lines: list[str] = []
        words = ["served", str(self.model), self.version.name, str(self.version.number)]
        try:
            command.run(words, self.root, lines.append)
            error = {}
        except PipelineError as failure:
            error = {"error": str(failure)}
        return {name: value for name, _, value in (line.partition(" ") for line in lines)} | error

    @cached_property
    def precision(self) -> str:
        """What it was trained in; `auto` if that is not recorded.

        Earlier releases, which record no precision but as a parameter, knew no `auto`.
        """
        asked = self.section("train").get("precision", "float32")
        return self._tags.get("precision", str(asked))

    @cached_property
    def other_packages(self) -> list[str]:
        """The differences of Python and the packages here from those recorded, in words."""
        here, there = platform.python_version(), self.tag("version.python")
        python = [f"Python {here}, not {there}"] if here != there else []
        return [*python, *packages.missing(self.installed, packages.pins(packages.listed()))]

    @cached_property
    def other_cpu(self) -> list[str]:
        """The difference of this machine's CPU from the recorded one, in words."""
        here, there = backend.cpu_name(), self.tag("cpu")
        return [f"CPU {here}, not {there}"] if here != there else []

    @property
    def differences(self) -> list[str]:
        """The differences of this machine's CPU, Python and packages from those recorded."""
        return [*self.other_cpu, *self.other_packages]

    @property
    def on_gpu(self) -> bool:
        """Whether the stages ran on a GPU."""
        return self.tag("device") == "gpu"
