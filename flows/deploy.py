"""Put the work pools, their queues and the deployments of prefect.yaml on the running server."""

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from resnet.errors import PipelineError
from resnet.system import addresses, files, processes

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


def deploy(root: Path) -> None:
    """Safe to repeat: existing pools and queues keep their settings, deployments are updated.

    Raises PipelineError if no server is running, or Prefect refuses a deployment.
    """
    api = addresses.running_prefect()
    if api is None:
        raise PipelineError(
            f"no Prefect server is running at {addresses.PREFECT_API}: start 'make ui'"
        )
    os.environ["PREFECT_API_URL"] = api
    _create_missing(work_queues(root), os.environ.get(POOL_TYPE) or DEFAULT_POOL_TYPE)
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    env = {**os.environ, FOLDER: os.environ.get(FOLDER) or str(root)}
    code, lines = processes.stream(command, root, env, lambda line: None)
    if code:
        raise PipelineError("Prefect refuses prefect.yaml:\n" + "\n".join(lines[-20:]))
    print(*(line.strip(" │") for line in lines if "successfully" in line), sep="\n")
    print(f"on {api.removesuffix('/api')}; 'make worker' executes their runs")


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
    return list(dict.fromkeys(queue.pool for queue in work_queues(root)))


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


def _create_missing(queues: list[WorkQueue], pool_type: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    template = job_template(pool_type)
    with get_client(sync_client=True) as client:
        for pool in dict.fromkeys(queue.pool for queue in queues):
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
