"""The gate's rules by themselves, and its verdicts from a real SQLite store."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest

from resnet import params
from resnet.errors import MovedError, PipelineError
from resnet.evaluation.comparison import compare
from resnet.evaluation.records import Evaluation, Predictions
from resnet.model import model_file
from resnet.registry import store, versions
from resnet.registry.card.summary import summarize
from resnet.registry.gate.gate import judge
from resnet.registry.gate.rules import Best, Facts, Rule, decide
from resnet.registry.gate.verdict import Verdict
from resnet.registry.ledger import ledger
from resnet.registry.promotion import promotion
from resnet.system import files
from tests.support import REPOSITORY, loaded

GATE = params.load(REPOSITORY).gate
CLASSES = [f"class {k}" for k in range(10)]
Register = Callable[..., int]
Make = Callable[..., Predictions]


@pytest.fixture
def facts(evaluation: Callable[..., Evaluation]) -> Facts:
    """Of a first version that passes every rule."""
    recalls = dict.fromkeys(CLASSES, 0.8)
    metrics = evaluation("a", 8000).metrics.by_name()
    return Facts(metrics, recalls, comparison=None, best=None)


def rule(facts: Facts, name: str, gate: params.Gate = GATE) -> Rule:
    (named,) = [rule for rule in decide(facts, gate) if rule.name == name]
    return named


def failed(verdict: Verdict) -> dict[str, str]:
    return {rule.name: rule.text for rule in verdict.rules if not rule.passed}


def unchecked(root: Path, client: Any, version: versions.Version) -> None:
    """What these versions have for models cannot be loaded: see test_check."""


def promoted(root: Path, name: str, version: int) -> Verdict:
    """Put into production, by force where the gate is against it."""
    verdict = judge(root, name, version, GATE)
    promotion.promote(root, verdict, reason="a test", force=True, check=unchecked)
    return verdict


def never(root: Path, model: Path, test_hash: str) -> Predictions:
    raise AssertionError("nothing had to be scored again")


def test_a_first_version_is_checked_against_the_floors_and_ceilings_alone(facts: Facts) -> None:
    names = ["floor", "class floor", "calibration", "latency", "size"]
    rules = decide(facts, GATE)
    assert [rule.name for rule in rules] == names
    assert all(rule.passed for rule in rules)


@pytest.mark.parametrize(
    ("name", "limit", "beyond"),
    [
        ("floor", {"floor": 0.8}, {"accuracy": 0.7999}),
        (
            "calibration",
            {"calibration_error": 0.05, "uncalibrated_error": 0.05},
            {"calibration_error": 0.0501},
        ),
        ("latency", {"latency_ms": 5.0}, {"latency_ms": 5.01}),
        ("size", {"size_bytes": 1000}, {"size_bytes": 1001}),
    ],
)
def test_a_limit_holds_up_to_itself(
    facts: Facts, name: str, limit: dict[str, float], beyond: dict[str, float]
) -> None:
    gate = GATE.model_copy(update=limit)
    value = next(iter(limit.values()))
    (metric,) = beyond
    assert rule(replace(facts, metrics={**facts.metrics, metric: value}), name, gate).passed
    refused = rule(replace(facts, metrics={**facts.metrics, **beyond}), name, gate)
    assert not refused.passed
    assert "wanted at" in refused.text


@pytest.mark.parametrize(
    ("temperature", "scaled", "calibrated"),
    [(0.48, None, True), (None, None, False), (0.48, 0.013, False)],  # the last before calibration
)
def test_without_calibrated_probabilities_another_ceiling_holds(
    facts: Facts, temperature: float | None, scaled: float | None, calibrated: bool
) -> None:
    values = {"temperature": temperature, "calibration_error_scaled": scaled}

    def judged(error: float, gate: params.Gate = GATE) -> Rule:
        metrics = {**facts.metrics, **values, "calibration_error": error}
        return rule(replace(facts, metrics=metrics), "calibration", gate)

    assert judged(0.05).passed
    assert judged(0.209).passed is not calibrated
    assert not judged(0.251).passed
    assert ("train it again with validation samples" in judged(0.251).text) is not calibrated
    one_ceiling = GATE.model_copy(update={"uncalibrated_error": None})
    assert judged(0.209, one_ceiling).text == "error 20.9%, wanted at most 5.0%"


def test_every_class_has_to_reach_the_class_floor(facts: Facts) -> None:
    passed = rule(facts, "class floor")
    assert (passed.passed, passed.text) == (
        True,
        "recall of class 0 80.0% is the lowest, wanted at least 60.0% of every class",
    )
    low = {**dict.fromkeys(CLASSES, 0.8), "class 3": 0.59, "class 5": 0.1}
    refused = rule(replace(facts, recalls=low), "class floor")
    assert not refused.passed
    assert "recall of class 3 59.0%, class 5 10.0%, wanted" in refused.text


def test_the_margin_is_held_by_the_lower_bound_and_not_by_the_difference(
    facts: Facts, predictions: Make
) -> None:
    production = predictions(8000)
    near = compare(predictions(7920), production, CLASSES, GATE.confidence)
    assert near.bound > -GATE.margin
    assert rule(replace(facts, comparison=near), "margin").passed
    unsure = compare(predictions(7920, first=400), production, CLASSES, GATE.confidence)
    assert unsure.difference == near.difference
    refused = rule(replace(facts, comparison=unsure), "margin")
    assert not refused.passed
    assert "-0.80 points against production's 80.00%, with 95% confidence at" in refused.text


@pytest.mark.parametrize(("best", "passed"), [(0.81, True), (0.8101, False)])
def test_a_version_stays_within_the_margin_of_the_best_ever(
    facts: Facts, best: float, passed: bool
) -> None:
    former = rule(replace(facts, best=Best(3, best, serves=False)), "best")
    assert former.passed is passed
    assert (
        "of version 3, the best version ever in production; it may lose at most 1.00 points"
        in former.text
    )
    serving = rule(replace(facts, best=Best(3, best, serves=True)), "best")
    assert "the best version ever in production (still serving)" in serving.text


@pytest.mark.parametrize(
    ("name", "fact"), [("class floor", "recalls"), ("margin", "comparison"), ("best", "best")]
)
def test_a_rule_that_cannot_be_evaluated_fails_and_says_why(
    facts: Facts, name: str, fact: str
) -> None:
    missing: dict[str, Any] = {fact: PipelineError("the file is gone")}
    failed_rule = rule(replace(facts, **missing), name)
    assert str(failed_rule) == f"FAIL  {name}: cannot be evaluated: the file is gone"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), None])
@pytest.mark.parametrize(
    ("metric", "rules"),
    [
        ("accuracy", ["floor", "best"]),
        ("calibration_error", ["calibration"]),
        ("latency_ms", ["latency"]),
        ("size_bytes", ["size"]),
        ("loss", []),
    ],
)
def test_a_metric_that_is_not_finite_fails_its_rules_and_no_other(
    facts: Facts,
    evaluation: Callable[..., Evaluation],
    metric: str,
    rules: list[str],
    value: float | None,
) -> None:
    broken: dict[str, Any] = {metric: value}
    metrics = replace(evaluation("a", 8000).metrics, **broken).by_name()
    facts = replace(facts, metrics=metrics, best=Best(1, 0.8, serves=True))
    failing = [rule for rule in decide(facts, GATE) if not rule.passed]
    assert [rule.name for rule in failing] == rules
    for rule in failing:
        assert f"cannot be evaluated: the evaluation has no finite {metric}: run" in rule.text


def test_a_verdict_of_metrics_that_are_not_finite_is_valid_json(
    made_store: Path, register: Register, evaluation: Callable[..., Evaluation], tmp_path: Path
) -> None:
    name = "no-numbers"
    version = versions.resolve(store.client(made_store), name, register(name))
    scored = evaluation(version.model_hash)
    values: dict[str, Any] = {"loss": float("nan"), "size_bytes": None}
    broken = replace(scored, metrics=replace(scored.metrics, **values))
    folder = store.local_artifacts(made_store) / name / version.run_id / "artifacts" / "evaluation"
    (folder / "metrics.json").write_text(json.dumps(broken.as_dict()))
    store.client(made_store).set_model_version_tag(
        name, str(version.number), "evaluation_hash", broken.hash
    )
    verdict = judge(made_store, name, version.number, GATE)
    assert list(failed(verdict)) == ["size"]
    assert Verdict.from_dict(json.loads(json.dumps(verdict.as_dict(), allow_nan=False))) == verdict
    assert "| size of the model's file, bytes | – |" in verdict.page()
    promotion.promote(made_store, verdict, reason="a try", check=unchecked)
    (event,) = ledger.events(store.client(made_store), name)
    assert (event.action, event.evidence["metrics"]["loss"]) == ("refuse", None)


def test_probabilities_that_are_not_finite_are_not_compared(
    made_store: Path, register: Register, predictions: Make
) -> None:
    name = "nan-probabilities"
    old, challenger = register(name, 8000, "u" * 64), register(name, 8500)
    promoted(made_store, name, old)

    def score(root: Path, model: Path, test_hash: str) -> Predictions:
        broken = predictions(8000)
        broken.probabilities_nk[3, 2] = np.nan
        return broken

    failing = failed(judge(made_store, name, challenger, GATE, score))
    assert list(failing) == ["margin", "best"]
    for text in failing.values():
        assert "for 1 of 10,000 test samples are not finite" in text


def test_small_losses_cannot_add_up_to_more_than_the_margin(
    made_store: Path, register: Register
) -> None:
    name = "ratchet"
    chain = [register(name, correct) for correct in (8000, 7950, 7900, 7850)]
    refused = [failed(promoted(made_store, name, version)) for version in chain]
    assert refused[:3] == [{}, {}, {}]
    assert list(refused[3]) == ["best"]
    assert refused[3]["best"].startswith("-1.50 points against 80.00% of version 1, the best")
    # 7850 is in production now, by force; what was best stays so.
    assert list(failed(judge(made_store, name, register(name, 7860), GATE))) == ["best"]


def test_the_best_version_counts_though_it_was_rolled_back(
    made_store: Path, register: Register
) -> None:
    name = "rolled-back"
    first, best, third = (register(name, correct) for correct in (8000, 8200, 8050))
    for version in (first, best):
        promoted(made_store, name, version)
    promotion.rollback(made_store, name, reason="a test", check=unchecked)
    verdict = judge(made_store, name, third, GATE)
    assert verdict.against == first
    assert list(failed(verdict)) == ["best"]


def test_the_best_version_counts_though_it_was_deleted(
    made_store: Path, register: Register
) -> None:
    name = "deleted"
    first, best, third = (register(name, correct) for correct in (8000, 8200, 8050))
    for version in (first, best):
        promoted(made_store, name, version)
    promotion.rollback(made_store, name, reason="a test", check=unchecked)
    store.client(made_store).delete_model_version(name, str(best))
    failing = failed(judge(made_store, name, third, GATE))
    assert list(failing) == ["best"]
    assert failing["best"].startswith("-1.50 points against 82.00% of version 2, the best version")


def test_a_deleted_version_whose_accuracy_on_these_images_is_in_no_event_fails_the_rule(
    made_store: Path, register: Register, predictions: Make
) -> None:
    name = "deleted-elsewhere"
    best, second = register(name, 8200, "u" * 64), register(name, 8150, "u" * 64)
    for version in (best, second):
        promoted(made_store, name, version)
    store.client(made_store).delete_model_version(name, str(best))
    challenger = register(name, 8100)
    verdict = judge(made_store, name, challenger, GATE, lambda *words: predictions(8000))
    assert failed(verdict) == {
        "best": "cannot be evaluated: version 1, once in production, is deleted, and the ledger "
        "does not hold its accuracy on these test samples; '--force' overrides this rule"
    }


def test_a_deleted_version_that_was_not_the_best_on_its_images_blocks_nothing(
    made_store: Path, register: Register, predictions: Make
) -> None:
    name = "deleted-worse"
    worse, best = register(name, 8150, "u" * 64), register(name, 8200, "u" * 64)
    for version in (worse, best):
        promoted(made_store, name, version)
    store.client(made_store).delete_model_version(name, str(worse))
    first = judge(made_store, name, register(name, 8100), GATE, lambda *words: predictions(8000))
    assert failed(first) == {}
    # What was scored again for that decision is in the ledger, so it can go as well.
    promotion.promote(made_store, first, reason="a test", check=unchecked)
    store.client(made_store).delete_model_version(name, str(best))
    assert failed(judge(made_store, name, register(name, 8090), GATE, never)) == {}


def test_predictions_of_the_same_test_images_are_not_made_again(
    made_store: Path, register: Register
) -> None:
    name = "stored"
    first, second = register(name), register(name, 8100, first=200)
    promoted(made_store, name, first)
    verdict = judge(made_store, name, second, GATE, never)
    assert verdict.passed
    assert verdict.comparison is not None
    assert (verdict.comparison.gained, verdict.comparison.lost) == (300, 200)


def test_a_version_evaluated_on_other_test_images_is_scored_again_once(
    made_store: Path, register: Register, predictions: Make
) -> None:
    name = "other-images"
    old, newer = register(name, 9000, "u" * 64), register(name, 9100, "u" * 64)
    challenger = register(name, 8000)
    for version in (old, newer):
        promoted(made_store, name, version)
    calls: list[tuple[str, str]] = []

    def score(root: Path, model: Path, test_hash: str) -> Predictions:
        calls.append((model.read_text(), test_hash))
        return predictions(8050)

    verdict = judge(made_store, name, challenger, GATE, score)
    assert calls == [(f"{name}-1", "t" * 64)]
    assert verdict.passed
    assert verdict.comparison is not None
    assert verdict.comparison.production == 0.805
    # No metric on the old images is shown beside one on the new images.
    for text in (
        "| calibration error | – | 2.0% |",
        "| latency of one sample, ms | 1.50 | 1.50 |",
        "| size of the model's file, bytes | 5,000 | 5,000 |",
    ):
        assert text in verdict.page()
    summary = summarize(
        made_store, versions.resolve(store.client(made_store), name, challenger), newer
    )
    assert (summary.other_metrics["accuracy"], summary.other_metrics["latency_ms"]) == (None, 1.5)
    assert summary.metrics["accuracy"] == 0.8
    table = summary.table()
    assert f"| metric | version {challenger} | version {newer} | better |" in table
    assert "| accuracy | 80.00% | – | higher |" in table
    assert "| latency of one sample, ms | 1.50 | 1.50 | lower |" in table
    assert "temperature" not in table
    (best,) = [rule for rule in verdict.rules if rule.name == "best"]
    assert "80.50% of version 2" in best.text


def test_where_nothing_can_be_scored_again_the_rules_fail_with_the_reason(
    made_store: Path, register: Register
) -> None:
    name = "no-images"
    old, challenger = register(name, 8000, "u" * 64), register(name, 8500)
    promoted(made_store, name, old)

    def score(root: Path, model: Path, test_hash: str) -> Predictions:
        raise PipelineError("data/arrays is not there: run 'dvc pull'")

    verdict = judge(made_store, name, challenger, GATE, score)
    reason = "cannot be evaluated: data/arrays is not there: run 'dvc pull'"
    assert failed(verdict) == {"margin": reason, "best": reason}
    assert verdict.comparison is None


@pytest.mark.parametrize(
    ("artifact", "rules"),
    [
        ("evaluation/predictions.parquet", ["class floor", "margin"]),
        ("data/profile.json", ["class floor", "margin"]),
    ],
)
def test_a_challenger_whose_files_are_gone_fails_what_needs_them(
    made_store: Path, register: Register, artifact: str, rules: list[str]
) -> None:
    name = artifact.rpartition("/")[2].partition(".")[0]
    first, second = register(name), register(name, 8100)
    promoted(made_store, name, first)
    client = store.client(made_store)
    for number in (first, second):
        run = versions.resolve(client, name, number).run_id
        (store.local_artifacts(made_store) / name / run / "artifacts" / artifact).unlink()
    failing = failed(judge(made_store, name, second, GATE))
    assert list(failing) == rules
    assert all(f"its artifact {artifact} cannot be read" in text for text in failing.values())


def test_a_challenger_whose_predictions_are_damaged_fails_what_needs_them(
    made_store: Path, register: Register
) -> None:
    name = "damaged-predictions"
    promoted(made_store, name, register(name))
    version = versions.resolve(store.client(made_store), name, register(name, 8100))
    folder = store.local_artifacts(made_store) / name / version.run_id / "artifacts" / "evaluation"
    path = folder / "predictions.parquet"
    table = parquet.read_table(path)
    for damaged in (table.drop_columns("label"), table.select(["label"])):
        parquet.write_table(damaged, path)
        failing = failed(judge(made_store, name, version.number, GATE))
        assert list(failing) == ["class floor", "margin"]
        assert all("run 'resnet evaluate' again" in text for text in failing.values())


def test_predictions_that_do_not_fit_the_metrics_are_refused(
    made_store: Path, register: Register, predictions: Make, tmp_path: Path
) -> None:
    name = "exchanged"
    version = versions.resolve(store.client(made_store), name, register(name))
    folder = store.local_artifacts(made_store) / name / version.run_id / "artifacts" / "evaluation"
    predictions(9000).write(folder / "predictions.parquet")
    failing = failed(judge(made_store, name, version.number, GATE))
    assert (
        "has 9000 of 10000 images correct, but its evaluation says 8000" in failing["class floor"]
    )


def test_every_decision_on_the_same_test_images_is_counted(
    made_store: Path, register: Register, predictions: Make
) -> None:
    name = "counted"
    first, worse, better = (register(name, correct) for correct in (8000, 7000, 8100))
    elsewhere = register(name, 8000, "u" * 64)
    for number, version in enumerate((first, worse, better), start=1):
        verdict = judge(made_store, name, version, GATE)
        assert verdict.uses == number
        ordinal = {1: "1st", 2: "2nd", 3: "3rd"}[number]
        assert str(verdict).endswith(f"\n{ordinal} decision on these test samples")
        promotion.promote(made_store, verdict, reason="a test", check=unchecked)
    assert judge(made_store, name, first, GATE).uses == 4
    assert judge(made_store, name, elsewhere, GATE, lambda *words: predictions(8000)).uses == 1


def test_decisions_that_were_prepared_at_the_same_time_have_different_numbers(
    made_store: Path, register: Register
) -> None:
    name = "at-once"
    promoted(made_store, name, register(name))
    verdicts = [judge(made_store, name, register(name, 7000), GATE) for _ in range(2)]
    assert [verdict.uses for verdict in verdicts] == [2, 2]
    for uses, verdict in enumerate(verdicts, start=2):
        decision = promotion.promote(made_store, verdict, reason="a test", check=unchecked)
        assert decision.verdict == replace(verdict, uses=uses)
        assert decision.event is not None
        assert decision.event.evidence["uses"] == uses
    assert judge(made_store, name, 1, GATE).uses == 4


@pytest.mark.parametrize(
    ("uses", "text"), [(4, "4th"), (11, "11th"), (12, "12th"), (21, "21st"), (112, "112th")]
)
def test_the_number_of_decisions_is_an_ordinal(
    made_store: Path, register: Register, uses: int, text: str
) -> None:
    name = f"ordinal-{uses}"
    verdict = replace(judge(made_store, name, register(name), GATE), uses=uses)
    assert str(verdict).splitlines()[-1] == f"{text} decision on these test samples"


def test_a_verdict_about_another_evaluation_than_the_versions_moves_nothing(
    made_store: Path, register: Register
) -> None:
    name = "evaluated-again"
    client, version = store.client(made_store), register(name)
    verdict = judge(made_store, name, version, GATE)
    client.set_model_version_tag(name, str(version), "evaluation_hash", "e" * 64)
    with pytest.raises(MovedError, match=r"now has eeeeeeeeeeee….*ask the gate again"):
        promotion.promote(made_store, verdict, reason="a test", force=True, check=unchecked)
    assert ledger.events(client, name) == []
    assert versions.with_alias(client, name, versions.PRODUCTION) is None


def test_a_verdict_is_kept_with_the_version_as_json_and_as_a_page(
    made_store: Path, register: Register, tmp_path: Path
) -> None:
    name = "stored-verdict"
    first, second = register(name), register(name, 7000)
    promoted(made_store, name, first)
    verdict = judge(made_store, name, second, GATE)
    decision = promotion.promote(made_store, verdict, reason="a try", check=unchecked)
    assert decision.event is not None
    client = store.client(made_store)
    version = versions.resolve(client, name, second)
    folder = versions.fetch(client, version, "gate", tmp_path)
    page, values = sorted(folder.iterdir())
    assert [page.suffix, values.suffix] == [".html", ".json"]
    assert values.stem == page.stem == f"0002-{decision.event.id[:8]}"
    stored = json.loads(values.read_text())
    assert stored["event"] == decision.event.id
    assert stored["passed"] is False
    assert Verdict.from_dict(stored) == verdict
    assert Verdict.from_dict(decision.event.evidence) == verdict
    html = page.read_text()
    assert "<h2>The gate: refused</h2>" in html
    assert "<strong>FAIL</strong></td>\n<td>margin</td>" in html


def test_the_page_shows_the_comparison_and_how_often_the_test_images_were_used(
    made_store: Path, register: Register
) -> None:
    name = "a_page"
    first, second = register(name), register(name, 8100, first=200)
    alone = promoted(made_store, name, first).page()
    assert "a\\_page version 1, with nothing in production to compare it with" in alone
    assert "used for this decision, and for none before it" in alone
    assert "McNemar" not in alone
    page = judge(made_store, name, second, GATE).page()
    for text in (
        "## The gate: passed",
        "compared with version 1, which was in production",
        "| pass | margin | +1.00 points against production's 80.00%",
        "+1.00 points, paired bootstrap 95% interval +",
        "| class 0 | 1,000 | 80.0% | 81.0% | +1.0 |",
        "| latency of one sample, ms | 1.50 | 1.50 |",
        "The test samples (`tttttttttttt`) were used for this decision, and for 1 before it",
        "Selecting on a test set biases its accuracy upwards",
    ):
        assert text in page


def test_a_verdict_from_before_a_metric_was_declared_shows_a_dash_for_it(
    made_store: Path, register: Register
) -> None:
    values = judge(made_store, "earlier", register("earlier"), GATE).as_dict()
    del values["metrics"]["latency_ms"]
    assert "| latency of one sample, ms | – |" in Verdict.from_dict(values).page()


def test_an_incomplete_verdict_is_refused(made_store: Path, register: Register) -> None:
    values = judge(made_store, "lacking", register("lacking"), GATE).as_dict()
    del values["rules"]
    with pytest.raises(PipelineError, match="Field required: rules.*ask the gate again"):
        Verdict.from_dict(values)


def test_a_child_process_scores_a_version_again_on_the_test_images_of_the_checkout(
    made_store: Path,
    register: Register,
    parameters: params.Params,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import keras

    from resnet.data.arrays import load
    from resnet.evaluation.evaluate import test_hash

    name, root = "again", tmp_path / "checkout"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.tracking_uri(made_store))
    layers = keras.layers
    blind = keras.Sequential(  # it predicts class 0 for every image
        [
            layers.Input((32, 32, 3), dtype="uint8"),
            layers.GlobalAveragePooling2D(dtype="float32"),
            layers.Dense(10, "softmax", kernel_initializer="zeros", bias_initializer="zeros"),
        ]
    )
    model_file.save(blind, tmp_path / "real" / versions.MODEL_FILE)
    arrays = root / parameters.paths.arrays
    arrays.mkdir(parents=True)
    np.save(arrays / "test_images.npy", np.zeros((100, 32, 32, 3), np.uint8))
    np.save(arrays / "test_labels.npy", (np.arange(100) % 10).astype(np.uint8))
    files.write_json(root / parameters.paths.profile, {"classes": CLASSES})
    (root / "params.yaml").write_bytes((REPOSITORY / "params.yaml").read_bytes())
    (root / "dvc.yaml").touch()
    here = test_hash(load(parameters.paths.under(root), "test"))

    old = register(name, 8000, "u" * 64, model=tmp_path / "real" / versions.MODEL_FILE)
    promoted(root, name, old)
    verdict = judge(root, name, register(name, 90, here, images=100), GATE)
    assert verdict.passed
    assert verdict.comparison is not None
    assert (verdict.comparison.production, verdict.comparison.challenger) == (0.1, 0.9)

    elsewhere = judge(root, name, register(name, 90, "v" * 64, images=100), GATE)
    reason = f"holds the test samples {here[:12]}…, wanted vvvvvvvvvvvv…, on which the challenger"
    assert reason in failed(elsewhere)["margin"]
    assert reason in failed(elsewhere)["best"]
    assert ledger.events(store.client(root), name)[0].evidence["version"] == old


def test_the_gate_itself_loads_neither_tensorflow_nor_scipys_statistics() -> None:
    assert (
        loaded("import resnet.registry.gate.gate") & {"keras", "tensorflow", "scipy.stats"} == set()
    )
