"""Checks of registered versions: that the files which a move or a card needs are there."""

from pathlib import Path

from resnet import params
from resnet.operations.doctor.finding import Finding, Level


def models(root: Path) -> list[Finding]:
    """Each version that has an alias, its files byte for byte, and the model of every other one."""
    from resnet.registry import store
    from resnet.registry.ledger import ledger
    from resnet.registry.verification import damage

    if not store.exists(root):
        return [Finding("ok", "models", "nothing is registered yet")]
    client = store.client(root)
    findings, count = [], 0
    for name in sorted({params.load(root).model_name, *ledger.models(client)}):
        for version in damage.every(client, name):
            count += 1
            problems = damage.damage(client, version)
            level: Level = "fail" if version.aliases else "warn"
            findings += [Finding(level, "models", problem) for problem in problems]
    return findings or [Finding("ok", "models", f"the files of {count} versions are there")]
