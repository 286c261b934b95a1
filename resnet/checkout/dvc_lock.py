"""Read dvc.lock: the inputs and the outputs of each stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ValidationError

from resnet import params
from resnet.errors import PipelineError
from resnet.system import files, mappings


class _File(BaseModel):
    """A dependency or an output in dvc.lock, as far as it is read here; likewise the next two."""

    path: str
    md5: str = ""


class _Stage(BaseModel):
    deps: list[_File] = []
    outs: list[_File] = []
    params: dict[str, dict[str, Any]] = {}


class _Form(BaseModel):
    stages: dict[str, _Stage] = {}


@dataclass(frozen=True)
class DvcLock:
    """dvc.lock: the inputs and the outputs of each stage."""

    stages: Mapping[str, Any]

    @classmethod
    def read(cls, root: Path) -> Self:
        """Raises PipelineError if there is none, or if it is not in DVC's form."""
        path = root / "dvc.lock"
        advice = "restore it with git, or remove it and run 'dvc repro'"
        try:
            values = files.read_yaml(path) or {}
            _Form.model_validate(values)
        except FileNotFoundError:
            raise PipelineError(f"{path} is not there: run 'dvc repro' first") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise PipelineError(f"{path} is not YAML ({error}): {advice}") from None
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "all of it"
            raise PipelineError(
                f"{path} is not as DVC writes it ({place}: {first['msg']}): {advice}"
            ) from None
        return cls(values.get("stages", {}))

    @property
    def outputs(self) -> dict[str, str]:
        """The md5 of each output, by its path; a folder's ends in `.dir`."""
        return {
            out["path"]: out["md5"]
            for stage in self.stages.values()
            for out in stage.get("outs", ())
            if "md5" in out
        }

    def md5(self, path: Path) -> str:
        """The md5 of an output. Raises PipelineError if no stage has made it."""
        try:
            return self.outputs[path.as_posix()]
        except KeyError:
            raise PipelineError(f"dvc.lock has no output {path}: run 'dvc repro' first") from None

    def check(self, root: Path, parameters: params.Params) -> None:
        """Raise PipelineError unless model, reports and parameters are the lock's.

        A model trained by hand, or parameters edited afterwards, would be recorded with the wrong
        origin.
        """
        paths = parameters.paths
        for path in (paths.model, paths.metrics, paths.portable_report):
            if not (root / path).exists():
                raise PipelineError(f"{path} is not there: run 'dvc repro' first")
            if files.digest(root / path, "md5") != self.md5(path):
                raise PipelineError(f"{path} differs from dvc.lock: run 'dvc repro' first")
        for difference in self.edited(parameters.model_dump(mode="json")):
            raise PipelineError(f"{difference}: run 'dvc repro' first")

    def edited(self, values: Mapping[str, Any]) -> list[str]:
        """Which of the `values` of a params.yaml are not those that a stage ran with, in words."""
        return [
            f"{key} in params.yaml is not what stage {name} ran with"
            for name, stage in self.stages.items()
            for key, value in stage.get("params", {}).get("params.yaml", {}).items()
            if mappings.at(values, key) != value
        ]


def stages(root: Path) -> Mapping[str, Any]:
    """The entries of the stages by their names; none if there is no dvc.lock yet."""
    return DvcLock.read(root).stages if (root / "dvc.lock").exists() else {}


def outputs(root: Path) -> Mapping[str, str]:
    """The md5 of each output by its path, as `DvcLock.outputs`; none without a dvc.lock."""
    return DvcLock.read(root).outputs if (root / "dvc.lock").exists() else {}
