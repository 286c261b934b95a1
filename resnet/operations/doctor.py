"""Check the installation for known problems, and say what to do about each."""

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
from resnet.checkout import dvc, dvc_rwlock, git, worktree
from resnet.errors import PipelineError
from resnet.system import addresses

MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was checked, with which result, and what to do."""

    level: Literal["ok", "warn", "fail"]
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{MARKS[self.level]}  {self.subject:<10} {self.text}"


Check = Callable[[Path], list[Finding]]
"""One problem, or several of a kind: the checkout's root → the findings, at least one."""


def report(root: Path, debug: bool = False) -> int:
    """Print each finding as it comes. Returns 1 if one of them is a failure, else 0.

    With `debug`, an unexpected error of a check is raised.
    """
    failed = False
    for check in CHECKS:
        for finding in _run(check, root, debug):
            print(finding, flush=True)
            failed |= finding.level == "fail"
    return int(failed)


def _run(check: Check, root: Path, debug: bool) -> list[Finding]:
    """What `check` finds; an error in it is a finding too."""
    name = check.__name__
    try:
        return check(root)
    except PipelineError as error:
        return [Finding("fail", name, str(error))]
    except Exception as error:  # the other checks still run
        if debug:
            raise
        return [
            Finding(
                "fail",
                name,
                f"this check failed unexpectedly: {type(error).__name__} ({error}); "
                "'resnet --debug doctor' shows where",
            )
        ]


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


def data(root: Path) -> list[Finding]:
    """Whether the data set is here, or can be downloaded."""
    from resnet.data import datasets, sources

    parameters = params.load(root)
    sources.user_source(parameters.paths)  # raises if what the user has named does not exist
    why = sources.why_unavailable(datasets.load(parameters.data.dataset), parameters.paths)
    if why:
        return [Finding("warn", "data", f"{why}: set CIFAR10_ARCHIVE to an archive of CIFAR-10")]
    return [Finding("ok", "data", f"{parameters.data.dataset} is here or can be downloaded")]


def added(root: Path) -> list[Finding]:
    """Added images whose present state DVC does not track."""
    from resnet.data import additions

    batches = additions.batches(root / params.load(root).paths.extra)
    problems = [problem for batch in batches if (problem := batch.problem())]
    return [Finding("warn", "added", problem) for problem in problems] or [
        Finding("ok", "added", f"DVC tracks every batch of added images ({len(batches)})")
    ]


def hidden(root: Path) -> list[Finding]:
    """The .dvc files that DVC does not see, so that `dvc pull` removes their data."""
    if git.commit(root) is None:
        return [Finding("ok", "hidden", "not checked: this is not a git checkout with a commit")]
    return [
        Finding(
            "fail",
            "hidden",
            f"DVC does not see {name}: 'dvc push' leaves its data out, 'dvc pull' and 'dvc "
            "checkout' remove them. A pattern of .gitignore or .dvcignore matches its folder: "
            "write /folder/?* for /folder/*",
        )
        for name in dvc.hidden_files(root, params.load(root).runtime.lock_seconds)
    ] or [Finding("ok", "hidden", "DVC sees every .dvc file")]


def locks(root: Path) -> list[Finding]:
    """Locks of DVC whose holder is gone, and working trees that failed runs left."""
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
        findings.append(Finding("warn", "locks", f"dvc is running here: processes {alive}"))
    left = len(worktree.left_over(root))
    if left:
        text = f"working trees left by failed runs: {left}; inspect them, then run 'make clean'"
        findings.append(Finding("warn", "locks", text))
    return findings or [Finding("ok", "locks", "no stale lock, no left-over working tree")]


def servers(root: Path) -> list[Finding]:
    """Whether the servers that the user's variables name answer."""
    findings = []
    for variable in addresses.VARIABLES:
        address = addresses.user_server(variable)
        if address and not addresses.answers(address.rstrip("/") + "/health"):
            findings.append(
                Finding(
                    "fail",
                    "servers",
                    f"{variable} is {address}, which does not answer: "
                    "start it ('make ui' for the project's own), or unset the variable",
                )
            )
    return findings or [Finding("ok", "servers", "every named server answers")]


def artifacts(root: Path) -> list[Finding]:
    """Artifacts that MLflow looks for in another folder, because the checkout was moved."""
    from resnet.registry import store

    moved = store.moved_experiments(root)
    if moved:
        return [
            Finding(
                "fail",
                "artifacts",
                f"{len(moved)} MLflow experiments store their artifacts in {moved[0]}, which is "
                "not in this checkout: it was moved; move it back, or remove .state/mlflow and "
                "start with an empty registry",
            )
        ]
    return [Finding("ok", "artifacts", "MLflow's artifacts are where its records point")]


def ledgers(root: Path) -> list[Finding]:
    """Whether the ledger is intact and matches the aliases."""
    from resnet.registry import store
    from resnet.registry.promotion import history

    if not store.exists(root):
        return [Finding("ok", "ledgers", "nothing is registered yet")]
    problems = history.problems(root, params.load(root).model_name)
    return [Finding("warn", "ledgers", problem) for problem in problems] or [
        Finding("ok", "ledgers", "every ledger is intact and matches the aliases")
    ]


CHECKS: tuple[Check, ...] = (
    tools,
    parameters,
    device,
    data,
    added,
    hidden,
    locks,
    servers,
    artifacts,
    ledgers,
)
