"""The page of a model card: its content in, Markdown out."""

import ast
from collections.abc import Iterator
from typing import Any

from resnet import params
from resnet.errors import PipelineError
from resnet.evaluation.metrics import METRICS, MetricValues
from resnet.forms.names import array
from resnet.pages import markdown
from resnet.registry.card import blocks, results
from resnet.registry.card.content import CardContent
from resnet.registry.gate.verdict import Verdict
from resnet.registry.ledger.event import minute
from resnet.system import mappings

TRAINING = {  # metrics of the run: how they are called, and their formats
    "epochs": ("epochs", "{:g}"),
    "best_epoch": ("best epoch", "{:g}"),
    "steps": ("steps", "{:,.0f}"),
    "seconds": ("seconds", "{:,.0f}"),
    "images_per_second": ("samples per second", "{:,.0f}"),
}
VERSION = "version."  # prefix of the tags that name the versions of packages


def page(content: CardContent) -> str:
    """The whole card."""
    sections = (
        _head(content),
        _data(content),
        _recipe(content),
        results.sections(content),
        _gate(content),
        _load(content),
        results.portable(content),
        _rebuild(content),
        _limits(content),
    )
    return "\n\n".join(part for section in sections for part in section)


def _head(content: CardContent) -> Iterator[str]:
    yield f"# {markdown.text(content.title)}"
    metrics = content.metrics
    yield f"**{_word(content)}.** {_score(metrics)}"
    yield from _outcome(content)
    yield content.description.partition("\n\n")[0] or "It was registered without a description."
    rows = [
        ("input", content.form.model_input(content.profile.shape)),
        ("output", f"probabilities, {_output(content)}, each row sums to 1"),
    ]
    if names := content.profile.classes:
        rows.append(("classes", f"{', '.join(names)}, in the order of the columns"))
    if metrics:
        rows += [
            (spec.label, spec.text(metrics[name]))
            for name, spec in METRICS.items()
            if spec.of == "model" and not (spec.optional and metrics[name] is None)
        ]
    rows.append(("model hash", f"`{content.version.model_hash or 'not recorded'}`"))
    rows.append(("run", f"`{content.version.run_id}`"))
    yield blocks.pairs(rows)
    yield (
        "Latency and throughput are those of the machine that evaluated it. The card does not say "
        "which version serves, because that changes: `resnet history` and the model's page in "
        "MLflow do."
    )


def _word(content: CardContent) -> str:
    """The gate's verdict in a word."""
    if content.decision is None:
        return "Not judged by the gate"
    try:
        verdict = Verdict.from_dict(content.decision.evidence)
    except PipelineError:
        return "The gate's verdict cannot be read"
    return "Passed the gate" if verdict.passed else "Refused by the gate"


def _score(metrics: MetricValues) -> str:
    if not metrics:
        return "**The evaluation that belongs to it cannot be read:** see `resnet verify`."
    accuracy, interval = blocks.accuracy(metrics)
    return f"Test accuracy **{accuracy}**, {interval}."


def _outcome(content: CardContent) -> Iterator[str]:
    """What became of it, by the last event about it."""
    event = content.outcome
    if event is None:
        return
    yield (
        f"The last event that concerns it, {minute(event.time)} UTC: {markdown.text(str(event))}."
    )
    if event.expires:  # the clock is not on the page: the same registry gives the same one
        yield (
            f"The request is open until {minute(event.expires)} UTC; without an answer by "
            "then it counts as rejected."
        )


def _output(content: CardContent) -> str:
    return f"float32 (N, {len(content.profile.classes) or 'K'})"


def _data(content: CardContent) -> Iterator[str]:
    profile, noun = content.profile, content.noun
    yield "## Data"
    md5 = content.tags.get("data_hash", "not recorded")
    yield f"{profile.dataset}; DVC's md5 of the arrays is `{md5}`."
    if cause := content.tags.get("cause"):
        yield f"Why it was trained: {markdown.text(cause)}"
    if profile.counts:
        names = profile.classes
        yield markdown.table(
            [noun, "all", *names],
            [
                [split, f"{sum(of.values()):,}", *(f"{of.get(name, 0):,}" for name in names)]
                for split, of in profile.counts.items()
            ],
        )
    if profile.extra:
        yield f"Added to the training {noun}:"
        yield markdown.table(
            ["batch", noun, "md5"],
            [
                [markdown.text(name), f"{batch.images:,}", f"`{batch.md5}`"]
                for name, batch in profile.extra.items()
            ],
        )
    if profile.duplicates is not None:
        pairs = [f"{count:,} ({pair})" for pair, count in profile.duplicates.items() if count]
        yield (
            f"{noun.capitalize()} that are, bit for bit, in two of the splits: "
            f"{', '.join(pairs) or 'none'}."
        )


