"""What the registry has of the model that the stages made, and what is missing."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from resnet import params
from resnet.registry import store, versions
from resnet.registry.card import card
from resnet.registry.gate import gate
from resnet.registry.ledger import audit, queries
from resnet.registry.promotion.request import Request, latest
from resnet.registry.store import Client
from resnet.registry.tracking.outputs import StageReports
from resnet.registry.versions import Version


@dataclass(frozen=True)
class Status:
    """What the registry has of the model that the stages made."""

    version: Version | None
    evaluated: bool  # the version's evaluation is the one that the stages made
    decided: bool  # by the ledger it is in production, or decided: see `queries.has_decided`
    request: Request | None = None  # if the decision was to ask a person
    problems: tuple[str, ...] = ()  # of the ledger and its aliases, in words
    card_is_current: bool = True  # its model card is from that evaluation and the last decision
    portable: bool = True  # its portable forms are those that the stages made

    @property
    def is_published(self) -> bool:
        """Whether `publish` would have nothing to add."""
        complete = self.evaluated and self.portable and self.card_is_current
        return self.version is not None and complete


def status(parameters: params.Params, root: Path) -> Status:
    """Look up what is missing. Raises PipelineError if stage outputs are missing or stale."""
    return look_up(store.client(root), parameters, StageReports.read(parameters, root))


def look_up(client: Client, parameters: params.Params, reports: StageReports) -> Status:
    """What the registry has of the model that the `reports` are about."""
    name = parameters.model_name
    version = versions.find(client, name, reports.model_hash)
    if version is None:
        return Status(None, evaluated=False, decided=False)
    key = gate.decision_key(parameters.gate, reports.evaluation.test_hash)
    history, problems = audit.examine(client, name)
    serving = queries.named_by(history)
    serves = serving is not None and serving.is_same(version.id)
    request = latest(history, version.id, datetime.now(UTC))
    return Status(
        version,
        evaluated=version.evaluation_hash == reports.evaluation.hash,
        decided=serves or queries.has_decided(history, version.id, key),
        request=request if request and request.key == key else None,
        problems=tuple(problems),
        card_is_current=card.is_current(client, version, history),
        portable=version.portable_hash == reports.portable_hash,
    )
