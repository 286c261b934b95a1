"""Run each check and print what it finds."""

from collections.abc import Sequence
from pathlib import Path

from resnet.errors import PipelineError
from resnet.messages.redaction import redact
from resnet.operations.doctor import checkout, definitions, installation, models, stores
from resnet.operations.doctor.finding import Check, Finding

CHECKS: tuple[Check, ...] = (
    installation.tools,
    checkout.repository,
    definitions.definitions,
    installation.parameters,
    installation.device,
    checkout.data,
    checkout.added,
    checkout.hidden,
    checkout.locks,
    stores.servers,
    stores.database,
    stores.artifacts,
    stores.ledgers,
    models.models,
)


def report(root: Path, debug: bool = False, others: Sequence[Check] = ()) -> int:
    """Print each finding as it comes. Returns 1 if one of them is a failure, else 0.

    `others` are made after `CHECKS`. With `debug`, an unexpected error of a check is raised.
    """
    failed = False
    for check in (*CHECKS, *others):
        for finding in _run(check, root, debug):
            print(redact(str(finding)), flush=True)
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
