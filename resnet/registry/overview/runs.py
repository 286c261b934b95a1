"""Recent runs for a reader: a table of any, and the trainings that MLflow has recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from resnet.pages.text_table import aligned
from resnet.registry import links, store
from resnet.registry.ledger.event import second, utc_iso
from resnet.system import processes

from mlflow.entities import Run

HEADING = ("BEGUN (UTC)", "RUN", "STATE", "ID", "WHY")
LENGTH = 160  # of a reason in the table
ENDINGS = ("failure", "stopped")  # tags of a run: why its training ended early


@dataclass(frozen=True)
class RecentRun:
    """A flow run of Prefect, or a training that MLflow has recorded."""

    id: str
    begun: str  # ISO 8601, UTC
    name: str
    state: str
    why: str  # why it is in that state, as far as is known


def as_table(runs: Sequence[RecentRun]) -> list[str]:
    """One row per run, in their order."""
    rows = [(second(one.begun), one.name, one.state, one.id, _short(one.why)) for one in runs]
    return aligned([HEADING, *rows])


def report(root: Path, name: str, failed: bool, number: int) -> str:
    """The last `number` trainings of the model `name`, newest first; with `failed` those alone.

    A training that says that it runs and whose process has ended counts as failed.
    """
    client = store.client(root)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return f"no training of {name} is recorded yet"
    ids, order = [experiment.experiment_id], ["attributes.start_time DESC"]
    found = store.pages(lambda page: client.search_runs(ids, order_by=order, page_token=page))
    wanted = (run for run in found if not failed or _state(run) not in ("FINISHED", "RUNNING"))
    runs = [_recent(run) for run in islice(wanted, number)]
    if not runs:
        return f"no training of {name} {'has failed' if failed else 'is recorded yet'}"
    page = links.link(root, f"experiments/{experiment.experiment_id}/runs/ID")
    about = links.annotated("A run in MLflow", links.how_to_open(root))
    return "\n".join([*as_table(runs), f"{about}: {page}"])


def _recent(run: Run) -> RecentRun:
    begun = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
    why = next((run.data.tags[tag] for tag in ENDINGS if tag in run.data.tags), "")
    return RecentRun(run.info.run_id, utc_iso(begun), run.info.run_name or "", _state(run), why)


def _state(run: Run) -> str:
    """The status, with the truth about a run whose process was killed."""
    trainer = run.data.tags.get("trainer", "")
    if run.info.status == "RUNNING" and processes.has_ended(trainer):
        return "RUNNING (its process has ended)"
    return str(run.info.status)


def _short(why: str) -> str:
    line = " ".join(why.partition("\n")[0].split())
    return line if len(line) <= LENGTH else f"{line[: LENGTH - 1]}…"
