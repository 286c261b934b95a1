"""A checkout that was moved or copied writes into no other one, and 'relocate' makes it whole."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from resnet import cli, params
from resnet.errors import PipelineError
from resnet.operations.doctor import stores
from resnet.registry import relocation, store, versions
from resnet.registry.card import card
from resnet.registry.relocation import relocate
from resnet.registry.tracking.publish import publish
from tests.support import REPOSITORY

NAME = "cifar10-resnet"
HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT * FROM runs").fetchone()
print("open", flush=True)
input()
"""


@pytest.fixture(scope="module")
def original(made_store: Path, register: Callable[..., int]) -> Path:
    """A checkout with one version, and a place with a name that addresses cannot hold as it is."""
    client = store.client(made_store)
    version = versions.resolve(client, NAME, register(NAME))
    client.log_dict(version.run_id, {"classes": []}, "data/profile.json")
    relocate(made_store, copied=True)  # its store is a copy of another one
    return made_store


@pytest.fixture
def checkout(original: Path, tmp_path: Path) -> Path:
    """A checkout with one version, which is nobody else's."""
    root = tmp_path / "first place"
    shutil.copytree(original / ".state", root / ".state")
    relocate(root, copied=True)
    return root


@pytest.fixture
def moved(checkout: Path) -> Path:
    return checkout.rename(checkout.with_name("sécond place, 100 %"))


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def locations(root: Path) -> list[str]:
    """All that the store says of where artifacts are."""
    with closing(sqlite3.connect(root / ".state" / "mlflow" / "mlflow.db")) as database:
        script = "\n".join(database.iterdump())
    return [line for line in script.splitlines() if "/.state/mlflow/artifacts" in line]


def test_a_moved_checkout_makes_no_folder_anew(checkout: Path, moved: Path) -> None:
    with pytest.raises(PipelineError, match="not in this checkout: .*'resnet relocate'"):
        card.make(moved, NAME, 1)
    with pytest.raises(PipelineError, match="'resnet relocate'"):
        store.experiment(store.client(moved), NAME)
    (finding,) = stores.artifacts(moved)
    assert finding.level == "fail"
    assert f"artifacts in {store.local_artifacts(checkout)}, which is not" in finding.text
    assert not checkout.exists()


def test_a_copied_checkout_writes_nothing_into_the_original(
    checkout: Path, tmp_path: Path, parameters: params.Params
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(checkout, copy)
    client = store.client(copy)
    run_id = versions.resolve(client, NAME, 1).run_id
    before = contents(checkout)
    for write in (
        lambda: card.make(copy, NAME, 1),
        lambda: client.log_text(run_id, "mine", "note.txt"),
        lambda: client.log_artifacts(run_id, str(REPOSITORY / "presets")),
        lambda: publish(parameters, copy),
    ):
        with pytest.raises(PipelineError, match="'resnet relocate'"):
            write()
    assert contents(checkout) == before


def test_a_card_is_not_written_into_a_folder_that_is_gone(checkout: Path) -> None:
    run_id = versions.resolve(store.client(checkout), NAME, 1).run_id
    folder = store.local_artifacts(checkout) / NAME / run_id
    shutil.rmtree(folder)
    with pytest.raises(PipelineError, match="are not there, and are not made anew"):
        card.make(checkout, NAME, 1)
    assert not folder.exists()


def test_a_relocated_store_names_its_own_artifacts_everywhere(
    checkout: Path, moved: Path, tmp_path: Path
) -> None:
    client = store.client(moved)
    run = client.get_run(versions.resolve(client, NAME, 1).run_id).info
    model = client.create_logged_model(run.experiment_id, name="model", source_run_id=run.run_id)
    path = store.local_artifacts(checkout) / NAME
    with closing(sqlite3.connect(moved / ".state" / "mlflow" / "mlflow.db")) as database, database:
        named = "UPDATE model_versions SET source = ?, storage_location = ?"
        database.execute(named, (str(path), path.as_uri()))
    before = locations(moved)
    done = relocate(moved)
    home = store.local_artifacts(moved)
    assert str(done).startswith(f"{done.changed} records that named {path.parent} name {home} now")
    assert not any("first" in line for line in locations(moved))
    assert len(locations(moved)) == len(before)
    assert client.get_logged_model(model.model_id).artifact_location.startswith(home.as_uri())
    assert client.get_model_version(NAME, "1").source == str(home / NAME)
    assert versions.download(store.client(moved), versions.resolve(client, NAME, 1), tmp_path)
    assert card.make(moved, NAME, 1).address.startswith(home.as_uri())
    assert done.backup is not None
    shutil.copy(done.backup, moved / ".state" / "mlflow" / "mlflow.db")
    assert locations(moved) == before
    assert not checkout.exists()


def test_a_copy_is_told_both_choices_and_becomes_a_registry_of_its_own(
    checkout: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(checkout, copy)
    with pytest.raises(PipelineError, match="'resnet relocate --copied'.*If it was moved"):
        relocate(copy)
    before = contents(checkout)
    assert relocate(copy, copied=True).backup
    card.make(copy, NAME, 1)
    assert contents(checkout) == before
    assert (relocate(copy).changed, relocation.former_folders(copy)) == (0, [])


def test_a_store_that_a_link_leads_to_is_the_checkouts_own(checkout: Path) -> None:
    away = checkout.with_name("a large disk")
    (checkout / ".state").rename(away)
    (checkout / ".state").symlink_to(away)
    assert (stores.artifacts(checkout)[0].level, relocation.former_folders(checkout)) == ("ok", [])
    assert card.make(checkout, NAME, 1).address
    store.experiment(store.client(checkout), NAME)
    before = {path.relative_to(away) for path in contents(away)}
    done = relocate(checkout)
    assert str(done).endswith(f"the store as it was before is {done.backup}")
    assert before <= {path.relative_to(away) for path in contents(away)}
    assert locations(checkout) == []  # none is named by the link any more
    assert relocate(checkout).changed == 0


def test_nothing_is_changed_while_a_process_uses_the_store(moved: Path) -> None:
    database = moved / ".state" / "mlflow" / "mlflow.db"
    before = locations(moved)
    command = [sys.executable, "-c", HOLD, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == b"open\n"
        with pytest.raises(PipelineError, match=rf"is used by process {user.pid} \("):
            relocate(moved)
        user.communicate()
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(PipelineError, match="is in use"):
            relocate(moved)
    assert locations(moved) == before


def test_a_store_without_its_artifacts_stays_as_it_is(moved: Path) -> None:
    shutil.rmtree(store.local_artifacts(moved))
    with pytest.raises(PipelineError, match="has the artifacts of none of the 1 versions"):
        relocate(moved)


def test_the_command_relocates_once(
    moved: Path, enter: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, moved)
    enter(moved)
    assert cli.main(["relocate"]) == 0
    assert "; the store as it was before is " in capsys.readouterr().out
    assert cli.main(["relocate"]) == 0
    assert capsys.readouterr().out.startswith("nothing to relocate: ")
    shutil.rmtree(moved / ".state" / "mlflow")
    assert cli.main(["relocate"]) == 1
    assert "nothing is registered in this checkout yet" in capsys.readouterr().err