def _recipe(content: CardContent) -> Iterator[str]:
    yield "## Recipe"
    if content.parameters:
        values = {name: _value(text) for name, text in content.parameters.items()}
        yield f"```yaml\n{params.dump(mappings.nested(values))}```"
    else:
        yield "Its parameters are not recorded."
    if rows := list(_training(content)):
        yield blocks.pairs(rows)
    yield from blocks.picture(content, "curves")


def _value(text: str) -> Any:
    """A parameter as params.yaml had it, from what MLflow keeps: `None`, `[8, 16]`, `muon`."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _training(content: CardContent) -> Iterator[tuple[str, str]]:
    """The training in numbers, and the machine and the packages that it ran on."""
    tags, metrics = content.tags, content.run_metrics
    for name, (label, form) in TRAINING.items():
        if name in metrics:
            yield label, form.format(metrics[name])
    if "device" in tags:
        device, name = tags["device"], tags.get("device_name", "")
        yield "device", f"{device}: {name}" if name not in ("", "None") else device
    if "precision" in tags:
        yield "precision", tags["precision"]
    if "cpu" in tags and tags["cpu"] != tags.get("device_name"):
        yield "CPU", tags["cpu"]
    versions = [
        f"{name.removeprefix(VERSION)} {tags[name]}"
        for name in sorted(tags)
        if name.startswith(VERSION)
    ]
    if versions:
        yield "versions", ", ".join(versions)
    if "system" in tags:
        yield "system", tags["system"]


def _gate(content: CardContent) -> Iterator[str]:
    event = content.decision
    if event is None:
        yield "## The gate"
        yield "The gate has not been asked about this version."
        return
    try:
        verdict = Verdict.from_dict(event.evidence)
    except PipelineError as error:
        yield "## The gate"
        yield f"{markdown.text(str(error))}."
    else:
        yield verdict.page()
        if not verdict.is_about(content.version):
            yield "**The version was evaluated again since:** the results above are newer."


def _load(content: CardContent) -> Iterator[str]:
    version = content.version
    shapes = f"{array(content.profile.shape)} → {_output(content)}"
    yield "## Load it"
    yield (
        "```python\n"
        "import mlflow\n"
        f'model = mlflow.pyfunc.load_model("models:/{version.name}/{version.number}")\n'
        f"probabilities = model.predict({content.noun})  # {shapes}\n"
        "```"
    )
    yield (
        "`MLFLOW_TRACKING_URI` names the registry. The run's `model.keras` is the same model for "
        "`keras.saving.load_model`; neither needs this project's code."
    )
    if wrote := content.tags.get(f"{VERSION}keras"):
        yield f"Keras {wrote} wrote `model.keras`; an earlier one may not read it, 3.12 does not."


def _rebuild(content: CardContent) -> Iterator[str]:
    yield "## Rebuild it"
    commit = content.tags.get("git_commit", "none")
    if commit == "none":
        yield "It cannot be rebuilt: no git commit of its code is recorded."
        return
    version = content.version
    yield (
        f"```sh\nresnet verify {version.number} --model {version.name} --retrain\n"
        f"git worktree add ../{version.name}-{version.number} {commit}\n```"
    )
    yield (
        "The first command takes the code and the data into a temporary folder, trains there again "
        "with the recorded `recipe/params.yaml`, and compares the bits. The second puts the code "
        "beside the checkout, to read or to change it. Both leave the checkout as it is."
    )
    if content.tags.get("git_dirty") == "true":
        yield (
            "The checkout differed from that commit: `recipe/changes.patch` has the changes of its "
            "code, and names what it leaves out."
        )


def _limits(content: CardContent) -> Iterator[str]:
    yield "## What it is for"
    yield content.form.purpose(len(content.profile.classes))
    yield (
        f"Its test {content.noun} have also decided which versions went into production, which "
        "biases the accuracy of the selected versions upwards."
    )
