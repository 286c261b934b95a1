"""Publishing, with a real Keras model, to SQLite and to a real server."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet import params
from resnet.checkout import provenance
from resnet.errors import PipelineError
from resnet.evaluation.records import Evaluation
from resnet.export.report import PortableReport
from resnet.model import model_file
from resnet.model.probe import Probe
from resnet.registry import portable_forms, store, versions
from resnet.registry.gate import gate
from resnet.registry.promotion import promotion
from resnet.registry.promotion.smoke_test import require_intact
from resnet.registry.promotion.status import Status, status
from resnet.registry.tracking.live_run import LiveRun
from resnet.registry.tracking.outputs import Outputs
from resnet.registry.tracking.publish import publish
from resnet.registry.versions import PROBE_FILE
from resnet.system import files

import mlflow.pyfunc

WriteOutputs = Callable[..., str]


@pytest.fixture(params=["sqlite", "server"])
def root(
    request: pytest.FixtureRequest,
    empty_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A checkout that publishes to its own SQLite file, or to a server that the user names."""
    if request.param == "server":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("server"))
    else:
        shutil.copytree(empty_store / ".state", tmp_path / ".state")
    return tmp_path


@pytest.fixture
def local(empty_store: Path, tmp_path: Path) -> Path:
    shutil.copytree(empty_store / ".state", tmp_path / ".state")
    return tmp_path


HOST = """
import sys, time
from pathlib import Path
from resnet import params
from resnet.registry import store
from resnet.registry.tracking.publish import publish

root, answers, method = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

class Meeting(store.Client):
    def __getattribute__(self, name):
        attribute = super().__getattribute__(name)
        if name != method:
            return attribute
        def call(*words, **more):
            answer = attribute(*words, **more)
            (answers / root.name).touch()
            deadline = time.monotonic() + 5
            while len(list(answers.iterdir())) < 2 and time.monotonic() < deadline:
                time.sleep(0.05)
            return answer
        return call

store.Client = Meeting
version = publish(params.load(root), root)
print(version.number, version.model_hash)
"""


def publish_on_two_hosts(checkouts: list[Path], meeting: str) -> list[tuple[int, str]]:
    """Publish from two checkouts at once, on hosts that share nothing but the first one's store.

    Both have called the client's method `meeting` before either sees what it returned, unless one
    keeps the other from it for 5 s. The number and the model hash that each was given back.
    """
    answers = checkouts[0] / "answers"
    answers.mkdir()
    processes = []
    for checkout in checkouts:
        temporary = checkout / "tmp"  # of this host: a file there locks out nobody elsewhere
        temporary.mkdir()
        uri = store.tracking_uri(checkouts[0])
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", HOST, checkout, answers, meeting],
                env={**os.environ, "TMPDIR": str(temporary), "MLFLOW_TRACKING_URI": uri},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    return [(int(number), digest) for number, digest in (text.split()[-2:] for text in outputs)]


def runs_of(client: Any, parameters: params.Params) -> list[Any]:
    return list(client.search_runs([store.experiment(client, parameters.model_name)]))


def test_publishing_twice_makes_one_run_and_one_version_with_all_outputs(
    root: Path, parameters: params.Params, write_outputs: WriteOutputs
) -> None:
    model_hash = write_outputs(root, parameters)
    assert status(parameters, root) == Status(None, evaluated=False, decided=False)

    version = publish(parameters, root)
    client = store.client(root)
    assert publish(parameters, root) == version
    assert len(runs_of(client, parameters)) == 1
    assert len(client.search_model_versions(f"name = '{parameters.model_name}'")) == 1

    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["train.optimizer.name"] == parameters.train.optimizer.name
    assert run.data.metrics["accuracy"] == 0.8
    assert run.data.tags["precision"] == "float32"
    steps = [point.step for point in client.get_metric_history(version.run_id, "train_loss")]
    assert steps == [10, 20]
    assert "validation_loss" not in run.data.metrics
    assert run.inputs is not None
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("cifar10", f"{'d' * 32}.dir")
    (features,) = json.loads(
        json.loads(dataset.dataset.schema or "")["mlflow_tensorspec"]["features"]
    )
    assert features["tensor-spec"] == {"dtype": "uint8", "shape": [-1, 32, 32, 3]}
    for artifact in (
        "recipe/dvc.lock",
        "recipe/changes.patch",
        "pictures/curves.png",
        "probe/probe.npz",
    ):
        assert versions.fetch(client, version, artifact, root / "got").exists()
    attached = versions.download(client, version, root / "got")
    assert attached.read_bytes() == (root / parameters.paths.model).read_bytes()

    registered = client.get_model_version(version.name, str(version.number))
    assert registered.tags["model_hash"] == model_hash
    assert registered.tags["data_hash"] == f"{'d' * 32}.dir"
    assert registered.tags["git_commit"] == "none"
    description = registered.description or ""
    assert "80.00%" in description
    assert "uint8 (N, 32, 32, 3)" in description
    assert "float32 (N, 10)." in description
    assert "Its probabilities are not calibrated: there were no validation samples." in description
    assert status(parameters, root) == Status(version, evaluated=True, decided=False)


