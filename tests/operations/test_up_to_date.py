"""A run that has nothing to do is answered from a real DVC repository and a real SQLite store."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from resnet import params
from resnet.evaluation.records import Evaluation
from resnet.export.report import PortableReport
from resnet.operations import up_to_date
from resnet.operations.up_to_date import Answer
from resnet.registry import store
from resnet.registry.promotion.outcome import Promote
from resnet.system import files
from tests.support import git

SKIPPED = "its 1 dependencies and 1 parameters are those of dvc.lock, and so are its outputs"


@pytest.fixture
def made(
    tmp_path: Path,
    parameters: params.Params,
    evaluation: Callable[..., Evaluation],
    empty_store: Path,
) -> Path:
    """A checkout whose only stage has run, and whose model is registered and not decided about."""
    paths = parameters.paths.under(tmp_path)
    for folder in (paths.metrics.parent, paths.extra):
        folder.mkdir(parents=True)
    evaluation("a" * 64, 8000).write(paths.metrics)
    files.write_json(paths.training, {"model_hash": "a" * 64})
    PortableReport(model_sha256="b" * 64, cpu="", versions={}, forms=()).write(
        paths.portable_report
    )
    (tmp_path / "source").write_text("1")
    (tmp_path / "params.yaml").write_text(params.dump(parameters.model_dump(mode="json")))
    stage = {
        "cmd": "false",  # it is not to run again
        "deps": ["source"],
        "params": ["train.seed"],
        "outs": [parameters.paths.metrics.as_posix(), parameters.paths.training.as_posix()],
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"evaluate": stage}}))
    git(tmp_path, "init", "--quiet")
    for words in (("init", "--quiet"), ("commit", "--force", "--quiet")):
        subprocess.run([sys.executable, "-m", "dvc", *words], cwd=tmp_path, check=True)
    shutil.copytree(empty_store / ".state", tmp_path / ".state")
    register(tmp_path, parameters.model_name)
    return tmp_path


def register(root: Path, name: str) -> None:
    """A version of the model that the stages made, as publish leaves it."""
    client = store.client(root)
    scored = Evaluation.read(root / "reports" / "metrics.json")
    portable = files.digest(root / "reports" / "portable.json")
    tags = {
        "model_hash": scored.model_hash,
        "evaluation_hash": scored.hash,
        "portable_hash": portable,
    }
    run = client.create_run(store.experiment(client, name)).info.run_id
    client.set_tag(run, "logged.card", f"{scored.hash} undecided {portable}")
    client.create_registered_model(name)
    client.create_model_version(name, f"runs:/{run}/model.keras", run, tags=tags)


def answer(root: Path, promote: Promote = "never") -> Answer | None:
    values = params.read(root)
    return up_to_date.answer(root, values, params.check(values), promote)


def test_a_run_is_answered_only_where_dvc_and_the_registry_lack_nothing(
    made: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = answer(made)
    assert answered is not None
    assert [str(stage) for stage in answered.stages] == [f"evaluate: skipped: {SKIPPED}"]
    assert answered.message == "cifar10-resnet version 1 is registered: nothing to do"
    assert answer(made, "if-better") is None  # the gate is to be asked
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.tracking_uri(empty_store))
    assert answer(made) is None  # that store does not have the version
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    report = made / "reports" / "portable.json"
    before = report.read_text()
    report.write_text(before.replace('"cpu": ""', '"cpu": "another"'))
    assert answer(made) is None  # its portable forms are of another export
    report.write_text(before)
    assert answer(made) is not None
    (made / "source").write_text("2")
    assert answer(made) is None


def test_what_is_seen_at_once_is_not_asked_of_dvc(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up_to_date, "_message", lambda *words: "it was asked")
    assert answer(made) is not None
    values = params.merge(params.read(made), made, None, ["train.seed=7"])
    another = yaml.safe_load((made / "dvc.yaml").read_text())
    another["stages"]["publish"] = {"cmd": "true"}
    for name, text in (
        ("params.yaml", params.dump(values)),
        ("dvc.yaml", yaml.safe_dump(another)),
        ("dvc.lock", None),
        ("reports/metrics.json", None),
    ):
        path = made / name
        before = path.read_bytes()
        path.unlink() if text is None else path.write_text(text)
        assert answer(made) is None, name
        path.write_bytes(before)
