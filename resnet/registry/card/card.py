"""Keep a page with each version that says what it is: the registry in, `model-card.html` out.

The page is made from what the registry holds, and holds nothing that is not there: it can be drawn
again at any time. Loads neither TensorFlow nor matplotlib, and no more of pandas than MLflow does.
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
from resnet.pages import html_page
from resnet.registry import store, versions
from resnet.registry.card.content import About, ClassScore, Part, Profile
from resnet.registry.gate.rules import Measured, measured
from resnet.registry.ledger import ledger, queries
from resnet.registry.ledger.event import Event
from resnet.registry.store import Client
from resnet.registry.versions import Version
from resnet.system import files

CARD_FILE = "model-card.html"  # artifact of a version's run
MARK = "logged.card"  # tag of the run: what the card there was made from
FOLDERS = ("data", "evaluation", "pictures")  # of the run's artifacts: what the page needs

Row = TypeVar("Row", bound=BaseModel)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Card:
    """A version's page, and where it is kept."""

    version: Version
    html: str
    address: str  # of the artifact

    def __str__(self) -> str:
        return f"{self.version}: {self.address}"

    def write(self, path: Path) -> None:
        """Write the page to the file `path`. Raises PipelineError where that is a folder."""
        if path.is_dir():
            raise PipelineError(f"{path} is a folder: name a file, such as {path / CARD_FILE}")
        files.write_text(path, self.html)


def make(root: Path, name: str, selector: str | int) -> Card:
    """Draw the card of a version anew. Raises PipelineError where there is no such version."""
    client = store.client(root)
    return renew(client, versions.resolve(client, name, selector))


def renew(client: Client, version: Version) -> Card:
    """Draw the card of `version` anew, and keep it with the version's run.

    Safe to repeat, and to kill: the mark is set when the page is there. The same registry gives
    the same page. Raises PipelineError where the registry cannot be read.
    """
    about = read(client, version)
    html = html_page.html(about.title, about.page(), about.pictures)
    client.log_text(version.run_id, html, CARD_FILE)
    client.set_tag(version.run_id, MARK, _mark(version, about.outcome))
    artifacts = client.get_run(version.run_id).info.artifact_uri
    return Card(version, html, f"{artifacts}/{CARD_FILE}")


def is_current(client: Client, version: Version, history: Sequence[Event]) -> bool:
    """Whether there is a card, made from the newest evaluation and the newest event about it.

    `history` is the ledger's.
    """
    outcome = queries.last_outcome(history, version.number)
    found = client.get_run(version.run_id).data.tags.get(MARK)
    return bool(found == _mark(version, outcome))


def follow(client: Client, event: Event) -> None:
    """Renew the cards of the versions that `event` concerns, those that are deleted apart.

    The event has happened, and nothing that is wrong with a page may look as if it had not: there
    is a warning, and the next `publish` of the version draws the page, or says what is wrong.
    """
    for number in sorted(queries.concerned(event)):
        try:
            if version := versions.get(client, event.model, number):
                renew(client, version)
        except Exception as error:  # noqa: BLE001
            log.warning(
                "the model card of %s version %s was not renewed (%s): 'resnet card %s --model %s' "
                "draws it",
                *(event.model, number, error, number, event.model),
            )


def read(client: Client, version: Version) -> About:
    """What the registry says of `version`."""
    registered = client.get_model_version(version.name, str(version.number))
    run = client.get_run(version.run_id).data
    history = ledger.events(client, version.name)
    with tempfile.TemporaryDirectory() as folder:
        found = _artifacts(client, version, Path(folder))
        return About(
            version=version,
            description=registered.description or "",
            tags={**run.tags, **registered.tags},
            parameters=run.params,
            measured=run.metrics,
            metrics=_metrics(client, version, Path(folder)),
            profile=_profile(found),
            classes=_table(found, "evaluation/per_class.csv", ClassScore),
            parts=_table(found, "evaluation/subsets.csv", Part),
            pictures={
                path.stem: path.read_bytes() for path in found.values() if path.suffix == ".png"
            },
            decision=queries.last_decision(history, version.number),
            outcome=queries.last_outcome(history, version.number),
        )


def _mark(version: Version, outcome: Event | None) -> str:
    return f"{version.evaluation_hash} {outcome.id if outcome else 'undecided'}"


def _artifacts(client: Client, version: Version, into: Path) -> dict[str, Path]:
    """Copies of what the run has for the page, by their paths in the run."""
    there = [
        one.path for folder in FOLDERS for one in client.list_artifacts(version.run_id, folder)
    ]
    wanted = [path for path in there if path.endswith((".csv", ".json", ".png"))]
    return {path: versions.fetch(client, version, path, into) for path in wanted}


def _metrics(client: Client, version: Version, into: Path) -> Measured:
    """Nothing where the evaluation that belongs to the version is not there: the page says so."""
    try:
        return measured(versions.evaluation(client, version, into).metrics)
    except UnreachableError:
        raise
    except PipelineError:
        return {}


def _profile(found: Mapping[str, Path]) -> Profile:
    """An empty one where it is missing or has another form."""
    try:
        return Profile.model_validate_json(found[versions.PROFILE_FILE].read_bytes())
    except (KeyError, ValueError):
        return Profile()


def _table(found: Mapping[str, Path], artifact: str, row: type[Row]) -> list[Row]:
    """The rows of a CSV file; none where it is missing or has another form."""
    try:
        with found[artifact].open(newline="") as stream:
            return [row.model_validate(one) for one in csv.DictReader(stream)]
    except (KeyError, ValueError):
        return []
