"""Show a training in MLflow while it runs: implements the callback of resnet.training.

Training never waits for MLflow and never ends because of it: `publish` adds what the server missed.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from resnet import params
from resnet.checkout import checkpoint_folders
from resnet.errors import PipelineError
from resnet.messages.redaction import redact
from resnet.registry import store
from resnet.registry.store import Client
from resnet.registry.tracking import curves, run_artifacts
from resnet.system import files, processes

from mlflow.entities import Run

ENDINGS = {"stopped", "failure"}  # tags: why a training ended early


class LiveRun:
    """One training as one MLflow run, opened at its first step."""

    def __init__(self, root: Path, parameters: params.Params) -> None:
        self._client: Client  # from the first step on
        self._root, self._parameters = root, parameters
        self._run_id = ""
        self._logged = 0  # the step up to which the run has its points already
        self._lost = False  # MLflow does not answer

    def started(self, total_steps: int, folder: Path, key: str) -> None:
        self._attempt(lambda: self._open(total_steps, checkpoint_folders.run_id_file(folder), key))

    def epoch(self, row: Mapping[str, float]) -> None:
        if self._run_id and not self._lost and row["step"] > self._logged:
            self._attempt(lambda: self._client.log_batch(self._run_id, metrics=curves.points(row)))

    def finished(self, model_hash: str) -> None:
        self._end("FINISHED", "model_hash", model_hash)

    def stopped(self, reason: str) -> None:
        self._end("KILLED", "stopped", reason)

    def failed(self, reason: str) -> None:
        self._end("FAILED", "failure", reason)

    def _open(self, total_steps: int, note: Path, key: str) -> None:
        """Resume the run whose id an interrupted training has noted, or open and note one."""
        self._client = store.client(self._root)
        experiment = run_artifacts.experiment(self._client, self._parameters.model_name)
        run = _active(self._client, note.read_text()) if note.exists() else None
        if run:
            self._resume(run)
            return
        for abandoned in left_running(self._client, experiment, key):
            self._client.set_terminated(abandoned, "KILLED")
        tags = {
            "training_key": key,
            "trainer": processes.identity(),
            "total_steps": str(total_steps),
        }
        self._run_id = run_artifacts.open_run(
            self._client, experiment, self._parameters, self._root, tags
        )
        files.write_text(note, self._run_id)

    def _resume(self, run: Run) -> None:
        run_id = run.info.run_id
        self._client.update_run(run_id, "RUNNING")
        self._client.set_tag(run_id, "trainer", processes.identity())
        for ending in ENDINGS & run.data.tags.keys():
            self._client.delete_tag(run_id, ending)
        points = self._client.get_metric_history(run_id, "train_loss")
        self._logged = max((point.step for point in points), default=0)
        self._run_id = run_id

    def _end(self, status: str, tag: str, value: str) -> None:
        def end() -> None:
            self._client.set_tag(self._run_id, tag, redact(value))
            self._client.set_terminated(self._run_id, status)

        if self._run_id:
            self._attempt(end)

    def _attempt(self, action: Callable[[], object]) -> None:
        """Do `action`; where the store does not answer, warn once and let training continue."""
        try:
            action()
        except (PipelineError, *store.UNAVAILABLE) as error:
            if not self._lost:
                reason = redact(str(error)).partition("\n")[0]
                print(
                    f"warning: MLflow no longer follows this training ({reason}); "
                    "'resnet publish' adds what is missing",
                    file=sys.stderr,
                )
            self._lost = True


def left_running(client: Client, experiment: str, key: str) -> list[str]:
    """Ids of runs of this training, newest first, that are RUNNING though their process ended.

    A run that has its model's hash was being published: only `publish` of that model completes it.
    """
    running = client.search_runs(
        [experiment],
        f"tags.training_key = '{key}' and attributes.status = 'RUNNING'",
        order_by=["attributes.start_time DESC"],
    )
    return [
        run.info.run_id
        for run in running
        if "model_hash" not in run.data.tags
        and processes.has_ended(run.data.tags.get("trainer", ""))
    ]


def _active(client: Client, run_id: str) -> Run | None:
    """The run; None where the store has none of this id, or it is deleted."""
    run = store.existing(lambda: client.get_run(run_id))
    return run if run and run.info.lifecycle_stage == "active" else None
