"""Ask whether a version is good enough for production: the registry in, a verdict out.

The challenger and the version in production are compared on the challenger's test samples. Stored
predictions are used where they are for these; a model that was evaluated on others is scored again.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from resnet import params
from resnet.errors import PipelineError
from resnet.evaluation import comparison
from resnet.evaluation.comparison import Comparison
from resnet.evaluation.metrics import MetricValues, of_the_model
from resnet.evaluation.records import Evaluation, Predictions
from resnet.registry import store, versions
from resnet.registry.gate.rescore import score_again
from resnet.registry.gate.rules import Best, Facts, decide
from resnet.registry.gate.verdict import Verdict
from resnet.registry.ledger import ledger, queries
from resnet.registry.store import Client
from resnet.registry.versions import PRODUCTION, Version, VersionId

T = TypeVar("T")
Score = Callable[[Path, Path, str], Predictions]
"""(a checkout, a model.keras, the hash of test samples) → the model's predictions for these."""


def judge(
    root: Path, name: str, selector: str | int, gate: params.Gate, score: Score = score_again
) -> Verdict:
    """Ask the gate about a version, compared with the one in production; moves nothing.

    Raises PipelineError where there is no such version or its own evaluation cannot be read, and
    UnreachableError where the store does not answer. A rule without its facts fails.
    """
    client = store.client(root)
    version = versions.resolve(client, name, selector)
    production = versions.with_alias(client, name, PRODUCTION)
    serving = production.id if production else None
    history = ledger.events(client, name)

    def fact(read: Callable[[], T]) -> T | PipelineError:
        try:
            return read()
        except PipelineError as error:
            store.client(root)  # raises UnreachableError where the store is gone: no fact at all
            return error

    with tempfile.TemporaryDirectory() as folder:
        test = _TestSet(client, version, Path(folder), root, score)
        facts = Facts(
            test.evaluation(version).metrics.by_name(),
            recalls=fact(test.recalls),
            comparison=fact(lambda: test.compare(production, gate.confidence)),
            best=fact(
                lambda: test.best(
                    queries.ever_in_production(history, serving),
                    queries.accuracies(history),
                    serving,
                )
            ),
        )
        recorded = fact(lambda: test.metrics(production) if production else None)
    return Verdict(
        name,
        version.number,
        against=serving.number if serving else None,
        key=decision_key(gate, version.test_hash),
        rules=decide(facts, gate),
        model_hash=version.model_hash,
        evaluation_hash=version.evaluation_hash,
        test_hash=version.test_hash,
        uses=queries.uses(history, version.test_hash) + 1,
        metrics=facts.metrics,
        production=None if isinstance(recorded, PipelineError) else recorded,
        comparison=None if isinstance(facts.comparison, PipelineError) else facts.comparison,
    )


def decision_key(gate: params.Gate, test_hash: str) -> str:
    """SHA-256, hex, of what a decision about a version depends on: the rules and the test samples.

    The evaluation is left out: it holds timings, and new ones must not undo a rollback.
    """
    text = json.dumps([gate.model_dump(mode="json", exclude_none=True), test_hash], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class _TestSet:
    """The challenger's test samples, and the results of versions on them.

    Every method raises PipelineError where the registry lacks what it needs.
    """

    client: Client
    challenger: Version
    folder: Path  # for downloads
    root: Path
    score: Score
    scored: dict[int, Predictions | PipelineError] = field(default_factory=dict)  # by version

    def evaluation(self, version: Version) -> Evaluation:
        """The recorded evaluation, on whichever samples."""
        return versions.evaluation(self.client, version, self._folder(version))

    def metrics(self, version: Version) -> MetricValues:
        """A version's metrics; only those of the model where it was evaluated on other samples."""
        values = self.evaluation(version).metrics.by_name()
        return values if version.test_hash == self.challenger.test_hash else of_the_model(values)

    def predictions(self, version: Version) -> Predictions:
        """Of the version for the challenger's test samples; scored again, once, if needed."""
        if version.test_hash == self.challenger.test_hash:
            return self._stored(version)
        if version.number not in self.scored:
            self.scored[version.number] = self._score_again(version)
        predictions = self.scored[version.number]
        if isinstance(predictions, PipelineError):
            raise predictions
        return predictions

    def recalls(self) -> dict[str, float]:
        """The challenger's recall on every class."""
        classes = self._classes()
        recalls = comparison.recalls(self.predictions(self.challenger), classes)
        without = [name for name in classes if name not in recalls]
        if without:
            raise PipelineError(
                f"no test image is of class {', '.join(without)}: test on samples of every class"
            )
        return recalls

    def compare(self, production: Version | None, confidence: float) -> Comparison | None:
        if production is None:
            return None
        pair = self.predictions(self.challenger), self.predictions(production)
        return comparison.compare(*pair, self._classes(), confidence)

    def best(
        self,
        former: Collection[VersionId],
        accuracies: Mapping[VersionId, Mapping[str, float]],
        serving: VersionId | None,
    ) -> Best | None:
        """The best of the versions `former`.

        accuracies: the ledger's, by version and by the hash of the test samples; such a version may
        be deleted. On each set of test samples the most accurate version is a candidate; only
        candidates without an accuracy on the challenger's samples are scored again.
        """
        most_accurate: dict[str, tuple[float, VersionId]] = {}
        for version in sorted(former):
            by_samples = accuracies.get(version) or self._recorded(version)
            for samples, accuracy in by_samples.items():
                if samples not in most_accurate or accuracy > most_accurate[samples][0]:
                    most_accurate[samples] = accuracy, version
        here = self.challenger.test_hash
        candidates = []
        for version in {version for _, version in most_accurate.values()}:
            by_samples = accuracies.get(version, {})
            accuracy = by_samples[here] if here in by_samples else self._accuracy(version)
            serves = serving is not None and version.is_same(serving)
            candidates.append(Best(version.number, accuracy, serves))
        return max(candidates, key=lambda best: best.accuracy, default=None)

    def _accuracy(self, id: VersionId) -> float:
        """A version's accuracy on the challenger's test samples."""
        return float(self.predictions(self._existing(id)).correct_n.mean())

    def _recorded(self, id: VersionId) -> dict[str, float]:
        """A version's accuracy on the test samples that it was evaluated on, by their hash."""
        version = self._existing(id)
        return {version.test_hash: float(self._stored(version).correct_n.mean())}

    def _existing(self, id: VersionId) -> Version:
        version = versions.get(self.client, self.challenger.name, id.number)
        if version is None or not version.id.is_same(id):
            raise PipelineError(
                f"version {id.number}, once in production, is deleted, and the ledger does not "
                "hold its accuracy on these test samples; '--force' overrides this rule"
            )
        return version

    def _stored(self, version: Version) -> Predictions:
        predictions = versions.predictions(self.client, version, self._folder(version))
        comparison.check(predictions)
        return predictions

    def _score_again(self, version: Version) -> Predictions | PipelineError:
        try:
            model = versions.download(self.client, version, self._folder(version))
            predictions = self.score(self.root, model, self.challenger.test_hash)
            comparison.check(predictions)
            return predictions
        except PipelineError as error:
            return error  # scoring takes seconds, and two rules need it: it is tried once

    def _classes(self) -> list[str]:
        profile = versions.data_profile(self.client, self.challenger, self._folder(self.challenger))
        return list(profile.classes)

    def _folder(self, version: Version) -> Path:
        return self.folder / str(version.number)
