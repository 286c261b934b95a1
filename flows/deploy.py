"""Put the work pool, its queue and the deployments of prefect.yaml on the running server."""

import contextlib
import os
import sys
from pathlib import Path

from resnet.errors import PipelineError
from resnet.system import addresses, processes

POOL, QUEUE = "resnet", "training"  # as prefect.yaml names them
LIMIT = 1  # trainings at a time; the others wait in the queue


def deploy(root: Path) -> None:
    """Safe to repeat: what is there keeps its settings, the deployments are brought up to date.

    Raises PipelineError where no server is up, or Prefect refuses a deployment.
    """
    api = addresses.running_prefect()
    if api is None:
        raise PipelineError(f"no Prefect server is up at {addresses.PREFECT_API}: start 'make ui'")
    os.environ.update({"PREFECT_API_URL": api, "RESNET_ROOT": str(root)})
    _make_queue()
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    code, lines = processes.stream(command, root, os.environ, lambda line: None)
    if code:
        raise PipelineError("Prefect refuses prefect.yaml:\n" + "\n".join(lines[-20:]))
    print(*(line.strip(" │") for line in lines if "successfully" in line), sep="\n")
    print(f"on {api.removesuffix('/api')}; 'make worker' executes their runs")


def _make_queue() -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client:
        with contextlib.suppress(ObjectAlreadyExists):
            client.create_work_pool(
                WorkPoolCreate(name=POOL, type=ProcessWorker.type, base_job_template=template)
            )
        try:
            client.read_work_queue_by_name(QUEUE, work_pool_name=POOL)
        except ObjectNotFound:
            client.create_work_queue(QUEUE, concurrency_limit=LIMIT, work_pool_name=POOL)
