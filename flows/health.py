"""What `doctor` asks Prefect's server: are runs alive and in time, do the watchers watch?"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flows import deploy, runs, server
from resnet.operations.doctor.finding import Check, Finding
from resnet.system import addresses

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse

LATE = timedelta(minutes=2)  # a worker looks for runs every ten seconds
PILE = 3  # late runs of one deployment, or missed periods of a schedule, that are a problem
FREE = "run 'resnet reconcile'"


def flow_runs(root: Path) -> list[Finding]:
    """Runs and slots without a process, late runs that pile up, watchers that do not look."""
    api = addresses.running_prefect()
    if api is None:
        return [_finding("ok", "not looked at: no Prefect server is running")]
    with server.connect(api) as client:
        deployments = runs.deployments(client, root)
        findings = [
            *_without_process(runs.dead(root, client)),
            *_leaked_slots(client, deployments, runs.unfinished(client)),
            *_late(client, deploy.pools(root), deployments),
            *_silent(client, deployments),
        ]
    return findings or [
        _finding("ok", "every run has its process, none is overdue, every schedule is kept")
    ]


CHECKS: tuple[Check, ...] = (flow_runs,)


def _without_process(dead: Iterable["FlowRun"]) -> list[Finding]:
    return [
        _finding(
            "fail",
            f"flow run {run.name} ({run.id}) says {run.state_name}, but {runs.GONE}; it keeps its "
            f"place in the queue: {FREE}",
        )
        for run in dead
    ]


def _leaked_slots(
    client: "SyncPrefectClient",
    deployments: Iterable["DeploymentResponse"],
    unfinished: list["FlowRun"],
) -> list[Finding]:
    findings = []
    for deployment in deployments:
        taken, holders = runs.slots(deployment, unfinished)
        if taken > holders:
            name = runs.full_name(client, deployment)
            text = f"{name} has {taken} slots taken, and {holders} runs that hold one"
            findings.append(_finding("fail", f"{text}, so that later runs do not begin: {FREE}"))
    return findings


def _late(
    client: "SyncPrefectClient", pools: Iterable[str], deployments: Iterable["DeploymentResponse"]
) -> list[Finding]:
    """Deployments of which several runs should have begun, or one for which no worker is there."""
    waiting = defaultdict(list)
    for run in _overdue(client):
        waiting[run.deployment_id].append(run)
    worked = {pool: _has_worker(client, pool) for pool in pools}
    findings = []
    for deployment in deployments:
        late = waiting[deployment.id]
        idle = not worked[deployment.work_pool_name or ""]
        if len(late) < PILE and not (late and idle):
            continue
        since = min(run.expected_start_time for run in late if run.expected_start_time)
        why = (
            "no worker takes them: start 'make worker'"
            if idle
            else f"others take all places of the work queue {deployment.work_queue_name}, or it is "
            "paused: see it in Prefect's pages"
        )
        name = runs.full_name(client, deployment)
        text = f"{len(late)} runs of {name} are late, the first since {_time(since)}; {why}"
        findings.append(_finding("warn", text))
    return findings


def _overdue(client: "SyncPrefectClient") -> list["FlowRun"]:
    wanted = server.where(
        state={"type": {"any_": ["SCHEDULED"]}},
        expected_start_time={"before_": datetime.now(UTC) - LATE},
    )
    return client.read_flow_runs(flow_run_filter=wanted, limit=runs.PAGE)


def _has_worker(client: "SyncPrefectClient", pool: str) -> bool:
    from prefect.client.schemas.objects import WorkerStatus

    workers = runs.workers(client, pool)
    return any(worker.status == WorkerStatus.ONLINE for worker in workers)


def _silent(
    client: "SyncPrefectClient", deployments: Iterable["DeploymentResponse"]
) -> list[Finding]:
    """Deployments that have not run at several times for which they are scheduled."""
    findings = []
    for deployment in deployments:
        active = [one for one in deployment.schedules if one.active and not deployment.paused]
        last = _last_start(client, deployment) if active else None
        for one in active:
            known = [time for time in (last, one.updated or deployment.created) if time]
            since = max(known, default=datetime.now(UTC))
            times = _times(one.schedule, since)
            if len(times) < PILE or times[-1] > datetime.now(UTC):  # fewer: the schedule ends
                continue
            name = runs.full_name(client, deployment)
            ran = f"has not run since {_time(last)}" if last else "has never run"
            text = f"{name} {ran}, and its schedule asked for it {PILE} times or more since"
            findings.append(_finding("fail", f"{text}: is 'make worker' running?"))
    return findings


def _last_start(client: "SyncPrefectClient", deployment: "DeploymentResponse") -> datetime | None:
    """When the newest run began that did its work, failed at it, or is about it."""
    from prefect.client.schemas.sorting import FlowRunSort

    wanted = server.where(
        deployment_id={"any_": [deployment.id]},
        state={"type": {"any_": ["COMPLETED", "FAILED", "RUNNING"]}},
    )
    newest = client.read_flow_runs(
        flow_run_filter=wanted, sort=FlowRunSort.START_TIME_DESC, limit=1
    )
    return newest[0].start_time if newest else None


def _times(schedule: Any, since: datetime) -> list[datetime]:
    """The next times of a schedule after `since`, as many as make a problem if all are past."""
    from prefect.server.schemas import schedules

    server_side = getattr(schedules, type(schedule).__name__)  # the client's own cannot tell times
    times = server_side(**schedule.model_dump()).get_dates(PILE, since + timedelta(seconds=1))
    return asyncio.run(times)


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _finding(level: Literal["ok", "warn", "fail"], text: str) -> Finding:
    return Finding(level, "flow runs", text)
