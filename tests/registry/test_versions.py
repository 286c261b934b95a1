"""The files of registered versions, in a real SQLite store."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnet.errors import PipelineError, UnreachableError
from resnet.registry import artifact_client, store, versions
from resnet.registry.verification import damage
from tests.support import REPOSITORY, unknown_account

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR

Register = Callable[..., int]


def describe(root: Path, name: str, number: int, profile: Any) -> versions.Version:
    """Give a version another profile."""
    client = store.client(root)
    version = versions.resolve(client, name, number)
    client.log_dict(version.run_id, profile, versions.PROFILE_FILE)
    return version


def test_the_newest_profile_is_that_of_the_newest_version_and_empty_without_one(
    made_store: Path, register: Register
) -> None:
    assert versions.newest_profile(made_store, "profiled") == {}
    for source in ("old", "new"):
        describe(made_store, "profiled", register("profiled"), {"source": source})
    assert versions.newest_profile(made_store, "profiled") == {"source": "new"}


def test_the_batches_that_were_added_are_those_of_the_profile(
    made_store: Path, register: Register, tmp_path: Path
) -> None:
    client, number = store.client(made_store), register("extended")
    batches = {"day.npz": {"md5": "a", "images": 1}, "night": {"md5": "b.dir", "images": 2}}
    batches_of = {}
    for form, profile in {"older": {"classes": []}, "newer": {"extra": batches}}.items():
        version = describe(made_store, "extended", number, profile)
        batches_of[form] = versions.added_batches(client, version, tmp_path / form)
    assert batches_of == {"older": {}, "newer": {"day.npz": "a", "night": "b.dir"}}


@pytest.mark.parametrize("extra", [None, ["night"], {"night": "b.dir"}, {"night": {"images": 2}}])
def test_a_profile_that_does_not_name_its_batches_is_refused(
    extra: Any, made_store: Path, register: Register, tmp_path: Path
) -> None:
    number = register("unreadable")
    version = describe(made_store, "unreadable", number, {"extra": extra})
    with pytest.raises(PipelineError, match=r"does not name the batches .* publish the model"):
        versions.added_batches(store.client(made_store), version, tmp_path / "got")


FETCH_TWICE = """
import sys
from pathlib import Path
from resnet.registry import store, versions
root, into = map(Path, sys.argv[1:])
client = store.client(root)
version = versions.resolve(client, "read-only", 1)
for _ in range(2):
    print(versions.fetch(client, version, versions.PROFILE_FILE, into).read_text())
"""


def test_a_read_only_artifact_can_be_fetched_twice_by_others_than_root(
    made_store: Path, register: Register, tmp_path: Path
) -> None:
    number = register("read-only")
    run_id = store.client(made_store).get_model_version("read-only", str(number)).run_id
    profile = store.local_artifacts(made_store) / "read-only" / str(run_id) / "artifacts"
    (profile / versions.PROFILE_FILE).chmod(0o444)
    words = [sys.executable, "-c", FETCH_TWICE, str(made_store), str(tmp_path)]
    done = subprocess.run(
        [*unknown_account(), *words],
        cwd=REPOSITORY,
        env={**os.environ, "USER": "ann"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("classes") == 2


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("no boto3"), MlflowException("404 Client Error", INTERNAL_ERROR)]
)
def test_an_artifact_that_its_store_does_not_return_is_named_and_not_requested_again(
    error: Exception, made_store: Path, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def download_artifacts(self, path: str, into: str) -> str:
            raise error

    version = versions.resolve(store.client(made_store), "broken", register("broken"))
    monkeypatch.setattr(artifact_client, "get_artifact_repository", lambda place, uri: Broken())
    with pytest.raises(PipelineError, match=f"model.keras cannot be read .*{error}") as caught:
        versions.fetch(store.client(made_store), version, versions.MODEL_FILE, made_store)
    assert not isinstance(caught.value, UnreachableError)


def test_the_models_that_there_are_are_named_all_and_without_locks(
    empty_store: Path, tmp_path: Path
) -> None:
    shutil.copytree(empty_store / ".state", tmp_path / ".state")
    client = store.client(tmp_path)
    for name in ("a.lock", f"a.lock.{'0' * 32}", *(f"m{number:03}" for number in range(101))):
        client.create_registered_model(name)
    with pytest.raises(PipelineError, match="no registered model x: --model takes one of m") as one:
        versions.registered_model(client, "x")
    assert str(one.value).endswith(", m099, m100")
    assert ".lock" not in str(one.value)


def test_every_version_is_listed_the_newest_first_whichever_was_changed_last(
    made_store: Path, register: Register
) -> None:
    client = store.client(made_store)
    numbers = [register("ordered") for _ in range(3)]
    client.update_model_version("ordered", "1", "changed last")
    assert [version.number for version in damage.every(client, "ordered")] == numbers[::-1]
