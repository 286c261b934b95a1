"""What the main flow decides by itself; all of it runs end to end elsewhere."""

import logging
from pathlib import Path

import pytest

from flows import report, retrain
from resnet import params
from resnet.registry.promotion.smoke_test import must_be_whole, must_work
from resnet.registry.promotion.status import Status
from resnet.registry.tracking import publish
from resnet.registry.versions import Version
from tests.support import REPOSITORY


@pytest.mark.parametrize(
    ("known", "promote", "checks"),
    [
        (False, "if-better", [must_be_whole]),
        (True, "if-better", [must_work]),
        (False, "never", []),
        (True, "never", []),
    ],
)
def test_a_version_is_decided_about_unless_that_is_unwanted_and_loaded_unless_it_has_just_been(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    known: bool,
    promote: retrain.Promote,
    checks: list[object],
) -> None:
    version = Version("net", 1, "", "", "", "", "", ())
    made = Status(version, evaluated=True, decided=False)
    looks = iter([made] if known else [Status(None, evaluated=False, decided=False), made])
    found: list[object] = []
    monkeypatch.setattr(retrain, "remote", lambda function, name: function)
    monkeypatch.setattr(retrain, "get_run_logger", logging.getLogger)
    monkeypatch.setattr(publish, "status", lambda chosen, tree: next(looks))
    monkeypatch.setattr(retrain, "data_change", lambda tree, chosen: None)
    monkeypatch.setattr(retrain, "run_publish", lambda tree, cause: None)
    monkeypatch.setattr(retrain, "_decide", lambda *words: found.append(words[-1]))
    monkeypatch.setattr(report, "show", lambda *words: None)
    chosen = params.load(REPOSITORY)
    retrain._register(tmp_path, chosen, promote, None, [])
    assert found == checks
