"""Look for the known traps, and say what to do about each."""

import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from resnet import params
from resnet.checkout import dvc_rwlock, worktree
from resnet.errors import PipelineError
from resnet.system import addresses

MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, how it is, and what to do."""

    level: Literal["ok", "warn", "fail"]
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{MARKS[self.level]}  {self.subject:<10} {self.text}"


Check = Callable[[Path], list[Finding]]
"""One trap, or some of a kind: the checkout's root → what is found there, one or more lines."""


def report(root: Path, debug: bool = False) -> int:
    """Print each finding as it comes. Returns 1 where one of them is a failure, else 0.

    With `debug`, an error that no check expects is raised.
    """
    failed = False
    for check in CHECKS:
        for finding in _look(check, root, debug):
            print(finding, flush=True)
            failed |= finding.level == "fail"
    return int(failed)


def _look(check: Check, root: Path, debug: bool) -> list[Finding]:
    """What `check` finds; a check that cannot be made is a finding too."""
    name = check.__name__
    try:
        return check(root)
    except PipelineError as error:
        return [Finding("fail", name, str(error))]
    except Exception as error:  # the others are still to be made
        if debug:
            raise
        return [
            Finding(
                "fail",
                name,
                f"this check ended with {type(error).__name__} ({error}), which it does not "
                "expect: 'resnet --debug doctor' shows where",
            )
        ]


def tools(root: Path) -> list[Finding]:
    """git, this Python, and the packages that pyproject.toml bounds."""
    findings = []
    if not shutil.which("git"):
        findings.append(Finding("fail", "tools", "git is not on the PATH: install it"))
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        found = sys.version.split()[0]
        findings.append(Finding("fail", "tools", f"Python is {found}: want 3.11, 3.12 or 3.13"))
    try:
        wrong = _unmet_requirements()
    except importlib.metadata.PackageNotFoundError:
        wrong = ["this project is not installed"]
    findings += [
        Finding("fail", "tools", f"{one}: run 'rm .venv/installed; make run'") for one in wrong
    ]
    on_path = shutil.which("python")
    if on_path and Path(on_path).parent != Path(sys.executable).parent:
        findings.append(
            Finding("warn", "tools", f"`python` is {on_path}: activate .venv before `dvc repro`")
        )
    return findings or [Finding("ok", "tools", "git, Python and every bounded package fit")]


def _unmet_requirements() -> list[str]:
    from packaging.requirements import Requirement

    wrong = []
    for text in importlib.metadata.requires("resnet-pipeline") or []:
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{wanted.name} is not installed, want {wanted.specifier}")
            continue
        if not wanted.specifier.contains(found, prereleases=True):
            wrong.append(f"{wanted.name} is {found}, want {wanted.specifier}")
    return wrong


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
        Finding("ok", "params", f"params.yaml and {len(presets)} presets are right")
    ]


def device(root: Path) -> list[Finding]:
    """A GPU that the machine has and the backend cannot see."""
    from resnet.model import backend

    chosen = params.load(root).train
    found = backend.select(chosen.backend, chosen.device)
    if shutil.which("nvidia-smi") and found.kind != "gpu":
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
        if listed.returncode == 0 and "GPU" in listed.stdout:
            return [
                Finding(
                    "fail",
                    "device",
                    f"nvidia-smi sees {listed.stdout.splitlines()[0]}, {chosen.backend} does not: "
                    "install requirements-gpu.lock (TensorFlow) or requirements-jax-gpu.lock",
                )
            ]
    return [
        Finding("ok", "device", f"training runs on {found.name} ({found.kind}, {found.backend})")
    ]


def data(root: Path) -> list[Finding]:
    """CIFAR-10 is here, or can be had."""
    from resnet.data import sources

    chosen = params.load(root)
    sources.named(chosen.paths)  # raises where what the user has named is not there
    why = sources.why_not(chosen.data, chosen.paths)
    if why:
        return [Finding("warn", "data", f"{why}: set CIFAR10_ARCHIVE to an archive of CIFAR-10")]
    return [Finding("ok", "data", f"{chosen.data.dataset} is here or can be had")]


def added(root: Path) -> list[Finding]:
    """Added images that DVC does not track as they are."""
    from resnet.data import additions

    batches = additions.batches(root / params.load(root).paths.extra)
    wrong = [told for batch in batches if (told := batch.problem())]
    return [Finding("warn", "added", problem) for problem in wrong] or [
        Finding("ok", "added", f"{len(batches)} batches of images were added, as DVC tracks them")
    ]


def locks(root: Path) -> list[Finding]:
    """Locks of DVC whose holder is gone, and what failed runs left."""
    findings = []
    rwlock = dvc_rwlock.path(root)
    try:
        holders = dvc_rwlock.holders(root)
    except PipelineError as error:
        findings.append(Finding("fail", "locks", str(error)))
        holders = set()
    dead = sorted(pid for pid in holders if not psutil.pid_exists(pid))
    alive = sorted(holders - set(dead))
    if dead:
        findings.append(
            Finding("warn", "locks", f"{rwlock} names ended processes {dead}: DVC removes them")
        )
    if alive:
        findings.append(Finding("warn", "locks", f"dvc is at work here: processes {alive}"))
    left = worktree.left_over(root)
    if left:
        findings.append(
            Finding("warn", "locks", f"failed runs left {len(left)} trees: look, then 'make clean'")
        )
    return findings or [Finding("ok", "locks", "no stale lock, no left-over working tree")]


def servers(root: Path) -> list[Finding]:
    """The servers that the user's variables name answer."""
    findings = []
    for variable in addresses.VARIABLES:
        address = addresses.named(variable)
        if address and not addresses.answers(address.rstrip("/") + "/health"):
            findings.append(
                Finding(
                    "fail",
                    "servers",
                    f"{variable} is {address}, which does not answer: "
                    "start it ('make ui' for the project's own), or unset the variable",
                )
            )
    return findings or [Finding("ok", "servers", "every server that is named answers")]


def artifacts(root: Path) -> list[Finding]:
    """Artifacts that MLflow looks for where they are not: the checkout was moved."""
    from resnet.registry import store

    moved = store.moved_experiments(root)
    if moved:
        return [
            Finding(
                "fail",
                "artifacts",
                f"{len(moved)} MLflow experiments keep their artifacts in {moved[0]}, which is not "
                "in this checkout: it was moved; move it back, or start anew without .state/mlflow",
            )
        ]
    return [Finding("ok", "artifacts", "MLflow's artifacts are where its records say")]


def ledgers(root: Path) -> list[Finding]:
    """Ledgers that are whole, with production where they say."""
    from resnet.registry import store
    from resnet.registry.promotion import history

    if not store.exists(root):
        return [Finding("ok", "ledgers", "nothing was registered yet")]
    wrong = history.problems(root, params.load(root).model_name)
    if wrong:
        return [Finding("warn", "ledgers", problem) for problem in wrong]
    return [Finding("ok", "ledgers", "each ledger is whole, and production is where it says")]


CHECKS: tuple[Check, ...] = (
    tools,
    parameters,
    device,
    data,
    added,
    locks,
    servers,
    artifacts,
    ledgers,
)