def test_a_report_of_an_earlier_release_is_of_the_precision_in_its_parameters(
    tmp_path: Path, parameters: params.Params, write_outputs: WriteOutputs
) -> None:
    train = parameters.train.model_copy(update={"precision": "bfloat16"})
    earlier = parameters.model_copy(update={"train": train})
    write_outputs(tmp_path, earlier)
    report = tmp_path / parameters.paths.training
    training = files.read_json(report)
    assert training.pop("precision") == Outputs.read(earlier, tmp_path).precision == "float32"
    files.write_json(report, training)
    assert Outputs.read(earlier, tmp_path).precision == "bfloat16"


def test_two_hosts_that_publish_two_models_at_once_each_get_their_own_version_back(
    empty_store: Path, tmp_path: Path, parameters: params.Params, write_outputs: WriteOutputs
) -> None:
    checkouts, hashes = [tmp_path / "one", tmp_path / "other"], []
    shutil.copytree(empty_store / ".state", checkouts[0] / ".state")
    for seed, checkout in enumerate(checkouts):
        checkout.mkdir(exist_ok=True)
        hashes.append(write_outputs(checkout, parameters, seed=seed))
    published = publish_on_two_hosts(checkouts, meeting="create_model_version")
    assert [model_hash for _, model_hash in published] == hashes
    assert sorted(number for number, _ in published) == [1, 2]
    client = store.client(checkouts[0])
    for number, model_hash in published:
        version = versions.get(client, parameters.model_name, number)
        assert version is not None
        assert version.model_hash == model_hash


def test_two_hosts_that_publish_the_same_model_at_once_make_one_run_and_one_version(
    empty_store: Path, tmp_path: Path, parameters: params.Params, write_outputs: WriteOutputs
) -> None:
    checkouts = [tmp_path / "one", tmp_path / "other"]
    (tmp_path / "one").mkdir()
    shutil.copytree(empty_store / ".state", tmp_path / "one" / ".state")
    model_hash = write_outputs(tmp_path / "one", parameters)
    shutil.copytree(tmp_path / "one", tmp_path / "other", ignore=shutil.ignore_patterns(".state"))
    published = publish_on_two_hosts(checkouts, meeting="search_model_versions")
    assert published == [(1, model_hash), (1, model_hash)]
    client = store.client(tmp_path / "one")
    assert len(client.search_model_versions(f"name = '{parameters.model_name}'")) == 1
    (run,) = runs_of(client, parameters)
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize(("views", "text"), [(1, None), (2, "two views"), (6, "six views")])
def test_the_description_says_how_many_views_of_an_image_are_averaged(
    local: Path,
    parameters: params.Params,
    write_outputs: WriteOutputs,
    views: int,
    text: str | None,
) -> None:
    net = parameters.net.model_copy(update={"views": views})
    with_views = parameters.model_copy(update={"net": net})
    write_outputs(local, with_views)
    version = publish(with_views, local)
    registered = store.client(local).get_model_version(version.name, str(version.number))
    description = registered.description or ""
    assert text in description if text else "views" not in description


