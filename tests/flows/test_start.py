"""How a shell starts the main flow; all of it runs end to end elsewhere."""

import os
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from flows import start
from resnet import cli, params
from resnet.data import synthetic
from resnet.errors import PipelineError
from tests.support import REPOSITORY

NOTICE = "CIFAR-10 is not available"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What the flow was started with; its result is 'done', or an error for the preset `fast`."""
    calls: list[dict[str, object]] = []

    def retrain(**parameters: object) -> object:
        calls.append(parameters)
        failure = PipelineError("fetch: no") if parameters["preset"] == "fast" else None
        return SimpleNamespace(message="done", result=lambda raise_on_failure: failure)

    monkeypatch.setattr(synthetic, "notice", lambda *words: NOTICE)
    monkeypatch.setattr(start, "_answer", lambda *words: None)
    monkeypatch.setattr(start, "_server", lambda root: nullcontext("http://127.0.0.1:9/api"))
    monkeypatch.setattr(start, "_flow", lambda api: retrain)
    monkeypatch.setattr(start, "identity", lambda root: "here")
    return calls


@pytest.mark.parametrize(("or_synthetic", "added"), [(False, []), (True, [*synthetic.OVERRIDES])])
def test_the_synthetic_data_set_replaces_cifar10_only_if_that_was_asked_for(
    started: list[dict[str, object]],
    capsys: pytest.CaptureFixture[str],
    or_synthetic: bool,
    added: list[str],
) -> None:
    start.run(REPOSITORY, "smoke", ["train.seed=1"], "never", or_synthetic)
    parameters = {"preset": "smoke", "overrides": ["train.seed=1", *added], "promote": "never"}
    assert started == [{**parameters, "return_state": True}]
    lines = [NOTICE, "done", NOTICE] if or_synthetic else ["done"]
    assert capsys.readouterr().out.splitlines() == lines


@pytest.mark.parametrize("option", ["--or-synthetic", "--or-stand-in"])
def test_the_option_is_also_known_by_its_former_name(
    monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(start, "run", lambda root, or_synthetic, **_: asked.append(or_synthetic))
    assert cli.main(["run", option]) == cli.main(["run"]) == 0
    assert asked == [True, False]


def test_a_checkout_of_another_account_is_told_before_anything_starts(
    started: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    with pytest.raises(PipelineError, match="dubious ownership.* safe.directory"):
        start.run(REPOSITORY, "quick", [], "never", or_synthetic=False)
    assert started == []


@pytest.mark.parametrize(
    ("preset", "overrides", "lengths", "lines"),
    [
        (
            "quick",
            ["train.steps=9"],
            (None, 9),
            ["train.epochs=null, for epochs and steps exclude each other"],
        ),
        (
            "smoke",
            ["train.epochs=2"],
            (2, None),
            ["train.steps=null, for epochs and steps exclude each other"],
        ),
        ("quick", ["train.epochs=null", "train.steps=9"], (None, 9), []),
        ("smoke", ["train.steps=9"], (None, 9), []),  # its epochs are null already
    ],
)
def test_one_of_epochs_and_steps_makes_the_other_null_and_says_so(
    started: list[dict[str, object]],
    capsys: pytest.CaptureFixture[str],
    preset: str,
    overrides: list[str],
    lengths: tuple[object, object],
    lines: list[str],
) -> None:
    start.run(REPOSITORY, preset, overrides, "never", or_synthetic=False)
    train = params.check(params.merge(params.read(REPOSITORY), REPOSITORY, preset, overrides)).train
    assert (train.epochs, train.steps) == lengths
    assert capsys.readouterr().out.splitlines() == [*lines, "done"]


def test_a_missing_gpu_is_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(start, "_server")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    overrides = ["train.device=gpu", "train.backend=jax"]
    with pytest.raises(PipelineError, match="train.device is gpu, but jax sees none"):
        start.run(REPOSITORY, "quick", overrides, "never", or_synthetic=False)


def test_a_run_that_changes_dvc_lock_says_what_that_is(
    started: list[dict[str, object]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contents = iter([b"before", b"after"])
    monkeypatch.setattr(start, "_receipt", lambda root: next(contents))
    start.run(REPOSITORY, "quick", [], "never", or_synthetic=False)
    done, explained = capsys.readouterr().out.splitlines()
    assert done == "done"
    assert explained.startswith("dvc.lock has changed: it records what this run has computed.")


def test_what_fails_in_the_flow_fails_the_command(
    started: list[dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PipelineError, match="fetch: no"):
        start.run(REPOSITORY, "fast", [], "if-better", or_synthetic=False)
    assert len(started) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("preset", "override", "message"),
    [
        ("slow", "train.seed=1", "no preset 'slow'"),
        ("quick", "train.epoch=1", "train.epoch"),
        ("quick", "train.seed=one", "train.seed"),
        ("quick", "train.steps=one", "train.steps"),
    ],
)
def test_invalid_parameters_are_reported_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, preset: str, override: str, message: str
) -> None:
    monkeypatch.delattr(start, "_server")
    monkeypatch.delattr(start, "_flow")
    with pytest.raises(PipelineError, match=message):
        start.run(REPOSITORY, preset, [override], "never", or_synthetic=False)
