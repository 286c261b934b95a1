"""Three kinds of sound go the whole way: trained, scored, exported, recognised in .wav files."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
from scipy.io import wavfile

from resnet import params
from resnet.data.profile import Profile
from resnet.errors import PipelineError
from resnet.evaluation.evaluate import evaluate
from resnet.evaluation.records import Evaluation
from resnet.export import export as portable
from resnet.export.report import PortableReport
from resnet.forms import statistics
from resnet.forms.wave.sound import RATE, to_bytes
from resnet.model import backend, model_file
from resnet.serving.predict import score
from resnet.system import files
from resnet.system.termination import Stop
from resnet.training.callback import NullCallback
from resnet.training.train import TrainingSettings, train
from tests.support import REPOSITORY

KINDS = ("tone", "noise", "clicks")
SMALL = (
    *("net.widths=[8]", "net.depth=4", "train.epochs=null", "train.steps=40", "train.batch=30"),
    *("train.device=cpu", "train.precision=float32", "train.schedule.peak=0.01"),
    *("data.validation=30", "export.forms=[onnx]", "evaluate.batch=30"),
)


def sounds(count: int, seed: int) -> tuple[Any, Any]:
    """Integers (N, 8000), of any loudness, with a little noise; and their labels."""
    random = np.random.default_rng(seed)
    labels_n = (np.arange(count) % len(KINDS)).astype(np.uint8)
    time, sound = np.arange(6000) / RATE, np.zeros((count, 8000))
    for one, label in zip(sound[:, :6000], labels_n, strict=True):
        if label == 0:
            one[:] = np.sin(6.2832 * random.uniform(200, 3000) * time)
        elif label == 1:
            one[:] = random.uniform(-1, 1, 6000)
        else:
            one[random.integers(0, 500) :: 600] = 1
        one *= random.uniform(2000, 20000)
        one += random.normal(0, 20, 6000)
    return sound.round().astype(np.int32), labels_n


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> params.Params:
    """The parameters of a small checkout whose network was trained on sounds."""
    root = tmp_path_factory.mktemp("sounds")
    values = params.merge(params.read(REPOSITORY), REPOSITORY, "speech", SMALL)
    parameters = params.check(values)
    paths = parameters.paths.under(root)
    parameters = parameters.model_copy(update={"paths": paths})
    paths.arrays.mkdir(parents=True)
    for seed, (split, count) in enumerate({"train": 240, "validation": 30, "test": 60}.items()):
        sound, labels_n = sounds(count, seed)
        np.save(paths.arrays / f"{split}_recordings.npy", samples := to_bytes(sound))
        np.save(paths.arrays / f"{split}_labels.npy", labels_n)
        if split == "train":
            histograms = statistics.histograms("wave", samples)
    profile: dict[str, Any] = {"form": "wave", "shape": [8000, 2], "mean": [], "deviation": []}
    profile |= {"dataset": "sounds", "classes": list(KINDS)}
    profile |= {name: one.as_dict() for name, one in histograms.items()}
    files.write_json(paths.profile, profile)
    settings = TrainingSettings(
        parameters.net, parameters.train, paths, parameters.runtime, root / "checkpoints", "key"
    )
    with Stop(os.getppid()) as stop:
        train(settings, NullCallback(), stop)
    return parameters


def test_a_network_learns_the_kinds_and_is_scored_and_exported(trained: params.Params) -> None:
    paths = trained.paths
    evaluate(trained.evaluate, paths, backend.select("tensorflow", "cpu"))
    assert Evaluation.read(paths.metrics).metrics.accuracy > 0.9
    portable.export(trained.export, paths)
    (form,) = PortableReport.read(paths.portable_report).forms
    assert form.admitted or form.reason


def test_recordings_in_wav_files_are_recognised_and_described(
    trained: params.Params, tmp_path: Path
) -> None:
    sound, _ = sounds(6, seed=9)
    expected_nk = np.asarray(model_file.load(trained.paths.model)(to_bytes(sound)))
    (tmp_path / "in").mkdir()
    for n, one in enumerate(sound.astype(np.int16)):
        wavfile.write(tmp_path / "in" / f"{n}.wav", RATE, one[:6000])
    (tmp_path / "in" / "notes.txt").write_text("none")
    lines: list[str] = []
    profile = Profile.read(trained.paths.profile)
    out = tmp_path / "out.parquet"
    scored = score(trained.paths.model, tmp_path / "in", out, profile, {}, lines.append)
    assert parquet.read_table(out)["predicted"].to_pylist() == expected_nk.argmax(axis=1).tolist()
    assert lines == [
        f"6 recordings in {tmp_path}/in; not read: 1 other file, the first is notes.txt"
    ]
    assert set(scored.features.samples) == {"level", "length"}
    assert scored.features.samples["length"].mean == pytest.approx(0.75, abs=0.01)


def test_parameters_for_images_are_refused_for_recordings() -> None:
    for override, text in {
        "train.augment.flip=random": "train.augment.flip is random, which is for images",
        "net.stem=whitening": "net.stem is whitening, which is for images",
        "net.views=2": "set it to 1",
    }.items():
        values = params.merge(params.read(REPOSITORY), REPOSITORY, "speech", [override])
        with pytest.raises(PipelineError, match=text):
            params.check(values)
