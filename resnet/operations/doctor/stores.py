"""Checks of what remembers: the servers, MLflow's artifacts, the ledger."""

from pathlib import Path

from resnet import params
from resnet.errors import PipelineError
from resnet.operations.doctor.finding import Finding
from resnet.system import addresses


def servers(root: Path) -> list[Finding]:
    """Whether the servers that the user's variables name answer."""
    findings = []
    for variable in addresses.VARIABLES:
        try:
            addresses.require_named(variable)
        except PipelineError as error:
            findings.append(Finding("fail", "servers", str(error)))
    return findings or [Finding("ok", "servers", "every named server answers")]


def database(root: Path) -> list[Finding]:
    """Whether the SQLite file of MLflow's store is sound: a damaged one may still answer."""
    from resnet.registry import store

    return [
        Finding("fail", "database", f"MLflow's SQLite file is damaged ({text}): restore it")
        for text in store.damage(root)
    ] or [Finding("ok", "database", "MLflow's SQLite file is sound, or there is none")]


def artifacts(root: Path) -> list[Finding]:
    """Artifacts that MLflow looks for elsewhere, because the checkout was moved or copied."""
    from resnet.registry import relocation

    return [
        Finding(
            "fail",
            "artifacts",
            f"the registry names artifacts in {folder}, which is not in this checkout: it was "
            "moved, or copied from there; 'resnet relocate' lets the registry name its own "
            "artifacts",
        )
        for folder in relocation.former_folders(root)
    ] or [Finding("ok", "artifacts", "MLflow's artifacts are where its records point")]


def ledgers(root: Path) -> list[Finding]:
    """Whether the ledger is intact and matches the aliases."""
    from resnet.registry import store
    from resnet.registry.promotion import history

    problems = history.problems(root, params.load(root).model_name)
    if not problems and not store.exists(root):
        return [Finding("ok", "ledgers", "nothing is registered yet")]
    return [Finding("warn", "ledgers", problem) for problem in problems] or [
        Finding("ok", "ledgers", "every ledger is intact and matches the aliases")
    ]
