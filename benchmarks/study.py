"""A study: a preset trained several times by `python -m resnet`, each run in a folder of its own.

Parameters in, a record of each run out. A study that is run again keeps its finished runs and
resumes an interrupted one. Runs with the same data parameters share their images.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from resnet import params
from resnet.checkout import checkpoint_folders, project, provenance
from resnet.errors import STOPPED, StoppedError
from resnet.params import Params
from resnet.system import files

REPOSITORY = Path(__file__).resolve().parents[1]
# A run keeps its state in its own folder, and is not recorded in MLflow.
NOT_INHERITED = ("RESNET_STATE", "MLFLOW_TRACKING_URI")


@dataclass(frozen=True)
class Study:
    """Runs of one preset, below the folder `work`."""

    root: Path  # of the checkout whose params.yaml and presets are used
    preset: str
    work: Path
    overrides: Sequence[str]  # KEY=VALUE, for every run
    raw: Path | None = None  # the raw files; without it they are fetched

    def values(self, overrides: Sequence[str] = ()) -> dict[str, Any]:
        """The parameters of a run, unchecked."""
        base = params.read(self.root)
        return params.merge(base, self.root, self.preset, [*self.overrides, *overrides])

    def images(self, values: Mapping[str, Any]) -> Path:
        """The folder of the images of all runs that have these data parameters."""
        data = params.check(values).data
        return self.work / "data" / f"{data.dataset}-{data.validation}-{data.seed}"

    def train(self, overrides: Sequence[str]) -> dict[str, Any]:
        """The record of a run, which is made or resumed unless it is finished.

        Raises StoppedError where it is interrupted, and CalledProcessError where it fails.
        """
        name = "-".join([self.preset, *overrides]).replace("/", "_")
        folder = self.work / name
        parameters = self.prepare(folder, self.values(overrides))
        record = folder / "run.json"
        if not record.exists():
            files.write_json(record, _train(folder, parameters))
        return dict(files.read_json(record))

    def prepare(self, folder: Path, values: Mapping[str, Any]) -> Params:
        """Make a folder to train in, and fetch and ingest images that are not there yet.

        A folder of an earlier run is emptied if parameters, code or libraries have changed.
        """
        images = self.images(values)
        paths = {name: images / name for name in ("raw", "extra", "arrays")}
        paths["profile"] = images / "profile.json"
        paths["raw"] = self.raw or paths["raw"]
        where = [f"paths.{name}={path}" for name, path in paths.items()]
        merged = params.merge(values, self.root, None, where)
        parameters = params.check(merged)
        key, key_file = provenance.training_key(parameters, REPOSITORY), folder / "key"
        if not key_file.exists() or key_file.read_text() != key:
            shutil.rmtree(folder, ignore_errors=True)
            files.write_text(folder / "params.yaml", params.dump(merged))
            shutil.copy(self.root / "dvc.yaml", folder)  # with both files it is a checkout's root
            files.write_text(key_file, key)
        if not paths["profile"].exists():
            paths["extra"].mkdir(parents=True, exist_ok=True)  # no added images
            if self.raw is None:
                run_stage(folder, "fetch")
            run_stage(folder, "ingest")
        return parameters


def run_stage(folder: Path, stage: str) -> None:
    """`resnet STAGE` in `folder`. Raises as `Study.train` does."""
    command = [sys.executable, "-m", "resnet", stage]
    try:
        subprocess.run(command, cwd=folder, env=environment(), check=True)
    except subprocess.CalledProcessError as error:
        if error.returncode == STOPPED:
            raise StoppedError(f"resnet {stage} was interrupted in {folder}") from None
        raise


def environment() -> dict[str, str]:
    """The variables of a process that runs this code, in a folder that is its own root."""
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**inherited, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def spread(values: Iterable[float | None], digits: int | None = None) -> dict[str, Any]:
    """Mean and deviation of the values that are not None; one value has no deviation."""
    known = [value for value in values if value is not None]
    figures = {"mean": mean(known) if known else None}
    if len(known) > 1:
        figures["deviation"] = stdev(known)
    if digits is None:
        return figures
    return {name: None if x is None else round(x, digits) for name, x in figures.items()}


def _train(folder: Path, parameters: Params) -> dict[str, Any]:
    """Run `resnet train`. Of a resumed run only the seconds in the loop are known."""
    resumed = any((folder / project.STATE / checkpoint_folders.NAME).glob("*/*.npz"))
    clock = time.perf_counter()
    run_stage(folder, "train")
    wall = time.perf_counter() - clock
    training = files.read_json(folder / parameters.paths.training)
    setup, loop = training["setup_seconds"], training["seconds"]
    return {
        "folder": str(folder),
        "device": training["device_name"],
        "resumed": resumed,
        "wall_seconds": None if resumed else round(wall, 2),
        "setup_seconds": setup,  # the network, the images onto the device, compilation
        "loop_seconds": loop,
        # start, imports, saving
        "other_seconds": None if resumed else round(wall - setup - loop, 2),
        "images_per_second": training["images_per_second"],
        "steps": training["steps"],
    }
