"""Show a training in MLflow while it runs. Implements the listener of resnet.training.

Training never waits for MLflow and never ends because of it: what the server misses, `publish`
adds later.
"""

import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from resnet import params, provenance
from resnet.errors import PipelineError
from resnet.registry import curves, record, store


class LiveRun:
    """One training as one MLflow run, opened at its first step."""

    def __init__(self, root: Path, chosen: params.Params) -> None:
        self._root, self._chosen = root, chosen
        self._client: Any = None
        self._run_id = ""
        self._lost = False

    def started(self, total_steps: int, done: int) -> None:
        self._attempt(lambda: self._open(total_steps, resumed=done > 0))

    def epoch(self, row: Mapping[str, float]) -> None:
        if not self._lost:
            self._attempt(lambda: self._client.log_batch(self._run_id, metrics=curves.points(row)))

    def finished(self, model_hash: str) -> None:
        def end() -> None:
            self._client.set_tag(self._run_id, "model_hash", model_hash)
            self._client.set_terminated(self._run_id)

        self._attempt(end)

    def failed(self, reason: str) -> None:
        def end() -> None:
            self._client.set_tag(self._run_id, "failure", reason)
            self._client.set_terminated(self._run_id, "FAILED")

        self._attempt(end)

    def _open(self, total_steps: int, resumed: bool) -> None:
        self._client = store.client(self._root)
        key = provenance.training_key(self._chosen, self._root)
        experiment = store.experiment(self._client, self._chosen.model_name)
        for abandoned in left_running(self._client, experiment, key):
            self._client.set_terminated(abandoned, "KILLED")
        interrupted = _interrupted(self._client, experiment, key) if resumed else None
        if interrupted:
            self._client.update_run(interrupted, "RUNNING")
            self._client.set_tag(interrupted, "trainer", _trainer())
            self._run_id = interrupted
            return
        tags = {"training_key": key, "trainer": _trainer(), "total_steps": str(total_steps)}
        self._run_id = record.open_run(self._client, experiment, self._chosen, tags)

    def _attempt(self, action: Callable[[], object]) -> None:
        """Do `action`; where the store does not answer, say so once and let training go on."""
        if self._lost and not self._run_id:
            return
        try:
            action()
        except (PipelineError, *store.UNAVAILABLE) as error:
            if not self._lost:
                reason = str(error).partition("\n")[0]
                print(
                    f"warning: MLflow does not follow this training any more ({reason}); "
                    "'resnet publish' adds what is missing",
                    file=sys.stderr,
                )
            self._lost = True


def left_running(client: Any, experiment: str, key: str) -> list[str]:
    """Ids of runs of this training, newest first, that say RUNNING though their process is gone."""
    running = client.search_runs(
        [experiment],
        f"tags.training_key = '{key}' and attributes.status = 'RUNNING'",
        order_by=["attributes.start_time DESC"],
    )
    return [run.info.run_id for run in running if _is_gone(run.data.tags.get("trainer", ""))]


def _interrupted(client: Any, experiment: str, key: str) -> str | None:
    """The newest run of this training that has ended without a model."""
    ended = client.search_runs(
        [experiment],
        f"tags.training_key = '{key}' and attributes.status != 'RUNNING'",
        order_by=["attributes.start_time DESC"],
    )
    return next((run.info.run_id for run in ended if "model_hash" not in run.data.tags), None)


def _trainer() -> str:
    """This process, so that another one can tell whether it still lives."""
    process = psutil.Process()
    return f"{socket.gethostname()} {process.pid} {process.create_time()}"


def _is_gone(trainer: str) -> bool:
    """Whether the process has ended; one on another host is taken to live."""
    host, _, rest = trainer.partition(" ")
    if host != socket.gethostname():
        return False
    pid, _, born = rest.partition(" ")
    try:
        return str(psutil.Process(int(pid)).create_time()) != born
    except psutil.NoSuchProcess:
        return True
