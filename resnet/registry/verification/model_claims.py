"""Checks of a version's model: its file, its served form, its evaluation, its training.

Each returns what it found. PipelineError: that is not what was recorded. Unknown: it cannot be
checked here.
"""

from collections.abc import Sequence

from resnet import params
from resnet.checkout import dvc_cache, rebuild
from resnet.checkout.dvc_lock import DvcLock
from resnet.errors import PipelineError
from resnet.model import backend, precision
from resnet.registry.verification import checks
from resnet.registry.verification.version_under_test import Unknown, VersionUnderTest
from resnet.system import files

SCORE_TOLERANCE = 2  # images by which a score may differ on another CPU or with other packages
PROBABILITY_TOLERANCE = 1e-4  # between the two forms of a model


def model(subject: VersionUnderTest) -> str:
    """model.keras is the published file, and holds the model of the recorded hash."""
    checks.same("its md5", dvc_cache.digest(subject.model), subject.lock.md5(subject.paths.model))
    if "model_hash" not in subject.served_report:
        raise PipelineError(subject.served_report["error"])
    checks.same(
        "the loaded model's hash", subject.served_report["model_hash"], subject.version.model_hash
    )
    file, loaded = checks.short(subject.version.file_hash), checks.short(subject.version.model_hash)
    return f"model.keras is {file} as published; loaded, its hash is {loaded}"


def served(subject: VersionUnderTest) -> str:
    """MLflow's form of the model gives the same probabilities as model.keras."""
    if "difference" not in subject.served_report:
        raise PipelineError(subject.served_report["error"])
    difference = float(subject.served_report["difference"])
    if not difference < PROBABILITY_TOLERANCE:
        raise PipelineError(
            f"its probabilities differ from model.keras's by up to {difference:.3g}"
        )
    return f"MLflow's form gives model.keras's probabilities (within {PROBABILITY_TOLERANCE:g})"


def portable(subject: VersionUnderTest) -> str:
    """The portable forms are the files that were compared with this model.keras and admitted."""
    report = subject.portable
    if report is None:
        return "it was registered without portable forms"
    checks.same("the compared model.keras", report.model_sha256, subject.version.file_hash)
    forms = [
        f"{form.name} {'left out' if form.sha256 is None else checks.short(form.sha256)}"
        for form in report.forms
    ]
    return f"as they were admitted: {', '.join(forms) or 'no form was asked for'}"


def evaluation(subject: VersionUnderTest) -> str:
    """The metrics are those of this model, and the predictions agree with them."""
    metrics, predictions = subject.evaluation.metrics, subject.predictions
    checks.same("the evaluated model", subject.evaluation.model_hash, subject.version.model_hash)
    lock = DvcLock.read(subject.fetch("evaluation/dvc.lock").parent)
    for path in (subject.paths.metrics, subject.paths.predictions):
        checks.same(
            path.name, dvc_cache.digest(subject.fetch(f"evaluation/{path.name}")), lock.md5(path)
        )
    correct = int(predictions.correct_n.sum())
    return f"metrics and predictions agree: {correct:,} of {metrics.images:,} correct"


def score(subject: VersionUnderTest) -> str:
    """The model, scored again, has the recorded number of correct images.

    Exactly that number on the same CPU with the same packages, elsewhere within a few images. A
    greater difference with other packages says nothing about the recorded ones.
    """
    recorded, paths = subject.evaluation.metrics, subject.paths
    checks.put(subject.model, subject.tree / paths.model)
    checks.put(subject.fetch(f"training/{paths.history.name}"), subject.tree / paths.history)
    environment = [*subject.other_packages, *_gpu(subject)]
    differences = [*subject.other_cpu, *environment]
    _run("evaluate", subject, differences)
    metrics = files.read_json(subject.tree / paths.metrics)
    checks.same("the test samples' hash", metrics["test_hash"], subject.version.test_hash)
    text = f"{metrics['correct']:,} of {metrics['images']:,} correct"
    if metrics["correct"] == recorded.correct:
        return f"{text}, as recorded"
    text = f"{text}, {recorded.correct:,} recorded"
    if not differences:
        raise PipelineError(f"{text}, on the same CPU and with the same packages")
    if abs(metrics["correct"] - recorded.correct) <= SCORE_TOLERANCE:
        return f"{text}; {checks.here(differences)}"
    text = f"{text}, more than {SCORE_TOLERANCE} apart; {checks.here(differences)}"
    raise Unknown(text) if environment else PipelineError(text)


def retrain(subject: VersionUnderTest) -> str:
    """Training again from the recorded inputs, in the recorded precision, gives the same bits."""
    _fix_precision(subject)
    _run("train", subject, [*subject.differences, *_gpu(subject)])
    training = files.read_json(subject.tree / subject.paths.training)
    if training["model_hash"] == subject.version.model_hash:
        return (
            f"{training['steps']:,} steps in {subject.precision}, in {training['seconds']:.0f} s, "
            "gave the same bits"
        )
    retrained, recorded = training["model_hash"], subject.version.model_hash
    text = f"model {checks.short(retrained)}, {checks.short(recorded)} recorded"
    device, differences = subject.tag("device_name"), subject.differences
    if subject.on_gpu and training["device_name"] != device:
        differences = [f"{training['device_name']}, not {device}", *differences]
    if not subject.section("train").get("deterministic"):
        differences = [*differences, "trained without train.deterministic"]
    if differences:
        raise Unknown(f"{text}; {checks.here(differences)}")
    raise PipelineError(f"{text}, on the same CPU and with the same packages")


def _fix_precision(subject: VersionUnderTest) -> None:
    """Let the training in the clone take the recorded precision, not the one that is faster here.

    Raises Unknown where that is not recorded, or would have to be emulated on another CPU than the
    recorded one: that takes hours, and gives other bits.
    """
    if subject.precision == "auto":
        raise Unknown("train.precision was auto, and what it took is not recorded (tag precision)")
    emulated = not subject.on_gpu and not precision.has_bfloat16(backend.cpu_flags())
    if subject.precision == "bfloat16" and emulated and subject.other_cpu:
        raise Unknown(
            "it was trained in bfloat16, for which this CPU has no instructions: verify it on one "
            f"with {' or '.join(precision.INSTRUCTIONS)}; {checks.here(subject.other_cpu)}"
        )
    values = params.read(subject.tree)
    if values["train"].get("precision") == "auto":
        values["train"]["precision"] = subject.precision
        (subject.tree / "params.yaml").write_text(params.dump(values))


def _run(stage: str, subject: VersionUnderTest, differences: Sequence[str]) -> None:
    """Run a stage in the clone, on a GPU only where the recorded run had one.

    With `differences` of this machine from the recorded one, an error of the stage proves nothing.
    """
    try:
        rebuild.run(stage, subject.tree, subject.on_gpu, subject.say)
    except PipelineError as error:
        if differences:
            raise Unknown(f"{error}; {checks.here(differences)}") from None
        raise


def _gpu(subject: VersionUnderTest) -> list[str]:
    return ["recorded on a GPU"] if subject.on_gpu else []
