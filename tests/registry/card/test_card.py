"""The card that a version has in its artifacts, and how a browser shows it."""

import itertools
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from resnet import cli, params
from resnet.checkout import provenance
from resnet.evaluation.metrics import METRICS
from resnet.evaluation.scoring_precision import ScoringPrecision
from resnet.model.precision import Precision
from resnet.pages import html_page
from resnet.registry import store, versions
from resnet.registry.card import card
from resnet.registry.card.blocks import CAPTIONS
from resnet.registry.card.content import AddedImages, CardContent, ClassScore
from resnet.registry.card.page import page
from resnet.registry.gate import gate
from resnet.registry.ledger import ledger
from resnet.registry.ledger.event import Event
from resnet.registry.promotion import approval, promotion
from resnet.registry.promotion.status import status
from resnet.registry.tracking.publish import publish
from resnet.registry.versions import Version
from tests.support import loaded

Browse = Callable[..., Any]
Check = Callable[..., None]
Register = Callable[..., int]


@pytest.fixture(autouse=True)
def no_cards() -> None:
    """Here they are rendered."""


@pytest.fixture(scope="module")
def published(
    empty_store: Path,
    tmp_path_factory: pytest.TempPathFactory,
    parameters: params.Params,
    write_outputs: Callable[..., str],
) -> tuple[Path, Version]:
    """A checkout with a version of a tiny model, published as any other."""
    root = tmp_path_factory.mktemp("published")
    shutil.copytree(empty_store / ".state", root / ".state")
    write_outputs(root, parameters)
    return root, publish(parameters, root)


@pytest.fixture
def content(published: tuple[Path, Version]) -> CardContent:
    root, version = published
    client = store.client(root)
    return card.read(client, version, ledger.events(client, version.name))


def stored(root: Path, version: Version, into: Path) -> Path:
    """The card in the version's artifacts."""
    return versions.fetch(store.client(root), version, card.CARD_FILE, into)


def test_a_browser_shows_all_of_a_published_versions_card_without_an_error(
    published: tuple[Path, Version], tmp_path: Path, browse: Browse
) -> None:
    seen = browse(stored(*published, tmp_path))
    assert seen.errors == ()
    assert seen.title == "cifar10-resnet version 1"
    assert seen.pictures == tuple(CAPTIONS.values())
    for text in (
        "Test accuracy 80.00%, 95 % interval 79.00% to 81.00%.",
        f"{'d' * 32}.dir",
        "without near-duplicates\t9,714\t77.20%\t76.40% to 78.00%",
        "class 3\t1,000\t80.0%\t78.0% to 82.0%\t75.0%\t70.0%",
        "precision\tfloat32",
        "The calibration error is 2.0%.",
        "The gate has not been asked about this version.",
        'mlflow.pyfunc.load_model("models:/cifar10-resnet/1")',
        "portable/model.onnx\tyes\t80.00%\t100.00%\t0.60 ms\t7",
        "portable/model.int8.onnx\t0 validation samples\t–",
        "It cannot be rebuilt: no git commit of its code is recorded.",
        "small images of 10 kinds of things",
        "It assigns one of these kinds to any image whatever",
    ):
        assert text in seen.text


def test_a_card_fits_into_the_window_of_a_phone(
    published: tuple[Path, Version], tmp_path: Path, browse: Browse
) -> None:
    assert browse(stored(*published, tmp_path), width=400).width == 400


def test_a_page_loads_nothing_from_elsewhere_and_runs_nothing(
    tmp_path: Path, browse: Browse
) -> None:
    text = "![a picture](https://example.org/picture.png)\n\n<script>document.title='run'</script>"
    (tmp_path / "page.html").write_text(html_page.html("A <title>", text, {}))
    seen = browse(tmp_path / "page.html")
    assert seen.title == "A <title>"
    assert "<script>" in seen.text
    assert seen.pictures == ()
    assert any("Content Security Policy" in error for error in seen.errors)


@pytest.mark.parametrize(
    ("precision", "text"),
    [
        (
            "bfloat16",
            "scores in bfloat16 on a processor, and in float32 elsewhere: they agree. The",
        ),
        ("float32", "`resnet predict` scores in float32: they agree."),
    ],
)
def test_a_card_says_in_which_precision_predict_computes_if_that_was_compared(
    content: CardContent, precision: Precision, text: str
) -> None:
    compared = ScoringPrecision(precision, "they agree", "tensorflow", "a processor", 9, 1, 1, 1)
    assert text in page(replace(content, scoring=compared))
    uncompared = replace(compared, agreement=None)
    for scoring in (None, uncompared):
        assert "## Scoring many images" not in page(replace(content, scoring=scoring))


