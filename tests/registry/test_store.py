"""Where MLflow's records are stored."""

import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import alembic.command
import pytest
from filelock import FileLock

from resnet import cli
from resnet.errors import PipelineError, UnreachableError
from resnet.registry import relocation, sqlite_file, sqlite_schema, store
from resnet.registry.ledger import lock
from tests.support import REPOSITORY

from mlflow.exceptions import MlflowException
from mlflow.store.db import utils

MLFLOW_WAITS = 20  # seconds, for a locked file: PRAGMA busy_timeout in mlflow.store.db.utils

OPEN = """
import sys
from pathlib import Path
from resnet.registry import store
client = store.client(Path(sys.argv[1]))
store.experiment(client, "shared")
"""

# Nothing of MLflow is imported here: whoever begins to has either prepared it or not.
IMPORT_EACH = """
import importlib, os, sys

class Importer:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "mlflow":
            raise ImportError(os.environ.get("MLFLOW_DISABLE_TELEMETRY"))

sys.meta_path.insert(0, Importer())
for module in sys.argv[1:]:
    os.environ.pop("MLFLOW_DISABLE_TELEMETRY", None)
    for name in [name for name in sys.modules if name.startswith("resnet.registry")]:
        del sys.modules[name]
    try:
        importlib.import_module(module)
    except ImportError as error:
        print(module, error)
"""


def test_whichever_module_is_imported_first_mlflow_starts_without_telemetry() -> None:
    paths = [
        path.relative_to(REPOSITORY) for path in (REPOSITORY / "resnet/registry").rglob("*.py")
    ]
    modules = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH, *modules],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    began = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert {"resnet.registry.store", "resnet.registry.tracking.curves"} < {
        name for name, _ in began
    }
    assert [name for name, telemetry in began if telemetry != "true"] == []


