"""Checks of what is installed: programs, packages, parameters, the device."""

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

from resnet import params
from resnet.errors import PipelineError
from resnet.operations.doctor.finding import Finding


def tools(root: Path) -> list[Finding]:
    """git, this Python, and the packages for which pyproject.toml sets bounds."""
    findings = []
    if not shutil.which("git"):
        findings.append(Finding("fail", "tools", "git is not on the PATH: install it"))
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        python = sys.version.split()[0]
        findings.append(Finding("fail", "tools", f"Python is {python}: want 3.11, 3.12 or 3.13"))
    try:
        problems = _unmet_requirements()
    except importlib.metadata.PackageNotFoundError:
        problems = ["this project is not installed"]
    findings += [
        Finding("fail", "tools", f"{problem}: run 'rm .venv/installed; make run'")
        for problem in problems
    ]
    on_path = shutil.which("python")
    if on_path and Path(on_path).parent != Path(sys.executable).parent:
        findings.append(
            Finding("warn", "tools", f"`python` is {on_path}: activate .venv before `dvc repro`")
        )
    return findings or [
        Finding("ok", "tools", "git, Python and all packages have supported versions")
    ]


def _unmet_requirements() -> list[str]:
    from packaging.requirements import Requirement

    problems = []
    for text in importlib.metadata.requires("resnet-pipeline") or []:
        required = Requirement(text)
        if required.marker and not required.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = importlib.metadata.version(required.name)
        except importlib.metadata.PackageNotFoundError:
            problems.append(f"{required.name} is not installed, want {required.specifier}")
            continue
        if not required.specifier.contains(installed, prereleases=True):
            problems.append(f"{required.name} is {installed}, want {required.specifier}")
    return problems


def parameters(root: Path) -> list[Finding]:
    """params.yaml, and each preset laid over it."""
    findings = []
    presets = params.presets(root)
    for preset in ("quick", *presets):
        try:
            params.check(params.merge(params.read(root), root, preset, []))
        except PipelineError as error:
            findings.append(Finding("fail", "params", f"preset {preset}: {error}"))
    return findings or [
        Finding("ok", "params", f"params.yaml and {len(presets)} presets are valid")
    ]


def device(root: Path) -> list[Finding]:
    """A GPU that the machine has and the backend cannot see."""
    from resnet.model import backend

    train = params.load(root).train
    selected = backend.select(train.backend, train.device)
    if shutil.which("nvidia-smi") and selected.kind != "gpu":
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
        if listed.returncode == 0 and "GPU" in listed.stdout:
            return [
                Finding(
                    "fail",
                    "device",
                    f"nvidia-smi sees {listed.stdout.splitlines()[0]}, {train.backend} does not: "
                    "install requirements-gpu.lock (TensorFlow) or requirements-jax-gpu.lock",
                )
            ]
    text = f"training runs on {selected.name} ({selected.kind}, {selected.backend})"
    return [Finding("ok", "device", text)]
