"""Answer a run that has nothing to do: DVC's status and the registry's in, what the flow says out.

No Prefect is needed for that, and no server.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet import params
from resnet.checkout import dvc, dvc_yaml, stages
from resnet.checkout.dvc_lock import DvcLock
from resnet.checkout.stages import StageOutcome
from resnet.data import arrivals
from resnet.errors import PipelineError

if TYPE_CHECKING:
    from resnet.registry.promotion.outcome import Promote


@dataclass(frozen=True)
class Answer:
    """What the flow would say of a run that has nothing to do."""

    stages: list[StageOutcome]  # all skipped
    message: str


def answer(
    root: Path, values: Mapping[str, Any], parameters: params.Params, promote: "Promote"
) -> Answer | None:
    """What a run in the checkout itself would say, if it has nothing to do; None if it may have.

    None too where that cannot be found out, because something is damaged, does not answer, or is in
    use: the flow meets the same, and says so. `values` are those of params.yaml.
    """
    try:
        if not _may_be(root, values) or arrivals.absent(root, parameters):
            return None
        message = _message(root, parameters, promote)
    except PipelineError:
        return None
    if message is None:
        return None
    return Answer([stages.skipped(stage, root) for stage in dvc_yaml.stages(root)], message)


def _may_be(root: Path, values: Mapping[str, Any]) -> bool:
    """Whether dvc.lock and the existence of its outputs, seen at once, do not speak against it."""
    lock = DvcLock.read(root)
    return (
        lock.stages.keys() >= set(dvc_yaml.stages(root))
        and not lock.edited(values)
        and all((root / path).exists() for path in lock.outputs)
    )


def _message(root: Path, parameters: params.Params, promote: "Promote") -> str | None:
    """The registry is asked after DVC: about the outputs that DVC has found unchanged.

    MLflow is imported while DVC works, for each takes a second or more.
    """
    with ThreadPoolExecutor(1) as pool:
        changed = pool.submit(stages.changed, root, 0, dvc.waiting_only)
        from resnet.registry import store
        from resnet.registry.promotion import outcome, status

        store.require_own_artifacts(root, parameters.model_name)
    if changed.result():
        return None
    return outcome.up_to_date(status.status(parameters, root), promote)