def test_two_first_users_of_a_store_do_not_race(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN, str(tmp_path)]
    processes = [subprocess.Popen(command, cwd=REPOSITORY) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    client = store.client(tmp_path)
    experiment = client.get_experiment_by_name("shared")
    assert experiment is not None
    assert experiment.artifact_location == (store.local_artifacts(tmp_path) / "shared").as_uri()
    assert relocation.former_folders(tmp_path) == []


def test_a_moved_checkout_is_noticed(empty_store: Path, made_store: Path) -> None:
    assert relocation.former_folders(empty_store) == []
    elsewhere = store.local_artifacts(empty_store)  # `made_store` is a copy of that store
    assert relocation.former_folders(made_store) == [elsewhere]


def test_a_store_that_goes_away_between_two_downloads_says_so(
    empty_store: Path, tmp_path: Path
) -> None:
    shutil.copytree(empty_store / ".state", tmp_path / ".state")
    client = store.client(tmp_path)
    run = client.create_run(store.experiment(client, "short-lived")).info.run_id
    client.log_text(run, "here", "note.txt")
    assert client.fetch_artifact(run, "note.txt", tmp_path).read_text() == "here"
    with pytest.raises(MlflowException, match="other.txt"):
        client.fetch_artifact(run, "other.txt", tmp_path)
    with closing(sqlite3.connect(tmp_path / ".state" / "mlflow" / "mlflow.db")) as database:
        database.execute("ALTER TABLE runs RENAME TO away")
    with pytest.raises(UnreachableError, match="does not answer"):
        client.fetch_artifact(run, "other.txt", tmp_path)


def test_a_server_that_does_not_answer_is_named_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(PipelineError, match=r"http://127\.0\.0\.1:9 does not answer"):
        store.client(tmp_path)
    assert time.monotonic() - began < 20


def test_a_file_that_is_not_a_database_is_named(tmp_path: Path) -> None:
    database = tmp_path / ".state" / "mlflow" / "mlflow.db"
    database.parent.mkdir(parents=True)
    database.write_text("not a database, " * 100)
    with pytest.raises(PipelineError, match=r"mlflow\.db"):
        store.client(tmp_path)


@pytest.mark.parametrize("content", [b"", "a file of another program"])
def test_a_file_that_is_no_store_is_not_taken_for_a_new_one(
    tmp_path: Path, content: bytes | str
) -> None:
    database = tmp_path / ".state" / "mlflow" / "mlflow.db"
    database.parent.mkdir(parents=True)
    if content:
        with closing(sqlite3.connect(database)) as other, other:
            other.execute("CREATE TABLE notes (text)")
    else:
        database.touch()
    before = database.read_bytes()
    with pytest.raises(PipelineError, match=r"mlflow\.db .*no MLflow store.*: restore it, or move"):
        store.client(tmp_path)
    assert database.read_bytes() == before


def test_a_store_that_is_damaged_in_the_middle_is_named_by_whoever_reads_it(
    empty_store: Path, tmp_path: Path
) -> None:
    shutil.copytree(empty_store / ".state", tmp_path / ".state")
    assert store.damage(tmp_path) == []
    overwrite_page(tmp_path / ".state" / "mlflow" / "mlflow.db", "registered_models")
    assert store.damage(tmp_path) != []
    with pytest.raises(PipelineError, match=r"mlflow\.db is damaged .*malformed.*backup"):
        store.client(tmp_path).create_registered_model("new")


@contextmanager
def locked(database: Path, seconds: float) -> Iterator[None]:
    """Another program holds the file, for so long or as long as the block."""
    with closing(sqlite3.connect(database, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        timer = threading.Timer(seconds, other.rollback)
        timer.start()
        yield
        timer.cancel()
        timer.join()


def test_a_locked_file_is_waited_for_and_what_failed_is_repeated(
    empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(empty_store / ".state", tmp_path / ".state")
    database = tmp_path / ".state" / "mlflow" / "mlflow.db"
    with locked(database, 6):  # SQLite itself waits 5 s when MLflow opens it
        client = store.client(tmp_path)
    assert client.search_registered_models() == []

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}?timeout=0.5")
    assert store.tracking_uri(tmp_path).endswith("mlflow.db?timeout=0.5")
    assert store.servable(tmp_path)[1] == store.local_artifacts(tmp_path)
    began = time.monotonic()
    with (
        locked(database, 60),
        pytest.raises(UnreachableError, match="is locked by another program"),
    ):
        store.client(tmp_path)
    assert time.monotonic() - began < 5
    assert store.client(tmp_path).search_registered_models() == []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}?timeout=long")
    with pytest.raises(PipelineError, match="has the timeout 'long': write seconds"):
        store.client(tmp_path)
    assert sqlite_file.PATIENCE_SECONDS + MLFLOW_WAITS < lock.MARGIN_SECONDS
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}?timeout=300")
    with pytest.raises(PipelineError, match="has the timeout '300': .*at most 60, so that a write"):
        store.client(tmp_path)


def test_the_schema_of_an_older_mlflow_is_upgraded_by_a_command_that_keeps_a_copy(
    empty_store: Path,
    tmp_path: Path,
    enter: Callable[[Path], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    shutil.copytree(empty_store / ".state", tmp_path / ".state")
    database = tmp_path / ".state" / "mlflow" / "mlflow.db"
    enter(tmp_path)
    downgrade(database)
    before = sqlite_file.revision(database)
    assert cli.main(["history"]) == 1
    said = capfd.readouterr().err
    assert "was written by an older MLflow" in said
    assert "'resnet upgrade-store' keeps a copy of it" in said
    assert sqlite_file.revision(database) == before  # MLflow would have upgraded it by itself
    assert cli.main(["upgrade-store"]) == 0
    copy = database.with_name(f"mlflow.db.{before}")
    assert f"the former one is {copy}" in capfd.readouterr().out
    assert sqlite_file.revision(copy) == before
    assert store.client(tmp_path).search_registered_models() == []
    assert cli.main(["upgrade-store"]) == 0
    assert "is that of the installed MLflow already" in capfd.readouterr().out

    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(PipelineError, match="was written by a newer MLflow .*install that"):
        store.client(tmp_path)


@pytest.fixture
def database(empty_store: Path, tmp_path: Path) -> Path:
    """A store of its own that a test may damage."""
    copy = tmp_path / "mlflow.db"
    shutil.copy(sqlite_file.local(empty_store), copy)
    return copy


def test_an_error_of_the_disk_or_the_account_is_not_called_damage(
    database: Path,
) -> None:
    with (
        pytest.raises(PipelineError, match=r"cannot be used \(database or disk is full\)") as full,
        sqlite_file.reading(database) as connection,
    ):
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        connection.execute("CREATE TABLE large AS SELECT zeroblob(9999999)")
    database.rename(database.with_name("away.db"))
    database.mkdir()
    with pytest.raises(PipelineError, match="unable to open database file") as closed:
        sqlite_file.damage(database)
    for error in (full, closed):
        assert "move it away" not in str(error.value)
        assert "free some space if its disk is full, else give this account" in str(error.value)


def test_an_upgrade_replaces_no_copy_and_is_not_repeated_by_who_waited(
    database: Path,
) -> None:
    downgrade(database)
    before = sqlite_file.revision(database)
    backup = database.with_name(f"mlflow.db.{before}")
    backup.write_text("the copy of an earlier upgrade")
    with ThreadPoolExecutor() as pool, FileLock(database.with_suffix(".lock")):
        copies = [pool.submit(sqlite_schema.upgrade, database) for _ in range(2)]
    copy = database.with_name(f"mlflow.db.{before}-2")
    assert {future.result() for future in copies} == {copy, None}
    assert backup.read_text() == "the copy of an earlier upgrade"
    assert sqlite_file.revision(copy) == before


def test_an_upgrade_without_space_for_the_copy_says_so_and_changes_nothing(
    database: Path, tmp_path: Path
) -> None:
    downgrade(database)
    before = database.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # bytes per file
    try:
        with pytest.raises(PipelineError, match=r"is as it was: its copy .* was not written \("):
            sqlite_schema.upgrade(database)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert database.read_bytes() == before
    assert list(tmp_path.glob("*mlflow.db.*")) == []


def downgrade(database: Path) -> None:
    """The schema before MLflow's last change of it."""
    engine = utils.create_sqlalchemy_engine(f"sqlite:///{database}")
    config = utils._get_alembic_config(str(engine.url))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.downgrade(config, "-1")
    engine.dispose()


def overwrite_page(database: Path, table: str) -> None:
    """Zeros where a table begins, as a disk that fails may leave them."""
    with closing(sqlite3.connect(database)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = connection.execute(query, (table,)).fetchone()
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))


def test_two_writers_of_one_tag_at_the_same_moment_both_succeed(
    empty_store: Path, tmp_path: Path
) -> None:
    shutil.copytree(empty_store / ".state", tmp_path / ".state")
    run = store.client(tmp_path).create_run(store.experiment(store.client(tmp_path), "shared"))
    together, errors = threading.Barrier(2), []

    def write() -> None:
        client = store.client(tmp_path)
        for number in range(15):
            together.wait()
            try:
                store.set_tag(client, run.info.run_id, f"tag {number}", "done")
            except MlflowException as error:
                errors.append(error)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert errors == []
    tags = store.client(tmp_path).get_run(run.info.run_id).data.tags
    assert [tags[f"tag {number}"] for number in range(15)] == ["done"] * 15
