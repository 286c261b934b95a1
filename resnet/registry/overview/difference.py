"""Two versions beside each other: parameters, code, data, environment, metrics, the gate."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from resnet.errors import PipelineError
from resnet.evaluation.metrics import METRICS
from resnet.pages.text_table import aligned
from resnet.registry import store, versions
from resnet.registry.card import card
from resnet.registry.card.content import CardContent
from resnet.registry.gate.verdict import Verdict
from resnet.registry.ledger import ledger
from resnet.registry.overview.records import with_precision
from resnet.registry.versions import Version
from resnet.system import mappings

Row = tuple[str, str, str]  # what, of the first version, of the second
Pair = tuple[CardContent, CardContent]

# Tags of a run that say where it was trained; so do those that begin with PACKAGE.
ENVIRONMENT = ("backend", "device", "device_name", "cpu", "system")
PACKAGE = "version."


def as_table(root: Path, name: str, first: str, second: str) -> str:
    """A column per version, then how to look further; parameters only where they differ.

    `first` and `second` are numbers or aliases. Raises PipelineError if there is no such version.
    """
    client = store.client(root)
    pair = [_require_run(versions.resolve(client, name, one)) for one in (first, second)]
    if pair[0].number == pair[1].number:
        raise PipelineError(f"{first} and {second} are both {pair[0]}: name another one")
    history = ledger.events(client, name)
    one, other = (card.read(client, version, history) for version in pair)
    both = one, other
    heading = (name, *_both(both, lambda content: f"VERSION {content.version.number}"))
    rows = [*_origin(both), *_recipe(both), *_metrics(both), ("gate", *_both(both, _gate))]
    return "\n".join([*aligned([heading, *rows]), *_remarks(both)])


def _require_run(version: Version) -> Version:
    if not version.run_id:
        raise PipelineError(
            f"{version} has no run, so nothing about it is recorded: somebody registered it by "
            "hand; 'resnet versions' lists the others"
        )
    return version


def _both(pair: Pair, text: Callable[[CardContent], str]) -> tuple[str, str]:
    return text(pair[0]), text(pair[1])


def _origin(pair: Pair) -> Iterator[Row]:
    yield "aliases", *_both(pair, lambda content: ", ".join(content.version.aliases) or "–")
    yield "cause", *_both(pair, lambda content: " ".join(content.tags.get("cause", "–").split()))
    yield "code", *_both(pair, _code)
    yield "data", *_both(pair, _data)


def _code(content: CardContent) -> str:
    commit = content.tags.get("git_commit", "none")
    changed = content.tags.get("git_dirty") == "true" and commit != "none"
    return commit[:12] + (" with local changes" if changed else "")


def _data(content: CardContent) -> str:
    profile = content.profile
    return " and ".join([f"{content.tags.get('data_hash', 'not recorded')[:12]}", *profile.extra])


def _recipe(pair: Pair) -> Iterator[Row]:
    one, other = pair
    parameters = (with_precision(content.parameters, content.tags) for content in pair)
    yield from _differing("parameters", *parameters)
    yield from _differing("environment", _environment(one.tags), _environment(other.tags))


def _environment(tags: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(PACKAGE): value
        for name, value in tags.items()
        if name in ENVIRONMENT or name.startswith(PACKAGE)
    }


def _differing(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Row]:
    """A heading and the values that differ; one row where none does."""
    if keys := mappings.different(old, new):
        yield what, "", ""
    else:
        yield what, "the same", "the same"
    for key in keys:
        yield f"  {key}", old.get(key, "–"), new.get(key, "–")


def _metrics(pair: Pair) -> Iterator[Row]:
    one, other = (content.metrics for content in pair)
    yield "metrics", "" if one else "cannot be read", "" if other else "cannot be read"
    for name, spec in METRICS.items():
        values = one.get(name), other.get(name)
        if values != (None, None):
            yield f"  {spec.label}", spec.text(values[0]), spec.text(values[1])


def _gate(content: CardContent) -> str:
    event = content.decision
    if event is None:
        return "was not asked"
    try:
        rules = Verdict.from_dict(event.evidence).rules
    except PipelineError:
        return f"cannot be read ({event.action}, event {event.index})"
    failed = ", ".join(rule.name for rule in rules if not rule.passed)
    verdict = f"refused: {failed}" if failed else "passed"
    forced = ", forced" if event.forced else ""
    return f"{verdict} ({event.action}{forced}, event {event.index})"


def _remarks(pair: Pair) -> Iterator[str]:
    one, other = pair
    if one.version.test_hash != other.version.test_hash:
        yield "They were evaluated on different test samples: their accuracies do not compare."
    commits = [content.tags.get("git_commit", "none")[:12] for content in pair]
    if "none" not in commits and commits[0] != commits[1]:
        yield f"What changed in the code: git diff {' '.join(commits)}"
    if any(content.tags.get("git_dirty") == "true" for content in pair):
        yield "Local changes are in recipe/changes.patch of a version's run."
