"""How a shell starts the main flow; all of it runs end to end elsewhere."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows import start
from resnet import stand_in
from resnet.errors import PipelineError

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("or_stand_in", [False, True])
def test_the_stand_in_takes_the_place_of_cifar10_only_where_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], or_stand_in: bool
) -> None:
    started: list[dict[str, object]] = []

    def retrain(**parameters: object) -> object:
        started.append(parameters)
        return SimpleNamespace(message="done", result=lambda raise_on_failure: None)

    monkeypatch.setattr(stand_in, "notice", lambda *words: "CIFAR-10 cannot be had")
    monkeypatch.setattr(start, "_server", lambda root: nullcontext("http://127.0.0.1:9/api"))
    monkeypatch.setattr(start, "_flow", lambda api: retrain)
    start.run(REPOSITORY, "quick", ["train.seed=1"], "never", or_stand_in)
    (found,) = started
    more = [stand_in.OVERRIDE] if or_stand_in else []
    assert found["overrides"] == ["train.seed=1", *more]
    told = "CIFAR-10 cannot be had"
    assert capsys.readouterr().out.split("\n")[:-1] == (
        [told, "done", told] if or_stand_in else ["done"]
    )


@pytest.mark.parametrize(
    ("preset", "override", "wrong"),
    [
        ("slow", "train.seed=1", "no preset 'slow'"),
        ("quick", "train.epoch=1", "train.epoch"),
        ("quick", "train.seed=one", "train.seed"),
    ],
)
def test_wrong_parameters_are_told_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, preset: str, override: str, wrong: str
) -> None:
    monkeypatch.delattr(start, "_server")
    monkeypatch.delattr(start, "_flow")
    with pytest.raises(PipelineError, match=wrong):
        start.run(REPOSITORY, preset, [override], "never", or_stand_in=False)
