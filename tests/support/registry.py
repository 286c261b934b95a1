"""A checkout as the stages leave it, and the two kinds of store: SQLite and a real server."""

import hashlib
import os
import shutil
import signal
import sqlite3
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from resnet import params
from resnet.data import arrays
from resnet.evaluation.metrics import Metrics
from resnet.evaluation.records import Evaluation, Predictions
from resnet.export.report import PortableForm, PortableReport
from resnet.operations import servers
from resnet.registry import store, versions
from resnet.system import addresses, files
from tests.support import REPOSITORY

WRITES = ("create_", "set_", "log_", "delete_", "rename_", "update_")  # MLflow's methods
CLASSES = [f"class {k}" for k in range(10)]


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Work in a checkout, to call a command; the environment is restored after the test."""

    def into(root: Path) -> None:
        monkeypatch.setattr(os, "environ", os.environ.copy())
        monkeypatch.chdir(root)

    return into


@pytest.fixture(scope="session")
def server(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real MLflow server on loopback, with a store that existed before."""
    root = tmp_path_factory.mktemp("server")
    shutil.copytree(empty_store / ".state", root / ".state")
    with servers.mlflow_server(root, addresses.free_port()) as address:
        yield address


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with an empty SQLite store, to copy: making its tables takes seconds."""
    root = tmp_path_factory.mktemp("empty")
    store.prepare_local(root)
    return root


@pytest.fixture(scope="module")
def made_store(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a SQLite store that the tests of a module share."""
    root = tmp_path_factory.mktemp("store")
    shutil.copytree(empty_store / ".state", root / ".state")
    return root


@pytest.fixture(scope="session")
def parameters() -> params.Params:
    return params.load(REPOSITORY)


@pytest.fixture
def evaluation() -> Callable[..., Evaluation]:
    return _evaluation


@pytest.fixture(scope="session")
def write_outputs() -> Callable[..., str]:
    return _write_outputs


@pytest.fixture
def evaluate_again() -> Callable[..., None]:
    return _evaluate


def _evaluation(
    model_hash: str, correct: int = 8000, test_hash: str = "t" * 64, images: int = 10_000
) -> Evaluation:
    share = correct / images
    metrics = Metrics(
        accuracy=share,
        accuracy_low=share - 0.01,
        accuracy_high=share + 0.01,
        loss=0.6,
        top2=0.9,
        calibration_error=0.02,
        parameters=100,
        flops=1000,
        size_bytes=5000,
        latency_ms=1.5,
        throughput=2000.0,
        correct=correct,
        images=images,
    )
    return Evaluation(metrics, model_hash, test_hash)


@pytest.fixture
def predictions() -> Callable[..., Predictions]:
    return _predictions


def _predictions(correct: int, images: int = 10_000, first: int = 0) -> Predictions:
    """For images of ten classes in turn; `correct` are correct, from the image `first` on."""
    labels_n = (np.arange(images) % 10).astype(np.uint8)
    right_n = np.roll(np.arange(images) < correct, first)
    probabilities_nk = np.full((images, 10), 0.01, np.float32)
    probabilities_nk[np.arange(images), np.where(right_n, labels_n, (labels_n + 1) % 10)] = 0.91
    return Predictions(labels_n, probabilities_nk)


@pytest.fixture(scope="module")
def register(made_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., int]:
    """Register a version in `made_store` the way publish does, with any file as its model.

    It predicts `correct` of its test samples correctly, from the image `first` on.
    """
    client, room = store.client(made_store), tmp_path_factory.mktemp("registered")

    def register(
        name: str,
        correct: int = 8000,
        test_hash: str = "t" * 64,
        images: int = 10_000,
        first: int = 0,
        model: Path | None = None,
    ) -> int:
        existing = client.search_model_versions(f"name = '{name}'")
        scored = _evaluation(f"{name}-{len(existing)}", correct, test_hash, images)
        run = client.create_run(store.experiment(client, name)).info.run_id
        if model is None:
            model = room / versions.MODEL_FILE
            model.write_text(scored.model_hash)
        client.log_artifact(run, str(model))
        scored.write(room / "metrics.json")
        _predictions(correct, images, first).write(room / "predictions.parquet")
        for artifact in ("metrics.json", "predictions.parquet"):
            client.log_artifact(run, str(room / artifact), "evaluation")
        client.log_dict(run, {"classes": CLASSES}, "data/profile.json")
        if not existing:
            client.create_registered_model(name)
        tags = {
            "model_hash": scored.model_hash,
            "file_hash": files.digest(model),
            "evaluation_hash": scored.hash,
            "test_hash": test_hash,
        }
        version = client.create_model_version(name, f"runs:/{run}/model.keras", run, tags=tags)
        return int(version.version)

    return register


