"""A version is loaded and probed before an alias moves to it. With TensorFlow."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from resnet import params
from resnet.errors import PipelineError
from resnet.model import model_file, probe
from resnet.model.probe import Probe
from resnet.registry import store, versions
from resnet.registry.promotion import smoke_test
from resnet.registry.tracking.publish import publish

WriteOutputs = Callable[..., str]


@pytest.fixture
def local(empty_store: Path, tmp_path: Path) -> Path:
    shutil.copytree(empty_store / ".state", tmp_path / ".state")
    (tmp_path / "dvc.yaml").touch()  # with params.yaml it makes a checkout
    return tmp_path


def test_a_published_version_passes_until_it_predicts_otherwise(
    local: Path, parameters: params.Params, write_outputs: WriteOutputs
) -> None:
    write_outputs(local, parameters)
    version = publish(parameters, local)
    client = store.client(local)
    smoke_test.require_working(local, client, version)
    smoke_test.require_intact(local, client, version)

    path = versions.fetch(client, version, versions.PROBE_FILE, local / "got")
    stored = Probe.read(path)
    Probe(stored.images_nhwc, stored.probabilities_nk[::-1]).write(path)
    client.log_artifact(version.run_id, str(path), "probe")
    with pytest.raises(
        PipelineError,
        match=r"version 1 failed its load test: .* differ by up to .*no alias names it now\. Use",
    ):
        smoke_test.require_working(local, client, version)
    smoke_test.require_intact(local, client, version)  # which predicts nothing

    attached = store.local_artifacts(local) / version.name / version.run_id / "artifacts"
    (attached / versions.PROBE_FILE).unlink()
    for must in (smoke_test.require_working, smoke_test.require_intact):
        with pytest.raises(PipelineError, match="cannot be checked.*resnet publish"):
            must(local, client, version)
    (attached / versions.MODEL_FILE).write_bytes(b"no model")
    for must in (smoke_test.require_working, smoke_test.require_intact):
        with pytest.raises(PipelineError, match="artifact is damaged"):
            must(local, client, version)


def test_a_models_hash_and_predictions_are_checked(
    tmp_path: Path, parameters: params.Params, write_outputs: WriteOutputs
) -> None:
    model_hash = write_outputs(tmp_path, parameters)
    at, to = tmp_path / parameters.paths.model, tmp_path / "probe.npz"
    images_nhwc = np.random.default_rng(1).integers(0, 256, (20, 32, 32, 3), np.uint8)
    Probe.of(model_file.load(at), images_nhwc).write(to)
    assert len(Probe.read(to).images_nhwc) == probe.IMAGES
    probe.check_file(at, to, model_hash)
    with pytest.raises(PipelineError, match=f"holds model {model_hash[:12]}…, want 000000000000…"):
        probe.check_file(at, to, "0" * 64)


@pytest.mark.parametrize(
    ("change", "passes"), [(0.9 * probe.TOLERANCE, True), (1.1 * probe.TOLERANCE, False)]
)
def test_predictions_may_differ_by_the_rounding_of_another_cpu(change: float, passes: bool) -> None:
    images_nhwc = np.zeros((2, 32, 32, 3), np.uint8)

    def model(images_nhwc: np.ndarray, training: bool) -> np.ndarray:
        return np.full((len(images_nhwc), 10), 0.1)

    stored = Probe(images_nhwc, model(images_nhwc, False) + change)
    if passes:
        stored.check(model)
    else:
        with pytest.raises(PipelineError, match="differ by up to"):
            stored.check(model)


@pytest.mark.parametrize("answer", [np.full((1, 10), np.nan), np.zeros((1, 9))])
def test_nan_and_another_shape_are_refused(answer: np.ndarray) -> None:
    stored = Probe(np.zeros((1, 32, 32, 3), np.uint8), np.full((1, 10), 0.1))
    with pytest.raises(PipelineError, match="the model"):
        stored.check(lambda images_nhwc, training: answer)
