"""Which unfinished flow runs still have a process, and the end of those that have none.

A process holds a lock file while it executes a flow run, and so does `resnet worker` while it takes
them: the kernel releases the lock however the process ends, a power cut included. A run that has no
lock file in this checkout's state, such as one of another host, counts as alive.
"""

import atexit
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from flows import deploy, deployed, server
from resnet.checkout import project
from resnet.checkout.identity import identity
from resnet.errors import PipelineError
from resnet.system import addresses, file_locks

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse

LOCK_SECONDS = 10.0  # others hold the lock of a run only for the moment in which they look
PAGE = 200  # flow runs or deployments that the server sends at once
WORKER_LABEL = "prefect.worker.name"
GONE = "its process is gone: it was killed, or the machine was"


def hold(root: Path, run_id: str) -> None:
    """Show, until this process ends, that the flow run has a process.

    Raises PipelineError if another process executes the same run.
    """
    lock = _acquire(_lock(root, "flow-runs", run_id))
    atexit.register(_release, lock)


@contextmanager
def worker(root: Path, name: str) -> Iterator[None]:
    """Show for the time of the block that the worker of that name lives."""
    lock = _acquire(_lock(root, "workers", name))
    try:
        yield
    finally:
        _release(lock)


def dead(root: Path, unfinished: Iterable["FlowRun"]) -> list["FlowRun"]:
    """Those of the unfinished flow runs whose process is gone."""
    return [run for run in unfinished if _has_died(root, run)]


def unfinished(client: "SyncPrefectClient") -> list["FlowRun"]:
    """All flow runs that the server takes for being executed."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    types = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=types))
    runs: list[FlowRun] = []
    while page := client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=state), limit=PAGE, offset=len(runs)
    ):
        runs += page
    return runs


def deployments(client: "SyncPrefectClient", root: Path) -> list["DeploymentResponse"]:
    """All deployments of this checkout whose runs go to the work pools of prefect.yaml."""
    from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName

    wanted = WorkPoolFilter(name=WorkPoolFilterName(any_=deploy.pools(root)))
    found: list[DeploymentResponse] = []
    while page := client.read_deployments(work_pool_filter=wanted, limit=PAGE, offset=len(found)):
        found += page
    own = identity(root), deploy.folder(root)
    return [deployment for deployment in found if deployed.is_own(deployment, *own)]


def slots(deployment: "DeploymentResponse", unfinished: Iterable["FlowRun"]) -> tuple[int, int]:
    """How many concurrency slots of a deployment are taken, and how many runs hold one."""
    limit = deployment.global_concurrency_limit
    holders = sum(run.deployment_id == deployment.id for run in unfinished)
    return (limit.active_slots if limit else 0), holders


def free(root: Path) -> list[str]:
    """End the flow runs whose process is gone, and give back the slots that no run holds.

    A line about each; none without a running server. Raises PipelineError if the user has named a
    server that does not answer.
    """
    api = addresses.running_prefect()
    if api is None:
        return []
    with server.connect(api) as client:
        lines = [_end(client, run) for run in dead(root, unfinished(client))]
        lines += _give_back_slots(client, root)
        _remove_locks(root, client)
    return lines


def full_name(client: "SyncPrefectClient", deployment: "DeploymentResponse") -> str:
    """FLOW/NAME, as `prefect deployment run` takes it."""
    return f"{client.read_flow(deployment.flow_id).name}/{deployment.name}"


def _end(client: "SyncPrefectClient", run: "FlowRun") -> str:
    from prefect.states import Cancelled, Crashed

    assert run.state is not None  # noqa: S101  (it was chosen by its state)
    final = Cancelled if run.state.is_cancelling() else Crashed
    client.set_flow_run_state(run.id, final(message=GONE), force=True)
    return f"freed: flow run {run.name} ({run.id}) said {run.state.name}, but {GONE}"


def _give_back_slots(client: "SyncPrefectClient", root: Path) -> list[str]:
    from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate

    lines = []
    alive = unfinished(client)
    for deployment in deployments(client, root):
        taken, holders = slots(deployment, alive)
        if taken > holders and (limit := deployment.global_concurrency_limit):
            held = GlobalConcurrencyLimitUpdate(active_slots=holders)
            client.update_global_concurrency_limit(limit.name, held)
            name = full_name(client, deployment)
            lines.append(f"freed: {name} had {taken} slots taken, and {holders} runs that hold one")
    return lines


def _has_died(root: Path, run: "FlowRun") -> bool:
    lock = _lock(root, "flow-runs", str(run.id))
    if not lock.exists():  # its process had not come so far, or it is not this checkout's
        lock = _lock(root, "workers", str(run.labels.get(WORKER_LABEL)))
    return lock.exists() and not file_locks.is_held(lock)


def _remove_locks(root: Path, client: "SyncPrefectClient") -> None:
    """Remove the lock files of ended processes about which nothing is left to find out."""
    open_ids = {str(run.id) for run in unfinished(client)}
    for lock in _folder(root, "flow-runs").glob("*.lock"):
        if lock.stem not in open_ids and not file_locks.is_held(lock):
            lock.unlink(missing_ok=True)
    for lock in _folder(root, "workers").glob("*.lock"):
        if not file_locks.is_held(lock):
            lock.unlink(missing_ok=True)


def _acquire(path: Path) -> FileLock:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout:
        raise PipelineError(
            f"another process holds {path}: it executes the same; end one of the two"
        ) from None
    return lock


def _release(lock: FileLock) -> None:
    Path(lock.lock_file).unlink(missing_ok=True)  # first: an unheld one would be taken for a death
    lock.release()


def _folder(root: Path, kind: str) -> Path:
    return project.state(root) / kind


def _lock(root: Path, kind: str, name: str) -> Path:
    return _folder(root, kind) / f"{name}.lock"