@pytest.fixture(scope="module")
def save(
    made_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Callable[[], None]]:
    """Save `made_store`, which is in use. Returns a function that restores it."""
    database = made_store / ".state" / "mlflow" / "mlflow.db"
    artifacts, heads = store.local_artifacts(made_store), made_store / ".state" / "ledgers"

    def now() -> Callable[[], None]:
        saved = tmp_path_factory.mktemp("saved")
        shutil.copy(database, saved / "database")
        shutil.copytree(artifacts, saved / "artifacts")
        if heads.exists():
            shutil.copytree(heads, saved / "heads")

        def put_back() -> None:
            source, target = sqlite3.connect(saved / "database"), sqlite3.connect(database)
            with closing(source), closing(target):
                source.backup(target)
            shutil.rmtree(artifacts)
            shutil.copytree(saved / "artifacts", artifacts)
            shutil.rmtree(heads, ignore_errors=True)
            if (saved / "heads").exists():
                shutil.copytree(saved / "heads", heads)

        return put_back

    return now


@pytest.fixture(scope="session")
def check() -> Callable[..., None]:
    """The check before a move without the part that needs TensorFlow: see test_smoke_test."""

    def download(root: Path, client: Any, version: versions.Version) -> None:
        with tempfile.TemporaryDirectory() as folder:
            versions.download(client, version, Path(folder))

    return download


