"""Put the work pools, their queues and the deployments of prefect.yaml on the running server."""

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml

from flows import deployed, server
from resnet.checkout import project
from resnet.checkout.identity import identity
from resnet.errors import PipelineError
from resnet.pages import text_table
from resnet.system import files, processes

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

FOLDER = "RESNET_ROOT"  # the variable that prefect.yaml's pull step reads; this checkout if unset
POOL_TYPE = "RESNET_POOL_TYPE"  # the variable that says what kind of worker executes the runs
DEFAULT_POOL_TYPE = "process"


@dataclass(frozen=True)
class WorkQueue:
    """One that a deployment of prefect.yaml names."""

    pool: str
    name: str
    limit: int | None  # runs at a time; the others wait in the queue

    @classmethod
    def of(cls, work_pool: dict[str, Any]) -> Self:
        """From a deployment's `work_pool`; Prefect itself passes over the limit there."""
        return cls(
            work_pool["name"], work_pool["work_queue_name"], work_pool.get("concurrency_limit")
        )


def deploy(root: Path, take_over: bool = False) -> None:
    """Safe to repeat: existing pools and queues keep their settings, deployments are updated.

    What a person has paused stays paused. Raises PipelineError if no server is running, Prefect
    refuses a deployment, or it is another checkout's, unless `take_over`.
    """
    api = server.require_running()
    checkout, enters, queues = identity(root), folder(root), work_queues(root)
    config = files.read_yaml(root / "prefect.yaml")
    with server.connect(api) as client:
        found = deployed.read(client, map(deployed.full_name, config["deployments"]))
        if not take_over:
            deployed.require_own(found, checkout, enters)
        _create_missing(client, queues, os.environ.get(POOL_TYPE) or DEFAULT_POOL_TYPE)
        prepared = deployed.prepare(config, checkout, client, found)
        _prefect_deploy(root, yaml.safe_dump(prepared))
        renamed = deployed.remove_renamed(client, checkout, enters)
    print(*text_table.aligned(table(config["deployments"])), *renamed, sep="\n")
    print(f"on {api.removesuffix('/api')}; 'make worker' executes their runs")


def folder(root: Path) -> str:
    """The folder that a deployed run enters first."""
    return os.environ.get(FOLDER) or str(root)


def table(specs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """One row per deployment of prefect.yaml: its name, its queue, and what starts it."""
    rows = [("DEPLOYMENT", "QUEUE", "STARTED BY")]
    for spec in specs:
        starts = [_times(one) for one in spec.get("schedules") or () if one]
        starts += [_events(one) for one in spec.get("triggers") or ()]
        queue = spec["work_pool"]["work_queue_name"]
        rows.append((deployed.full_name(spec), queue, ", ".join(starts) or "hand"))
    return rows


def _times(schedule: Mapping[str, Any]) -> str:
    """When a schedule of prefect.yaml starts a run: it has a cron, an interval or a rule."""
    zone = schedule.get("timezone") or "UTC"
    if interval := schedule.get("interval"):
        seconds = isinstance(interval, int | float)
        return f"every {interval} s" if seconds else f"every {interval}"
    return f"{schedule.get('cron') or schedule.get('rrule')} ({zone})"


def _events(trigger: Mapping[str, Any]) -> str:
    """What a trigger of prefect.yaml waits for; its name stands for what is no list of events."""
    if events := trigger.get("expect"):
        return ", ".join(f"event {name}" for name in events)
    if events := trigger.get("after"):
        return ", ".join(f"any event after {name}" for name in events)
    name = trigger.get("name")
    return f"trigger {name}" if name else f"a trigger of type {trigger.get('type', 'event')}"


def _prefect_deploy(root: Path, text: str) -> None:
    """Let Prefect put all deployments of that prefect.yaml on the server."""
    path = root / project.STATE / "prefect.yaml"
    files.write_text(path, text)
    words = ["prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(path)]
    env = {**os.environ, FOLDER: folder(root)}
    code, lines = processes.stream([sys.executable, "-m", *words], root, env, lambda line: None)
    if code:
        raise PipelineError("Prefect refuses prefect.yaml:\n" + "\n".join(lines[-20:]))


def work_queues(root: Path) -> list[WorkQueue]:
    """Those that the deployments of prefect.yaml name, each once, in its order.

    Raises PipelineError if it names none for a deployment.
    """
    path = root / "prefect.yaml"
    try:
        deployments = files.read_yaml(path)["deployments"]
        queues = [WorkQueue.of(deployment["work_pool"]) for deployment in deployments]
    except (OSError, yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise PipelineError(
            f"{path} does not name a work pool and a queue for each deployment ({error!r}): "
            "restore it with git"
        ) from None
    return list(dict.fromkeys(queues))


def pools(root: Path) -> list[str]:
    """The names of the work pools that prefect.yaml's deployments name."""
    return _pools(work_queues(root))


def _pools(queues: Iterable[WorkQueue]) -> list[str]:
    return list(dict.fromkeys(queue.pool for queue in queues))


def job_template(pool_type: str) -> dict[str, Any]:
    """What a new work pool of the type runs. Raises PipelineError for an unknown type."""
    from prefect.workers.base import BaseWorker

    worker = BaseWorker.get_worker_class_from_type(pool_type)
    if worker is None:
        known = ", ".join(sorted(BaseWorker.get_all_available_worker_types()))
        raise PipelineError(
            f"{POOL_TYPE} is {pool_type}, and no installed worker has this type: want one of "
            f"{known}; or install the worker's package first"
        )
    return worker.get_default_base_job_template()


def _create_missing(client: "SyncPrefectClient", queues: list[WorkQueue], pool_type: str) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    template = job_template(pool_type)
    for pool in _pools(queues):
        with contextlib.suppress(ObjectAlreadyExists):
            client.create_work_pool(
                WorkPoolCreate(name=pool, type=pool_type, base_job_template=template)
            )
    for queue in queues:
        try:
            client.read_work_queue_by_name(queue.name, work_pool_name=queue.pool)
        except ObjectNotFound:
            client.create_work_queue(
                queue.name, concurrency_limit=queue.limit, work_pool_name=queue.pool
            )