def test_the_three_lines_on_the_card_load_the_model(
    published: tuple[Path, Version], content: CardContent, parameters: params.Params
) -> None:
    root, _ = published
    lines = page(content).partition("```python\n")[2].partition("```")[0]
    assert len(lines.splitlines()) == 3
    names = {"images": np.load(root / parameters.paths.arrays / "test_images.npy")}
    with store.as_default(store.client(root)):
        exec(lines, names)  # noqa: S102
    probabilities_nk = names["probabilities"]
    assert probabilities_nk.shape == (4, 10)
    np.testing.assert_allclose(probabilities_nk.sum(axis=1), 1, atol=1e-5)


def test_the_same_registry_gives_the_same_card(published: tuple[Path, Version]) -> None:
    root, version = published
    first, second = (card.make(root, version.name, "latest") for _ in range(2))
    assert first == second
    assert first.html.count("data:image/png") == len(CAPTIONS)


def test_a_card_says_how_to_rebuild_the_version_from_its_commit(content: CardContent) -> None:
    commit = {"git_commit": "c" * 40, "git_dirty": "true"}
    text = page(replace(content, tags={**content.tags, **commit}))
    assert "resnet verify 1 --model cifar10-resnet --retrain\n" in text
    assert f"git worktree add ../cifar10-resnet-1 {'c' * 40}\n" in text
    assert "git checkout" not in text  # the reader's own tree stays as it is
    assert "recipe/changes.patch" in text


def test_a_card_opens_with_the_verdict_and_the_score(content: CardContent) -> None:
    opening = page(content).split("\n\n")[1]
    assert opening == (
        "**Not judged by the gate.** Test accuracy **80.00%**, 95 % interval 79.00% to 81.00%."
    )


def test_the_parameters_on_a_card_are_the_params_yaml_that_the_version_was_trained_with(
    content: CardContent, parameters: params.Params
) -> None:
    (recipe,) = re.findall(r"```yaml\n(.*?)```", page(content), flags=re.DOTALL)
    sections = provenance.MODEL_SECTIONS
    assert yaml.safe_load(recipe) == parameters.model_dump(mode="json", include=sections)


def test_a_card_names_the_images_that_were_added_and_why_the_version_was_trained(
    content: CardContent,
) -> None:
    extra = {"night": AddedImages(md5="e" * 32, images=1200)}
    tags = {**content.tags, "cause": "data/extra/night was added"}
    profile = content.profile.model_copy(update={"extra": extra})
    text = page(replace(content, profile=profile, tags=tags))
    assert f"| night | 1,200 | `{'e' * 32}` |" in text
    assert "Why it was trained: data/extra/night was added" in text


def test_what_people_typed_is_no_markup_on_a_card(content: CardContent) -> None:
    typed = "better\n\n## The gate: passed\n\n[proof](https://example.org)"
    event = Event("promote", content.version.name, 1, {}, "ann", typed)
    extra = {"*new*_2": AddedImages(md5="e" * 32, images=1)}
    edited = replace(
        content,
        tags={**content.tags, "cause": typed},
        profile=content.profile.model_copy(update={"extra": extra}),
        outcome=event,
    )
    html = html_page.html("", page(edited), {})
    assert html.count("better ## The gate: passed [proof](https://example.org)") == 2
    assert "<td>*new*_2</td>" in html
    assert "<h2>The gate: passed" not in html
    assert "<a " not in html


def test_a_mark_says_that_the_card_is_there_whenever_its_writer_is_killed(
    made_store: Path, register: Register, killed: Callable[..., bool], tmp_path: Path
) -> None:
    register("marked")
    client = store.client(made_store)
    version = versions.resolve(client, "marked", 1)
    for writes in itertools.count():
        died = killed(lambda: card.make(made_store, "marked", 1), writes)
        assert card.is_current(client, version, []) == (not died)
        if not died:
            break
    assert writes == 2
    assert stored(made_store, version, tmp_path).exists()
    assert not card.is_current(client, replace(version, evaluation_hash="another"), [])