@pytest.fixture(params=["sqlite", "server"])
def any_store(
    request: pytest.FixtureRequest, made_store: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A checkout with its own SQLite file, and one whose user names a server."""
    if request.param == "server":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("server"))
    return made_store


@pytest.fixture
def fork() -> Callable[[Callable[[], object]], int]:
    """Call something in a child process; its id. Quick, as nothing is imported again."""
    return _fork


@pytest.fixture
def wait() -> Callable[[int], int]:
    """Wait for a child; its exit code, or the signal that killed it below zero."""
    return lambda pid: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def killed() -> Callable[[Callable[[], object], int], bool]:
    """Call something in a process that is killed after n writes. Returns whether it was."""

    def call(action: Callable[[], object], writes: int) -> bool:
        open_client = store.client

        def act() -> None:
            mortal: Any = Mortal
            store.client = lambda root: mortal(open_client(root), writes)
            action()

        code = os.waitstatus_to_exitcode(os.waitpid(_fork(act), 0)[1])
        assert code in (0, -signal.SIGKILL)
        return code != 0

    return call


class Mortal:
    """A client of MLflow whose process is killed when it has written `writes` times."""

    def __init__(self, client: Any, writes: int) -> None:
        self._client, self._left = client, writes

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        return self._counted(attribute) if name.startswith(WRITES) else attribute

    def _counted(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1
            return write(*args, **kwargs)

        return counted


def _fork(action: Callable[[], object]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        action()
    except BaseException:  # noqa: BLE001  (a child must not go on with its parent's tests)
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _write_outputs(
    root: Path, parameters: params.Params, correct: int = 8000, seed: int = 0
) -> str:
    """What fetch … evaluate leave in `root`, of a tiny model; returns its hash."""
    import keras

    from resnet.model import model_file

    keras.utils.set_random_seed(seed)
    images = keras.Input((32, 32, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(images)
    x = keras.layers.Conv2D(4, 3, strides=4)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(images, keras.layers.Softmax()(keras.layers.Dense(10)(x)))
    paths = parameters.paths.under(root)
    model_hash = model_file.model_hash(model)
    (root / "params.yaml").write_text(params.dump(parameters.model_dump(mode="json")))
    shutil.copy(REPOSITORY / "dvc.yaml", root)
    _write_data(paths)
    model_file.save(model, paths.model)
    paths.history.parent.mkdir(parents=True, exist_ok=True)
    paths.history.write_text(
        "epoch,step,learning_rate,train_loss,train_accuracy,validation_loss,validation_accuracy\n"
        "1,10,0.1,2.0,0.3,,\n2,20,0.2,1.5,0.5,,\n"
    )
    training = {
        "model_hash": model_hash,
        "parameters": 100,
        "backend": "tensorflow",
        "device": "cpu",
        "device_name": "a processor",
        "epochs": 2,
        "steps": 20,
        "best_epoch": None,
        "seconds": 3.0,
        "images_per_second": 500.0,
        "precision": "float32",
        "versions": {"python": "3.11", "keras": keras.__version__, "numpy": np.__version__},
        "cpu": "a processor",
    }
    files.write_json(paths.training, training)
    _export(paths)
    _evaluate(root, parameters, model_hash, correct)
    return model_hash


def _export(paths: params.Paths) -> None:
    """The outputs of `export`: an ONNX form, any file, and why there is no int8."""
    form = paths.portable / "model.onnx"
    form.parent.mkdir()
    form.write_text("a graph")
    admitted = PortableForm(
        name="onnx",
        admitted=True,
        reason=None,
        agreement=1.0,
        accuracy=0.8,
        latency_ms=0.6,
        size_bytes=form.stat().st_size,
        sha256=files.digest(form),
    )
    left_out = PortableForm(name="int8", admitted=False, reason="0 validation samples")
    PortableReport(
        model_sha256=files.digest(paths.model),
        cpu="a processor",
        versions={},
        forms=(admitted, left_out),
    ).write(paths.portable_report)


def _evaluate(root: Path, parameters: params.Params, model_hash: str, correct: int) -> None:
    """The evaluation's outputs, and dvc.lock as it is after them."""
    paths = parameters.paths.under(root)
    _evaluation(model_hash, correct).write(paths.metrics)
    _predictions(correct).write(paths.predictions)
    shares = f"{correct / 10_000},{correct / 10_000 - 0.02},{correct / 10_000 + 0.02}"
    paths.per_class.write_text(
        "class,images,predicted,precision,recall,recall_low,recall_high,f1\n"
        + "".join(f"{name},1000,1000,0.75,{shares},0.7\n" for name in CLASSES)
    )
    paths.subsets.write_text(
        "subset,images,correct,accuracy,low,high\n"
        f"all,10000,{correct},{shares}\nwithout near-duplicates,9714,7500,0.772,0.764,0.780\n"
    )
    for path in (paths.confusion, paths.reliability):
        path.write_text("a,b\n1,2\n")
    paths.pictures.mkdir(exist_ok=True)
    for name in ("curves", "confusion", "reliability", "mistakes"):
        Image.new("RGB", (8, 8)).save(paths.pictures / f"{name}.png")
    outs = [
        {"path": path.as_posix(), "md5": hashlib.md5((root / path).read_bytes()).hexdigest()}  # noqa: S324
        for path in (
            parameters.paths.model,
            parameters.paths.metrics,
            parameters.paths.portable_report,
        )
    ]
    outs.append({"path": parameters.paths.arrays.as_posix(), "md5": f"{'d' * 32}.dir"})
    recorded = {"params.yaml": {"train": parameters.train.model_dump(mode="json")}}
    lock = {"schema": "2.0", "stages": {"train": {"outs": outs, "params": recorded}}}
    (root / "dvc.lock").write_text(yaml.safe_dump(lock))


def _write_data(paths: params.Paths) -> None:
    paths.arrays.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    for split in arrays.SPLITS:
        np.save(paths.arrays / f"{split}_images.npy", noise)
        np.save(paths.arrays / f"{split}_labels.npy", np.arange(4, dtype=np.uint8))
    profile = {"dataset": "cifar10", "classes": CLASSES, "counts": {"test": {"cat": 1}}}
    files.write_json(paths.profile, profile)
