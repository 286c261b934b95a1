"""What the stages have made of one model, as it is registered: their reports, and their origin."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from resnet import params
from resnet.checkout import provenance
from resnet.checkout.dvc_lock import DvcLock
from resnet.data.profile import Profile
from resnet.errors import PipelineError
from resnet.evaluation.records import Evaluation
from resnet.export.report import PortableReport
from resnet.model.probe import IMAGES
from resnet.registry.versions import Version
from resnet.system import files


@dataclass(frozen=True)
class StageReports:
    """The reports of the stages train, evaluate and export on one model. Quick to read."""

    paths: params.Paths  # absolute
    training: Mapping[str, Any]
    evaluation: Evaluation
    portable: PortableReport
    portable_hash: str  # SHA-256 of the report on portable forms: a new one for each export

    @classmethod
    def read(cls, parameters: params.Params, root: Path) -> Self:
        """Raises PipelineError where one is missing, or they are about different models."""
        paths = parameters.paths.under(root)
        try:
            training = files.read_json(paths.training)
        except FileNotFoundError:
            raise PipelineError(
                f"{parameters.paths.training} is not there: run 'dvc repro' first"
            ) from None
        evaluation = Evaluation.read(paths.metrics)
        portable = PortableReport.read(paths.portable_report)
        if evaluation.model_hash != training["model_hash"]:
            raise PipelineError(
                f"{parameters.paths.metrics} is about model {evaluation.model_hash[:12]}…, but "
                f"{training['model_hash'][:12]}… was trained: run 'dvc repro' first"
            )
        return cls(paths, training, evaluation, portable, files.digest(paths.portable_report))

    @property
    def model_hash(self) -> str:
        return self.evaluation.model_hash

    def recorded_in(self, version: Version) -> bool:
        """Whether the version's evaluation and its portable forms are these."""
        recorded = version.evaluation_hash, version.portable_hash
        return recorded == (self.evaluation.hash, self.portable_hash)


@dataclass(frozen=True)
class Outputs:
    """All that `publish` records: the stages' reports, and where they come from."""

    parameters: params.Params
    root: Path
    reports: StageReports
    code: provenance.Code
    data_hash: str

    @classmethod
    def read(cls, parameters: params.Params, root: Path) -> Self:
        """Raises PipelineError where the outputs are not those that dvc.lock records."""
        reports = StageReports.read(parameters, root)
        lock = DvcLock.read(root)
        lock.check(root, parameters)
        paths = reports.paths
        for path in (paths.history, paths.profile, *evaluation_files(paths)):
            if not path.exists():
                raise PipelineError(f"{path} is not there: run 'dvc repro' first")
        _require_compared(reports)
        data_hash = lock.md5(parameters.paths.arrays)
        return cls(parameters, root, reports, provenance.code(root), data_hash)

    @property
    def origin(self) -> dict[str, str]:
        """Where the model comes from, as tags."""
        return {
            "git_commit": self.code.commit or "none",
            "git_dirty": str(self.code.dirty).lower(),
            "data_hash": self.data_hash,
            "params_hash": provenance.params_hash(self.parameters),
        }

    @property
    def marks(self) -> dict[str, str]:
        """What the tags of parts say that another evaluation or export replaces."""
        return {
            "evaluation": self.reports.evaluation.hash,
            "portable": self.reports.portable_hash,
        }

    @property
    def precision(self) -> str:
        """What it was trained in. Earlier releases left no choice, and did not report it."""
        return str(self.reports.training.get("precision", self.parameters.train.precision))

    @cached_property
    def model(self) -> Any:
        """The model's file as a `keras.Model`. Needs TensorFlow.

        Raises PipelineError where it is not the model that was trained and evaluated.
        """
        from resnet.model import model_file

        model = model_file.load(self.reports.paths.model)
        actual, expected = model_file.model_hash(model), self.reports.model_hash
        if actual != expected:
            raise PipelineError(
                f"{self.parameters.paths.model} holds model {actual[:12]}…, but {expected[:12]}… "
                "was trained and evaluated: run 'dvc repro' first"
            )
        return model

    @cached_property
    def profile(self) -> Profile:
        """The profile of the data, as `ingest` wrote it."""
        return Profile.read(self.reports.paths.profile)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The samples in each split by class."""
        return dict(self.profile.values.get("counts", {}))

    @cached_property
    def images_nhwc(self) -> Any:
        """The first few test samples, uint8."""
        from resnet.data import arrays

        return arrays.load(self.reports.paths, "test").images_nhwc[:IMAGES]


def _require_compared(reports: StageReports) -> None:
    """Raise PipelineError unless the report on portable forms is about these files."""
    paths, report = reports.paths, reports.portable
    named = {paths.model: report.model_sha256}
    named |= {paths.portable / form.file: str(form.sha256) for form in report.admitted}
    for path, sha256 in named.items():
        if not path.exists() or files.digest(path) != sha256:
            raise PipelineError(
                f"{path} is not the file that {paths.portable_report} is about: run 'dvc repro' "
                "first"
            )


def evaluation_files(paths: params.Paths) -> tuple[Path, ...]:
    """The outputs of an evaluation but for its metrics; the last is a folder."""
    tables = (paths.per_class, paths.confusion, paths.reliability, paths.subsets)
    return (paths.predictions, *tables, paths.pictures)