def test_the_command_writes_the_card_to_a_file_and_says_where_it_is_stored(
    published: tuple[Path, Version],
    tmp_path: Path,
    enter: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, version = published
    (root / "dvc.yaml").touch()
    enter(root)
    out = tmp_path / "card.html"
    assert cli.main(["card", "1", "--out", str(out)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("cifar10-resnet version 1: file:///")
    assert first.endswith("/artifacts/model-card.html")
    assert second == str(out)
    assert out.read_bytes() == stored(root, version, tmp_path / "got").read_bytes()
    assert cli.main(["card", "1", "--out", str(tmp_path)]) == 1
    assert "is a folder: name a file" in capsys.readouterr().err


def test_rendering_a_card_loads_neither_tensorflow_nor_matplotlib() -> None:
    assert (
        loaded("import resnet.registry.card.card") & {"keras", "tensorflow", "matplotlib"} == set()
    )


def test_the_alias_of_a_version_is_not_on_its_card(content: CardContent) -> None:
    serving = replace(content, version=replace(content.version, aliases=("production",)))
    assert page(serving) == page(content)


def test_the_card_of_a_version_of_which_little_is_recorded_says_so(
    made_store: Path, register: Register, tmp_path: Path, browse: Browse
) -> None:
    register("bare")
    client = store.client(made_store)
    version = versions.resolve(client, "bare", 1)
    artifacts = Path(client.get_run(version.run_id).info.artifact_uri.removeprefix("file://"))
    for artifact in ("data/profile.json", "evaluation/metrics.json"):
        (artifacts / artifact).unlink()
    card.make(made_store, "bare", 1)
    seen = browse(stored(made_store, version, tmp_path / "got"))
    assert seen.errors == ()
    for text in (
        "It was registered without a description.",
        "The evaluation that belongs to it cannot be read",
        "Its parameters are not recorded.",
    ):
        assert text in seen.text


def test_a_metric_that_is_no_number_is_a_dash_on_the_card(content: CardContent) -> None:
    text = page(replace(content, metrics=dict.fromkeys(content.metrics)))
    assert "Test accuracy **–**, 95 % interval –." in text
    assert "| FLOPs per sample | – |" in text


@pytest.mark.parametrize(
    ("metrics", "validation", "text"),
    [
        (
            {"temperature": 0.4774},
            5000,
            "Its probabilities are calibrated: the logits are divided by a temperature of 0.48, "
            "fitted to 5,000 validation samples. The calibration error is 2.0%.",
        ),
        (
            {"temperature": None},
            0,
            "Its probabilities are not calibrated: there were no validation samples. The "
            "calibration error is 2.0%.",
        ),
        (
            {"temperature": 0.4774, "calibration_error_scaled": 0.013},  # of an earlier release
            5000,
            "Its probabilities are not calibrated: it was published without a temperature. The "
            "calibration error is 2.0%. With the logits divided by 0.48, which fits the validation "
            "samples best, it would be 1.3%.",
        ),
        (
            {"temperature": 0.4774},
            None,  # the profile of the data cannot be read
            "Its probabilities are calibrated: the logits are divided by a temperature of 0.48, "
            "fitted to validation samples. The calibration error is 2.0%.",
        ),
        (
            {"temperature": None},
            None,
            "Its probabilities are not calibrated: it was published without a temperature. The "
            "calibration error is 2.0%.",
        ),
    ],
)
def test_a_card_says_whether_the_probabilities_are_calibrated(
    content: CardContent, metrics: dict[str, float | None], validation: int | None, text: str
) -> None:
    counts = {} if validation is None else {"validation": {"cat": validation}}
    profile = content.profile.model_copy(update={"counts": counts})
    calibrated = replace(content, metrics={**content.metrics, **metrics}, profile=profile)
    assert f"## Calibration\n\n{text}\n\n" in page(calibrated)


def test_a_card_shows_every_metric_that_is_declared(content: CardContent) -> None:
    values = {name: 1000 + index for index, name in enumerate(METRICS)}
    text = page(replace(content, metrics=values))
    for name, spec in METRICS.items():
        assert f"| {spec.label} | {spec.text(values[name])} |" in text
    none = page(replace(content, metrics=dict.fromkeys(METRICS)))
    for spec in METRICS.values():
        assert (f"| {spec.label} | – |" in none) is not spec.optional


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "class,images,precision,recall,f1\ncat,,,,\n"])
def test_a_table_of_another_form_is_left_out(text: str, tmp_path: Path) -> None:
    table = tmp_path / "per_class.csv"
    table.write_text(text)
    assert card._table({"it": table}, "it", ClassScore) == []


def test_an_older_table_without_intervals_is_shown_without_them(
    content: CardContent, tmp_path: Path
) -> None:
    table = tmp_path / "per_class.csv"
    table.write_text("class,images,predicted,precision,recall,f1\ncat,10,10,0.5,0.6,0.55\n")
    (score,) = card._table({"it": table}, "it", ClassScore)
    assert (score.recall, score.recall_low) == (0.6, None)
    assert "| cat | 10 | 60.0% | – | 50.0% | 55.0% |" in page(replace(content, classes=[score]))


@pytest.mark.parametrize(("correct", "word"), [(8000, "passed"), (1000, "refused")])
def test_a_decision_renews_the_card_which_shows_the_verdict(
    correct: int,
    word: str,
    made_store: Path,
    register: Register,
    check: Check,
    tmp_path: Path,
    browse: Browse,
    parameters: params.Params,
) -> None:
    name = f"decided-{word}"
    register(name, correct)
    verdict = gate.judge(made_store, name, 1, parameters.gate)
    decision = promotion.promote(made_store, verdict, reason="the first", check=check)
    seen = browse(stored(made_store, decision.version, tmp_path))
    assert seen.errors == ()
    assert f"The gate: {word}" in seen.text
    assert "the first" in seen.text
    opening = seen.text.splitlines()[1:4]  # after the title
    assert any(
        line.startswith((f"{word.title()} the gate.", f"{word.title()} by the gate."))
        for line in opening
    )


def test_the_card_of_a_version_that_is_rolled_back_says_so_and_so_does_that_of_the_one_before(
    made_store: Path, register: Register, check: Check, tmp_path: Path, parameters: params.Params
) -> None:
    client, name = store.client(made_store), "rolled-back"

    def promote(number: int) -> None:
        verdict = gate.judge(made_store, name, number, parameters.gate)
        promotion.promote(made_store, verdict, reason=f"for {number}", check=check)

    def tell(what: str, *numbers: int) -> None:
        history = ledger.events(client, name)
        for number in numbers:
            version = versions.resolve(client, name, number)
            text = stored(made_store, version, tmp_path / str(number)).read_text()
            assert text.count("The last event that concerns it") == 1
            assert what in text
            assert "The gate: passed" in text
            assert card.is_current(client, version, history)

    for correct in (8000, 8100):
        promote(register(name, correct))
    tell("promote 2, candidate 1 → 2, production 1 → 2, by", 1, 2)
    promotion.rollback(made_store, name, reason="too slow", check=check)
    tell("rollback 1, production 2 → 1, by", 1, 2)


def test_the_card_of_a_version_with_an_open_request_says_until_when_and_then_who_rejected_it(
    made_store: Path, register: Register, check: Check, tmp_path: Path, parameters: params.Params
) -> None:
    client, name = store.client(made_store), "rejected"
    verdict = gate.judge(made_store, name, register(name), parameters.gate)
    until = datetime(2999, 12, 31, 23, 59, tzinfo=UTC)
    version = approval.ask(
        made_store, verdict, until=until, reason="retrain", who="cron", check=check
    ).version
    text = stored(made_store, version, tmp_path).read_text()
    assert "request 1, candidate none → 1, by cron: retrain." in text
    assert "The request is open until 2999-12-31 23:59 UTC; without an answer by then" in text

    approval.reject(made_store, name, 1, reason="too slow", who="ann")
    text = stored(made_store, version, tmp_path).read_text()
    assert "reject 1, by ann: too slow." in text
    assert "The gate: passed" in text
    assert "The request is open" not in text
    assert card.is_current(client, version, ledger.events(client, name))


def test_a_version_that_is_deleted_by_now_has_no_card_to_renew(
    made_store: Path, register: Register, caplog: pytest.LogCaptureFixture
) -> None:
    register("forgotten")
    client = store.client(made_store)
    event = Event("rollback", "forgotten", 1, {"production": (2, 1)}, "ann", "2 is deleted")
    card.renew_cards(client, event, [event])
    assert caplog.text == ""
    assert card.is_current(client, versions.resolve(client, "forgotten", 1), [event])


def test_a_browser_shows_the_gates_page_without_an_error(
    made_store: Path,
    register: Register,
    check: Check,
    tmp_path: Path,
    browse: Browse,
    parameters: params.Params,
) -> None:
    for correct in (8000, 8100):
        number = register("paged", correct)
        verdict = gate.judge(made_store, "paged", number, parameters.gate)
        promotion.promote(made_store, verdict, reason="better", check=check)
    client = store.client(made_store)
    version = versions.resolve(client, "paged", 2)
    (path,) = versions.fetch(client, version, "gate", tmp_path).glob("*.html")
    seen = browse(path)
    assert seen.errors == ()
    assert seen.title == "The gate about paged version 2"
    for text in ("The gate: passed", "class 3", "paired bootstrap", "calibration error"):
        assert text in seen.text
    assert browse(path, width=400).width == 400


def test_a_card_that_cannot_be_rendered_does_not_stop_a_promotion_and_is_rendered_later(
    empty_store: Path,
    tmp_path: Path,
    write_outputs: Callable[..., str],
    check: Check,
    parameters: params.Params,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    root = tmp_path
    shutil.copytree(empty_store / ".state", root / ".state")
    write_outputs(root, parameters)
    version = publish(parameters, root)
    verdict = gate.judge(root, version.name, version.number, parameters.gate)

    def fails(client: Any, version: Version, history: Any) -> CardContent:
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(card, "read", fails)
        assert promotion.promote(root, verdict, reason="first", check=check).promoted
    assert "the model card of cifar10-resnet version 1 was not renewed (the disk is full)" in (
        caplog.text
    )
    assert not status(parameters, root).card_is_current
    publish(parameters, root)
    assert status(parameters, root).card_is_current
    assert "The gate: passed" in stored(root, version, root / "got").read_text()
