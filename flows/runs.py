"""Which unfinished flow runs still have a process, and the end of those that have none.

A process holds a lock file while it executes a flow run, and so does `resnet worker` while it takes
them: the kernel releases the lock however the process ends, a power cut included. The file stays
until the run's own server knows of its end. A run that has no lock file in this checkout's state,
such as one of another host, counts as alive.
"""

import atexit
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import FileLock, Timeout

from flows import deploy, deployed, server
from resnet.checkout import identity, project
from resnet.errors import PipelineError
from resnet.system import addresses, file_locks

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, Worker
    from prefect.client.schemas.responses import DeploymentResponse

T = TypeVar("T")
LOCK_SECONDS = 10.0  # others hold the lock of a run only for the moment in which they look
PAGE = 200  # flow runs, deployments or workers that the server sends at once
WORKER_LABEL, WORKER_TYPE = "prefect.worker.name", "prefect.worker.type"
GONE = "its process is gone: it was killed, or the machine was"


def hold(root: Path, run_id: str) -> None:
    """Show, until this process ends, that the flow run has a process.

    Raises PipelineError if another process executes the same run.
    """
    lock = _acquire(_lock(root, "flow-runs", run_id))
    atexit.register(lock.release)  # not removed: the server may not have learned of the run's end


@contextmanager
def worker(root: Path, name: str) -> Iterator[None]:
    """Show for the time of the block that the worker of that name lives."""
    lock = _acquire(_lock(root, "workers", name))
    try:
        yield
    finally:
        lock.release()  # not removed: the runs that it had only taken have died with it


def dead(root: Path, client: "SyncPrefectClient") -> list["FlowRun"]:
    """The flow runs that the server takes for being executed, and whose process is gone."""
    suspects = {run.id for run in unfinished(client) if _has_died(root, run)}
    # Ask again: a run may have ended, and its process with it, before the look at the lock.
    return [run for run in unfinished(client) if run.id in suspects] if suspects else []


def unfinished(client: "SyncPrefectClient") -> list["FlowRun"]:
    """All flow runs that the server takes for being executed."""
    wanted = server.where(state={"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}})
    return _all(client.read_flow_runs, flow_run_filter=wanted)


def deployments(client: "SyncPrefectClient", root: Path) -> list["DeploymentResponse"]:
    """All deployments of this checkout whose runs go to the work pools of prefect.yaml."""
    from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName

    wanted = WorkPoolFilter(name=WorkPoolFilterName(any_=deploy.pools(root)))
    own = identity.known(root), deploy.folder(root)
    every = _all(client.read_deployments, work_pool_filter=wanted)
    return [deployment for deployment in every if deployed.is_own(deployment, *own)]


def workers(client: "SyncPrefectClient", pool: str) -> list["Worker"]:
    """All workers, of now and earlier, of a work pool; none of a pool that is not there yet."""
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        return _all(partial(client.read_workers_for_work_pool, pool))
    except PrefectHTTPStatusError as error:
        if error.response.status_code != HTTPStatus.NOT_FOUND:
            raise
        return []


def slots(deployment: "DeploymentResponse", unfinished: Iterable["FlowRun"]) -> tuple[int, int]:
    """How many concurrency slots of a deployment are taken, and how many runs hold one.

    Read the deployment before the runs: one of them may take a slot meanwhile.
    """
    limit = deployment.global_concurrency_limit
    holders = sum(run.deployment_id == deployment.id for run in unfinished)
    return (limit.active_slots if limit else 0), holders


def free(root: Path) -> list[str]:
    """End the flow runs whose process is gone, and give back the slots that no run holds.

    A line about each; none without a running server. Raises PipelineError if the user has named a
    server that does not answer, or it stops answering.
    """
    api = addresses.running_prefect()
    if api is None:
        return []
    with server.connect(api) as client:
        lines = [_end(client, run) for run in dead(root, client)]
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
    own = deployments(client, root)
    holding = unfinished(client)
    for deployment in own:
        taken, holders = slots(deployment, holding)
        if taken > holders and (limit := deployment.global_concurrency_limit):
            held = GlobalConcurrencyLimitUpdate(active_slots=holders)
            client.update_global_concurrency_limit(limit.name, held)
            name = full_name(client, deployment)
            lines.append(f"freed: {name} had {taken} slots taken, and {holders} runs that hold one")
    return lines


def _has_died(root: Path, run: "FlowRun") -> bool:
    lock = _lock(root, "flow-runs", str(run.id))
    is_taken = (
        run.state is not None and run.state.is_pending()
    )  # no process of it yet, again or at all
    if is_taken or not lock.exists():
        if run.labels.get(WORKER_TYPE) != deploy.DEFAULT_POOL_TYPE:
            return False  # such as a container, which outlives its worker
        lock = _lock(root, "workers", str(run.labels.get(WORKER_LABEL)))
    return lock.exists() and not file_locks.is_held(lock)


def _remove_locks(root: Path, client: "SyncPrefectClient") -> None:
    """Remove the lock files of ended processes about which nothing is left to find out.

    Those that this server does not know stay: they may be another server's.
    """
    ids = [lock.stem for lock in _locks(root, "flow-runs")]
    names = {worker.name for pool in deploy.pools(root) for worker in workers(client, pool)}
    over = {"flow-runs": _ended(client, ids), "workers": names}
    for kind, known in over.items():
        for lock in _locks(root, kind):
            if lock.stem in known and not file_locks.is_held(lock):
                lock.unlink(missing_ok=True)


def _ended(client: "SyncPrefectClient", ids: list[str]) -> set[str]:
    """Those of the flow runs that the server knows to have ended."""
    from prefect.client.schemas.objects import TERMINAL_STATES

    ended: set[str] = set()
    for start in range(0, len(ids), PAGE):
        wanted = server.where(
            id={"any_": ids[start : start + PAGE]},
            state={"type": {"any_": list(TERMINAL_STATES)}},
        )
        ended |= {str(run.id) for run in client.read_flow_runs(flow_run_filter=wanted, limit=PAGE)}
    return ended


def _all(read: Callable[..., list[T]], **wanted: Any) -> list[T]:
    """All that the server has, of which it sends a page at once."""
    found: list[T] = []
    while page := read(**wanted, limit=PAGE, offset=len(found)):
        found += page
    return found


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


def _folder(root: Path, kind: str) -> Path:
    return project.state(root) / kind


def _locks(root: Path, kind: str) -> list[Path]:
    return list(_folder(root, kind).glob("*.lock"))


def _lock(root: Path, kind: str, name: str) -> Path:
    return _folder(root, kind) / f"{name}.lock"