def test_mlflow_serves_what_is_in_production_and_it_answers_the_same(
    local: Path, parameters: params.Params, write_outputs: WriteOutputs, check: Callable[..., None]
) -> None:
    """End to end, a process does so that cannot import this package."""
    write_outputs(local, parameters)
    publish(parameters, local)
    verdict = gate.judge(local, parameters.model_name, "latest", parameters.gate)
    decision = promotion.promote(local, verdict, reason="first", check=check)
    assert decision.promoted
    assert status(parameters, local).decided
    images_nhwc = np.load(local / parameters.paths.arrays / "test_images.npy")
    expected_nk = np.asarray(model_file.load(local / parameters.paths.model)(images_nhwc))
    with store.as_default(store.client(local)):
        served = mlflow.pyfunc.load_model(f"models:/{parameters.model_name}@production")
    assert [spec.shape for spec in served.metadata.signature.inputs] == [(-1, 32, 32, 3)]
    assert [spec.shape for spec in served.metadata.signature.outputs] == [(-1, 10)]
    answer_nk = served.predict(images_nhwc)
    assert answer_nk.dtype == np.float32
    np.testing.assert_allclose(answer_nk, expected_nk, atol=1e-6)


def test_another_evaluation_of_the_same_model_replaces_the_first(
    local: Path,
    parameters: params.Params,
    write_outputs: WriteOutputs,
    evaluate_again: Callable[..., None],
) -> None:
    model_hash = write_outputs(local, parameters, correct=8000)
    first = publish(parameters, local)
    evaluate_again(local, parameters, model_hash, 8100)
    assert not status(parameters, local).evaluated

    second = publish(parameters, local)
    client = store.client(local)
    assert second.number == first.number
    assert status(parameters, local).evaluated
    assert client.get_run(second.run_id).data.metrics["accuracy"] == 0.81
    assert versions.evaluation(client, second, local / "got").metrics.correct == 8100
    lock = versions.fetch(client, second, "evaluation/dvc.lock", local / "got")
    assert lock.read_bytes() == (local / "dvc.lock").read_bytes()


def test_exactly_the_admitted_portable_forms_are_attached_and_another_export_replaces_them(
    root: Path, parameters: params.Params, write_outputs: WriteOutputs
) -> None:
    write_outputs(root, parameters)
    version, client = publish(parameters, root), store.client(root)
    paths = parameters.paths.under(root)
    report, form = paths.portable_report, paths.portable / "model.onnx"
    assert version.portable_hash == files.digest(report)
    assert attached(client, version) == {"portable/model.onnx", "portable/portable.json"}
    for artifact, path in (("portable/model.onnx", form), (portable_forms.REPORT, report)):
        copy = versions.fetch(client, version, artifact, root / "got")
        assert copy.read_bytes() == path.read_bytes()

    first, second = PortableReport.read(report).forms
    (paths.portable / second.file).write_text("other weights")
    digest = files.digest(paths.portable / second.file)
    form.unlink()
    forms = (
        first.model_copy(update={"admitted": False, "reason": "its accuracy differs"}),
        second.model_copy(update={"admitted": True, "reason": None, "sha256": digest}),
    )
    before = files.digest(report, "md5")
    PortableReport.read(report).model_copy(update={"forms": forms}).write(report)
    lock = root / "dvc.lock"
    lock.write_text(lock.read_text().replace(before, files.digest(report, "md5")))
    assert not status(parameters, root).portable
    again = publish(parameters, root)
    assert again.number == version.number
    assert status(parameters, root).portable
    assert attached(client, again) == {"portable/model.int8.onnx", "portable/portable.json"}


def attached(client: Any, version: versions.Version) -> set[str]:
    """The portable artifacts of the version's run."""
    return {file.path for file in client.list_artifacts(version.run_id, "portable")}


def test_a_form_that_is_not_the_compared_one_is_not_registered(
    local: Path, parameters: params.Params, write_outputs: WriteOutputs
) -> None:
    write_outputs(local, parameters)
    (local / parameters.paths.portable / "model.onnx").write_text("another graph")
    with pytest.raises(
        PipelineError, match=r"model\.onnx is not the file that .*portable\.json is"
    ):
        publish(parameters, local)
    assert status(parameters, local).version is None


def test_a_version_has_the_cause_of_its_training_and_the_profile_of_its_data(
    local: Path, parameters: params.Params, write_outputs: WriteOutputs
) -> None:
    assert versions.newest_profile(local, parameters.model_name) == {}
    write_outputs(local, parameters)
    version = publish(parameters, local, cause="night was added")
    tags = store.client(local).get_model_version(version.name, str(version.number)).tags
    assert tags["cause"] == "night was added"
    profile = files.read_json(local / parameters.paths.profile)
    assert versions.newest_profile(local, parameters.model_name) == profile


