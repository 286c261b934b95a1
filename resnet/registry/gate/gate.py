"""Ask whether a version is good enough for production: the registry in, a verdict out.

The challenger and the version in production are compared on the challenger's test images. What is
stored is used where it belongs to these; a model that was evaluated on others is scored again.
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
from resnet.evaluation.values import Evaluation, Predictions
from resnet.registry import store, versions
from resnet.registry.gate.rescore import score_again
from resnet.registry.gate.rules import Best, Facts, Measured, decide, measured, of_the_model
from resnet.registry.gate.verdict import Verdict
from resnet.registry.ledger import ledger, queries
from resnet.registry.store import Client
from resnet.registry.versions import PRODUCTION, Version

T = TypeVar("T")
Score = Callable[[Path, Path, str], Predictions]
"""(a checkout, a model.keras, the hash of test images) → what the model says of these images."""


def judge(
    root: Path, name: str, selector: str | int, gate: params.Gate, score: Score = score_again
) -> Verdict:
    """Ask the gate about a version, beside the one in production; moves nothing.

    Raises PipelineError where there is no such version or its own evaluation cannot be read, and
    UnreachableError where the store does not answer. What else cannot be had fails its rule.
    """
    client = store.client(root)
    version = versions.resolve(client, name, selector)
    production = versions.with_alias(client, name, PRODUCTION)
    serving = production.number if production else None
    history = ledger.events(client, name)

    def fact(read: Callable[[], T]) -> T | PipelineError:
        try:
            return read()
        except PipelineError as error:
            store.client(root)  # a store that went away says nothing about a version
            return error

    with tempfile.TemporaryDirectory() as folder:
        test = _Test(client, version, Path(folder), root, score)
        facts = Facts(
            measured(test.evaluation(version).metrics),
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
        other = fact(lambda: test.measured(production) if production else None)
    return Verdict(
        name,
        version.number,
        against=serving,
        key=decision_key(gate, version.test_hash),
        rules=decide(facts, gate),
        model_hash=version.model_hash,
        evaluation_hash=version.evaluation_hash,
        test_hash=version.test_hash,
        uses=queries.uses(history, version.test_hash) + 1,
        metrics=facts.metrics,
        production=None if isinstance(other, PipelineError) else other,
        comparison=None if isinstance(facts.comparison, PipelineError) else facts.comparison,
    )


def decision_key(gate: params.Gate, test_hash: str) -> str:
    """SHA-256, hex, of what a version's decision is made from: the rules and the test images.

    Not the evaluation: it holds timings, and one more of them must not undo a rollback.
    """
    text = json.dumps([gate.model_dump(mode="json"), test_hash], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class _Test:
    """The challenger's test images, and how versions do on them.

    Every method raises PipelineError where the registry lacks what it needs.
    """

    client: Client
    challenger: Version
    folder: Path  # for downloads
    root: Path
    score: Score
    scored: dict[int, Predictions | PipelineError] = field(default_factory=dict)  # by version

    def evaluation(self, version: Version) -> Evaluation:
        """As recorded, on whichever images."""
        return versions.evaluation(self.client, version, self._room(version))

    def measured(self, version: Version) -> Measured:
        """A version's metrics; on other images than the challenger's only those of the model."""
        found = measured(self.evaluation(version).metrics)
        return found if version.test_hash == self.challenger.test_hash else of_the_model(found)

    def predictions(self, version: Version) -> Predictions:
        """What the version says of the challenger's test images; scored again once if need be."""
        if version.test_hash == self.challenger.test_hash:
            return self._stored(version)
        if version.number not in self.scored:
            self.scored[version.number] = self._score_again(version)
        found = self.scored[version.number]
        if isinstance(found, PipelineError):
            raise found
        return found

    def recalls(self) -> dict[str, float]:
        """The challenger's, of every class."""
        classes = self._classes()
        found = comparison.recalls(self.predictions(self.challenger), classes)
        without = [name for name in classes if name not in found]
        if without:
            raise PipelineError(
                f"no test image is of class {', '.join(without)}: test on images of every class"
            )
        return found

    def compare(self, production: Version | None, confidence: float) -> Comparison | None:
        if production is None:
            return None
        challenger, other = (self.predictions(one) for one in (self.challenger, production))
        return comparison.compare(challenger, other, self._classes(), confidence)

    def best(
        self, numbers: Collection[int], told: Mapping[int, Mapping[str, float]], serving: int | None
    ) -> Best | None:
        """The best of the versions `numbers`; `told` are accuracies by version and test images.

        What the ledger tells needs no version to be there any more. Versions that were evaluated on
        the same images are ranked by that; of those on other images only the first in their rank is
        scored again.
        """
        first: dict[str, tuple[float, int]] = {}
        for number in sorted(numbers):
            for images, accuracy in (told.get(number) or self._recorded(number)).items():
                if images not in first or accuracy > first[images][0]:
                    first[images] = accuracy, number
        here = self.challenger.test_hash
        found = []
        for number in {number for _, number in first.values()}:
            known = told.get(number, {})
            accuracy = known[here] if here in known else self._accuracy(number)
            found.append(Best(number, accuracy, number == serving))
        return max(found, key=lambda best: best.accuracy, default=None)

    def _accuracy(self, number: int) -> float:
        """A version's, on the challenger's test images."""
        return float(self.predictions(self._still_there(number)).correct_n.mean())

    def _recorded(self, number: int) -> dict[str, float]:
        """A version's accuracy by the test images that it was evaluated on."""
        version = self._still_there(number)
        return {version.test_hash: float(self._stored(version).correct_n.mean())}

    def _still_there(self, number: int) -> Version:
        try:
            return versions.resolve(self.client, self.challenger.name, number)
        except PipelineError:
            raise PipelineError(
                f"version {number}, once in production, is deleted, and the ledger does not hold "
                "its accuracy on these test images; '--force' goes past this rule"
            ) from None

    def _stored(self, version: Version) -> Predictions:
        found = versions.predictions(self.client, version, self._room(version))
        comparison.check(found)
        return found

    def _score_again(self, version: Version) -> Predictions | PipelineError:
        try:
            model = versions.download(self.client, version, self._room(version))
            found = self.score(self.root, model, self.challenger.test_hash)
            comparison.check(found)
            return found
        except PipelineError as error:
            return error  # it takes seconds, and two rules ask

    def _classes(self) -> list[str]:
        return versions.classes(self.client, self.challenger, self._room(self.challenger))

    def _room(self, version: Version) -> Path:
        return self.folder / str(version.number)
