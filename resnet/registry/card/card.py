"""The model card of a version, `model-card.html` in its artifacts: the registry in, a page out.

The card is rendered from the registry alone, so that it can be rendered again at any time. Loads
neither TensorFlow nor matplotlib, and no more of pandas than MLflow does.
"""

import csv
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from resnet.errors import PipelineError, UnreachableError
from resnet.evaluation.records import Evaluation
from resnet.export.report import PortableReport
from resnet.pages import html_page
from resnet.registry import portable_forms, store, versions
from resnet.registry.card.content import CardContent, ClassScore, Profile, Subset
from resnet.registry.card.page import page
from resnet.registry.ledger import ledger, queries
from resnet.registry.ledger.event import Event
from resnet.registry.store import Client
from resnet.registry.versions import Version
from resnet.system import files

CARD_FILE = "model-card.html"  # artifact of a version's run
MARK = "logged.card"  # tag of the run: what its card was rendered from
FOLDERS = ("data", "evaluation", "pictures")  # of the run's artifacts: what the card needs

Row = TypeVar("Row", bound=BaseModel)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Card:
    """The card of a version, and its address."""

    version: Version
    html: str
    address: str  # of the artifact

    def __str__(self) -> str:
        return f"{self.version}: {self.address}"

    def write(self, path: Path) -> None:
        """Write the card to the file `path`. Raises PipelineError where that is a folder."""
        if path.is_dir():
            raise PipelineError(f"{path} is a folder: name a file, such as {path / CARD_FILE}")
        files.write_text(path, self.html)


def make(root: Path, name: str, selector: str | int) -> Card:
    """Render the card of a version again. Raises PipelineError where there is no such version."""
    client = store.client(root)
    version = versions.resolve(client, name, selector)
    return renew(client, version, ledger.events(client, name))


def renew(client: Client, version: Version, history: Sequence[Event]) -> Card:
    """Render the card of `version` again, and store it in the version's run.

    `history` is the ledger's. Safe to repeat, and to kill: the mark is set after the card is
    stored. The same registry gives the same card. Raises PipelineError where the registry cannot be
    read.
    """
    content = read(client, version, history)
    html = html_page.html(content.title, page(content), content.pictures)
    client.require_artifacts(version.run_id)
    client.log_text(version.run_id, html, CARD_FILE)
    store.set_tag(client, version.run_id, MARK, _mark(version, content.outcome))
    artifacts = client.get_run(version.run_id).info.artifact_uri
    return Card(version, html, f"{artifacts}/{CARD_FILE}")


def is_current(client: Client, version: Version, history: Sequence[Event]) -> bool:
    """Whether the card is from the version's current reports and the last event about it.

    `history` is the ledger's.
    """
    outcome = queries.last_outcome(history, version.id)
    mark = client.get_run(version.run_id).data.tags.get(MARK)
    return bool(mark == _mark(version, outcome))


def renew_cards(client: Client, event: Event, history: Sequence[Event]) -> None:
    """Render the cards of the versions that `event` concerns again; deleted ones have none.

    `history` is the ledger's. The event has happened, so an error here is a warning: the next
    `publish` of the version renders the card, or fails with the error.
    """
    for number in sorted(queries.concerned(event)):
        try:
            if version := versions.get(client, event.model, number):
                renew(client, version, history)
        except Exception as error:  # noqa: BLE001
            log.warning(
                "the model card of %s version %s was not renewed (%s): 'resnet card %s --model %s' "
                "renews it",
                *(event.model, number, error, number, event.model),
            )


def read(client: Client, version: Version, history: Sequence[Event]) -> CardContent:
    """What the registry holds of `version`; `history` is the ledger's."""
    registered = client.get_model_version(version.name, str(version.number))
    run = client.get_run(version.run_id).data
    with tempfile.TemporaryDirectory() as folder:
        artifacts = _artifacts(client, version, Path(folder))
        evaluation = _evaluation(client, version, Path(folder))
        return CardContent(
            version=version,
            description=registered.description or "",
            tags={**run.tags, **registered.tags},
            parameters=run.params,
            run_metrics=run.metrics,
            metrics=evaluation.metrics.by_name() if evaluation else {},
            scoring=evaluation.scoring if evaluation else None,
            profile=_profile(artifacts),
            classes=_table(artifacts, "evaluation/per_class.csv", ClassScore),
            subsets=_table(artifacts, "evaluation/subsets.csv", Subset),
            pictures={
                path.stem: path.read_bytes() for path in artifacts.values() if path.suffix == ".png"
            },
            portable=_portable(client, version, Path(folder)),
            decision=queries.last_decision(history, version.id),
            outcome=queries.last_outcome(history, version.id),
        )


def _mark(version: Version, outcome: Event | None) -> str:
    parts = [version.evaluation_hash, outcome.id if outcome else "undecided", version.portable_hash]
    return " ".join(filter(None, parts))


def _artifacts(client: Client, version: Version, into: Path) -> dict[str, Path]:
    """Copies of the artifacts that the card needs, by their paths in the run."""
    paths = [
        file.path for folder in FOLDERS for file in client.list_artifacts(version.run_id, folder)
    ]
    needed = [path for path in paths if path.endswith((".csv", ".json", ".png"))]
    return {path: versions.fetch(client, version, path, into) for path in needed}


def _evaluation(client: Client, version: Version, into: Path) -> Evaluation | None:
    """None where the evaluation that belongs to the version cannot be read: the card says so."""
    try:
        return versions.evaluation(client, version, into)
    except UnreachableError:
        raise
    except PipelineError:
        return None


def _portable(client: Client, version: Version, into: Path) -> PortableReport | None:
    """None where the version has no report on its portable forms, or it cannot be read."""
    try:
        return portable_forms.read(client, version, into)
    except UnreachableError:
        raise
    except PipelineError:
        return None


def _profile(artifacts: Mapping[str, Path]) -> Profile:
    """An empty one where it is missing or of another form."""
    try:
        return Profile.model_validate_json(artifacts[versions.PROFILE_FILE].read_bytes())
    except (KeyError, ValueError):
        return Profile()


def _table(artifacts: Mapping[str, Path], name: str, row: type[Row]) -> list[Row]:
    """The rows of a CSV file; none where it is missing or of another form."""
    try:
        with artifacts[name].open(newline="") as stream:
            return [row.model_validate(values) for values in csv.DictReader(stream)]
    except (KeyError, ValueError):
        return []