def test_an_interrupted_publish_is_completed_by_the_next(
    local: Path, parameters: params.Params, write_outputs: WriteOutputs
) -> None:
    write_outputs(local, parameters)
    arrays, away = local / parameters.paths.arrays, local / "away"
    arrays.rename(away)  # needed for the probe and for the input example
    with pytest.raises(PipelineError, match="is not there"):
        publish(parameters, local)
    client = store.client(local)
    assert "RUNNING" not in [run.info.status for run in runs_of(client, parameters)]
    away.rename(arrays)
    assert status(parameters, local).version is None
    version = publish(parameters, local)
    assert version.number == 1
    (run,) = runs_of(client, parameters)
    assert run.info.status == "FINISHED"
    assert len(client.get_metric_history(version.run_id, "train_loss")) == 2


def test_a_model_is_probed_before_its_version_is_made_whoever_logged_its_parts(
    local: Path,
    parameters: params.Params,
    write_outputs: WriteOutputs,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    write_outputs(local, parameters)
    with monkeypatch.context() as broken:
        broken.setattr(store, "as_default", lambda client: 1 / 0)  # when all parts are there
        with pytest.raises(ZeroDivisionError):
            publish(parameters, local)
    client = store.client(local)
    (run,) = runs_of(client, parameters)
    damaged = tmp_path / Path(PROBE_FILE).name
    damaged.write_bytes(b"cut off")
    client.log_artifact(run.info.run_id, str(damaged), "probe")
    model = local / parameters.paths.model
    with monkeypatch.context() as broken:
        broken.setattr(model_file, "model_hash", lambda model: "0" * 64)
        with pytest.raises(PipelineError, match="holds model 000000000000…, but"):
            publish(parameters, local)
    assert status(parameters, local).version is None

    version = publish(parameters, local)
    probe = Probe.read(versions.fetch(client, version, PROBE_FILE, tmp_path / "probe"))
    probe.check(model_file.load(model))


def test_publishing_again_brings_back_what_the_check_before_a_move_needs(
    local: Path, parameters: params.Params, write_outputs: WriteOutputs, tmp_path: Path
) -> None:
    write_outputs(local, parameters)
    version, client = publish(parameters, local), store.client(local)
    artifacts = store.local_artifacts(local) / version.name / version.run_id / "artifacts"
    for name in (PROBE_FILE, versions.MODEL_FILE):
        (artifacts / name).unlink()
    assert publish(parameters, local) == version
    require_intact(local, client, version)


def test_publishing_completes_the_run_that_training_opened(
    local: Path, parameters: params.Params, write_outputs: WriteOutputs
) -> None:
    model_hash = write_outputs(local, parameters)
    live = LiveRun(local, parameters)
    live.started(20, local, provenance.training_key(parameters, local))
    live.epoch({"epoch": 1, "step": 10, "learning_rate": 0.1, "train_loss": 2.0})
    live.finished(model_hash)
    version = publish(parameters, local)
    client = store.client(local)
    (run,) = runs_of(client, parameters)
    assert run.info.run_id == version.run_id
    assert [p.step for p in client.get_metric_history(version.run_id, "train_loss")] == [10, 20]


def test_outputs_that_do_not_belong_together_are_refused(
    local: Path,
    parameters: params.Params,
    write_outputs: WriteOutputs,
    evaluation: Callable[..., Any],
) -> None:
    write_outputs(local, parameters)
    metrics = local / parameters.paths.metrics
    there = metrics.read_bytes()
    other: Evaluation = evaluation("0" * 64)
    other.write(metrics)
    with pytest.raises(PipelineError, match="is about model 000000000000"):
        status(parameters, local)
    metrics.write_bytes(there + b" ")
    with pytest.raises(PipelineError, match=r"metrics.json differs from dvc.lock"):
        publish(parameters, local)
    metrics.write_bytes(there)
    edited = parameters.model_copy(
        update={"train": parameters.train.model_copy(update={"batch": 7})}
    )
    (local / "params.yaml").write_text(params.dump(edited.model_dump(mode="json")))
    with pytest.raises(PipelineError, match="train in params.yaml is not what stage train ran"):
        publish(edited, local)
    (local / "params.yaml").write_text(params.dump(parameters.model_dump(mode="json")))
    shutil.rmtree(local / parameters.paths.pictures)
    with pytest.raises(PipelineError, match="pictures is not there"):
        publish(parameters, local)
