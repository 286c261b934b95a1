"""What nothing references is found and removed; the rest stays, to the last cache entry."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from filelock import FileLock

from resnet import cli
from resnet.checkout import checkpoint_folders, dvc_cache, dvc_gc, dvc_settings
from resnet.errors import PipelineError
from resnet.operations.prune import Item, as_text, left_alone, prune
from resnet.registry import store, unreferenced, versions
from resnet.registry.ledger import ledger, lock
from resnet.registry.ledger.event import Event
from resnet.system import processes
from tests.support import REPOSITORY, git

NAME = "cifar10-resnet"


def kinds(items: list[Item]) -> list[str]:
    return [item.kind for item in items]


@pytest.fixture
def checkout(empty_store: Path, tmp_path: Path) -> Path:
    """A git checkout with an empty store, DVC's settings and one output in a commit."""
    shutil.copytree(empty_store / ".state", tmp_path / ".state")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (tmp_path / ".gitignore").write_text("/.state/\n/.dvc/cache\n/.dvc/tmp\n")
    committed = {"outs": [{"md5": keep(tmp_path, "committed"), "hash": "md5", "path": "file"}]}
    (tmp_path / "file.dvc").write_text(yaml.safe_dump(committed))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "One")
    (tmp_path / "file.dvc").unlink()  # only a commit needs it now
    return tmp_path


def keep(root: Path, content: str) -> str:
    """Put a file into DVC's cache; its md5."""
    path = root / "draft"
    path.write_text(content)
    md5 = dvc_cache.digest(path)
    place = dvc_cache.place(root / ".dvc" / "cache", md5)
    place.parent.mkdir(parents=True, exist_ok=True)
    path.rename(place)
    return md5


def keep_folder(root: Path, **contents: str) -> str:
    """Put a folder into DVC's cache; its md5."""
    parts = [{"md5": keep(root, text), "relpath": name} for name, text in sorted(contents.items())]
    folder = root / "draft-folder"
    folder.mkdir()
    for name, text in contents.items():
        (folder / name).write_text(text)
    md5 = dvc_cache.digest(folder)
    shutil.rmtree(folder)
    place = dvc_cache.place(root / ".dvc" / "cache", md5)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(parts))
    return md5


def in_cache(root: Path) -> set[str]:
    """The contents of the files in DVC's cache, without listings."""
    files = (root / ".dvc" / "cache").glob("files/md5/*/*")
    return {path.read_text() for path in files if path.suffix != dvc_cache.FOLDER}


@pytest.fixture
def version(checkout: Path, tmp_path: Path) -> Callable[..., int]:
    """Register a version as publish does, whose dvc.lock names a folder with one file in it."""
    client = store.client(checkout)

    def one(
        name: str = NAME,
        data: str | None = None,
        extra: Mapping[str, str] | None = None,
        **tags: str,
    ) -> int:
        number = len(client.search_model_versions(f"name = '{name}'")) + 1
        run = client.create_run(store.experiment(client, name)).info.run_id
        md5 = keep_folder(checkout, x=data or f"{name} {number}")
        outs = [{"path": "data/arrays", "md5": md5}]
        text = yaml.safe_dump({"stages": {"ingest": {"outs": outs}}})
        client.log_text(run, text, "recipe/dvc.lock")
        batches = {name: {"md5": md5, "images": 1} for name, md5 in (extra or {}).items()}
        client.log_dict(run, {"extra": batches}, "data/profile.json")
        client.set_terminated(run)
        if number == 1:
            client.create_registered_model(name)
        registered = client.create_model_version(
            name, f"runs:/{run}/m", run, tags={"data_hash": md5, **tags}
        )
        return int(registered.version)

    return one


def happened(client: Any, number: int) -> None:
    """An event of the ledger about a version."""
    event = Event("refuse", NAME, number, moves={}, who="ann@host", reason="too slow")
    ledger.finish(client, ledger.begin(client, event))


def test_versions_that_an_alias_an_event_or_a_tag_references_stay_and_the_others_go(
    checkout: Path, version: Callable[..., int]
) -> None:
    client = store.client(checkout)
    for _ in range(3):
        version()
    version(keep="the paper's")
    other = version("generated-resnet")
    client.set_registered_model_alias(NAME, "production", "1")
    happened(client, 2)
    keep(checkout, "nobody's")
    keep(checkout, f"{NAME} 3")
    before = in_cache(checkout)

    planned = prune(checkout, NAME, 0, delete=False)
    assert kinds(planned) == ["version", "run", "DVC's cache"]
    assert planned[0].text.startswith(f"{NAME} version 3, registered 20")
    assert planned[2].text == "3 entries"  # a listing, its file, and nobody's
    assert in_cache(checkout) == before
    assert len(client.search_model_versions(f"name = '{NAME}'")) == 4

    assert prune(checkout, NAME, 0, delete=True) == planned
    left = {int(one.version) for one in client.search_model_versions(f"name = '{NAME}'")}
    assert left == {1, 2, 4}
    assert len(client.search_model_versions("name = 'generated-resnet'")) == other
    stays = {"committed", f"{NAME} 1", f"{NAME} 2", f"{NAME} 4", "generated-resnet 1"}
    assert in_cache(checkout) == stays
    assert len(client.search_runs([store.experiment(client, NAME)])) == 3
    assert prune(checkout, NAME, 0, delete=True) == []


def test_a_version_that_says_what_it_needs_is_asked_for_no_file(
    checkout: Path, version: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, fetched = store.client(checkout), []
    batches = {f"batch-{k}": f"{k:032x}" for k in range(200)}  # more than a tag holds
    for number in (version(), version(extra=batches), version(extra={"b": "e" * 32})):
        client.set_registered_model_alias(NAME, f"held-{number}", str(number))
    fetch = store.Client.fetch_artifact

    def counted(self: Any, run_id: str, path: str, into: Path) -> Path:
        fetched.append((run_id, path))
        return fetch(self, run_id, path, into)

    monkeypatch.setattr(store.Client, "fetch_artifact", counted)

    def needed() -> tuple[set[str], int]:
        fetched.clear()
        into = checkout / "downloads"
        found = unreferenced.find(client, NAME, datetime.now(UTC), ())
        return unreferenced.needed(client, found, into), len(fetched)

    md5s, files = needed()
    assert files == 6  # two of each version, of an earlier release
    assert {*batches.values(), "e" * 32} < md5s
    for number in (1, 2):
        unreferenced.record_needed(client, versions.resolve(client, NAME, number))
    assert needed() == (md5s, 2)
    unreferenced.record_needed(client, versions.resolve(client, NAME, 3))
    assert needed() == (md5s, 0)
    unreferenced.record_needed(client, versions.resolve(client, NAME, 3))
    assert fetched == []
    client.delete_model_version_tag(NAME, "2", f"{unreferenced.NEEDS}.1")
    assert needed() == (md5s, 2)
    client.set_model_version_tag(NAME, "1", unreferenced.NEEDS, "0 ")
    assert needed() == (md5s, 4)


def test_runs_of_no_version_go_unless_their_training_lives_or_can_resume(checkout: Path) -> None:
    client = store.client(checkout)
    experiment = store.experiment(client, NAME)

    def run(status: str, **tags: str) -> str:
        run_id = str(client.create_run(experiment, tags=tags, run_name="resnet-8").info.run_id)
        if status != "RUNNING":
            client.set_terminated(run_id, status)
        return run_id

    killed, failed = run("KILLED"), run("FAILED")
    client.log_text(failed, "x" * 1000, "training/history.csv")
    dead = run("RUNNING", trainer=processes.identity().replace(f" {os.getpid()} ", " 999999999 "))
    run("RUNNING", trainer=processes.identity())
    run("RUNNING")  # on a host that does not say who trains
    run("FAILED", keep="to show")
    resumed = run("KILLED")
    note = checkpoint_folders.run_id_file(checkpoint_folders.home(checkout) / "abc")
    note.parent.mkdir(parents=True)
    note.write_text(resumed)
    with FileLock(note.parent.with_suffix(".lock")):
        found = prune(checkout, NAME, 0, delete=True)
    assert {item.text.split()[1].rstrip(",") for item in found} == {killed, failed, dead}
    assert sum(item.size for item in found) == 1000
    assert {one.info.run_id for one in client.search_runs([experiment])}.isdisjoint(
        {killed, failed, dead}
    )
    assert len(client.search_runs([experiment])) == 4


def test_what_is_newer_than_the_given_days_stays(
    checkout: Path, version: Callable[..., int]
) -> None:
    version()
    (checkpoint_folders.home(checkout) / "abc").mkdir(parents=True)
    (checkout / ".state" / "runs" / "failed").mkdir(parents=True)
    assert prune(checkout, NAME, 7, delete=True) == []
    assert "committed" in in_cache(checkout)
    assert f"{NAME} 1" in in_cache(checkout)


def test_what_came_into_the_cache_since_stays_however_old_its_file_is(checkout: Path) -> None:
    images = checkout / "images"
    images.mkdir()
    for name in ("a", "b"):
        (images / name).write_text(f"image {name}")
        os.utime(images / name, (0, 0))
    dvc = partial(subprocess.run, cwd=checkout, check=True)
    dvc([sys.executable, "-m", "dvc", "add", "--quiet", "images"])
    (checkout / "images.dvc").unlink()  # nothing names it now
    keep(checkout, "nobody's")
    everything = in_cache(checkout)
    assert prune(checkout, NAME, 7, delete=True) == []
    assert in_cache(checkout) == everything == {"committed", "image a", "image b", "nobody's"}
    prune(checkout, NAME, 0, delete=True)
    assert in_cache(checkout) == {"committed"}


def test_a_cache_that_other_projects_may_share_is_left_alone(
    checkout: Path,
    version: Callable[..., int],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As DVC's documentation sets one up for a team: each project names it, here the user does."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(home))
    (home / "config").write_text(f"[cache]\n    dir = {home}/team\n")
    version()
    others = keep(checkout, "another project's")
    (checkout / ".dvc" / "cache").rename(home / "team")
    before = sorted((home / "team").rglob("*"))

    assert kinds(prune(checkout, NAME, 0, delete=True)) == ["version", "run"]
    assert sorted((home / "team").rglob("*")) == before
    assert dvc_cache.place(home / "team", others).exists()
    assert f"{home}/team is not this checkout's own" in (left_alone(checkout) or "")
    with pytest.raises(PipelineError, match="nothing is removed there"):
        dvc_gc.remove(checkout, [], time.time())


def test_abandoned_checkpoints_and_trees_go_and_the_data_of_younger_trees_stay(
    checkout: Path,
) -> None:
    state = checkout / ".state"
    for name, days in (("runs/old", 8), ("runs/new", 0), ("checkpoints/old", 8)):
        (state / name).mkdir(parents=True)
        if name.startswith("runs"):
            outs = [{"path": "model", "md5": keep(checkout, name)}]
            lock = yaml.safe_dump({"stages": {"train": {"outs": outs}}})
            (state / name / "dvc.lock").write_text(lock)
        else:
            (state / name / "1.npz").write_text("weights")
        for path in (*(state / name).iterdir(), state / name):
            age = path.stat().st_mtime - days * 24 * 3600
            os.utime(path, (age, age))
    assert kinds(prune(checkout, NAME, 7, delete=True)) == ["checkpoints", "tree"]
    assert [path.name for path in (state / "runs").iterdir() if path.is_dir()] == ["new"]
    assert list((state / "checkpoints").iterdir()) == []
    (removed,) = dvc_gc.unneeded(checkout, [keep(checkout, "runs/new")], time.time())
    assert removed.read_text() == "runs/old"


def test_a_run_in_progress_in_a_tree_of_its_own_is_waited_for(checkout: Path) -> None:
    (checkout / ".state" / "runs" / "now").mkdir(parents=True)
    with (
        FileLock(checkout / ".state" / "runs" / "now.lock"),
        pytest.raises(PipelineError, match="a run is in progress in .*now"),
    ):
        prune(checkout, NAME, 0, delete=True)


def test_a_batch_stays_as_a_version_that_stays_was_trained_on_it(
    checkout: Path, version: Callable[..., int]
) -> None:
    day, night = keep(checkout, "day.npz"), keep_folder(checkout, a="night a", b="night b")
    edited = keep(checkout, "day.npz, edited")
    version(extra={"day.npz": day, "night": night}, keep="yes")
    version(extra={"day.npz": edited})
    elsewhere = f"{'e' * 32}.dir"  # in no cache here, maybe in a remote
    version(extra={"dusk": elsewhere}, keep="yes")
    prune(checkout, NAME, 0, delete=True)
    batches = {"day.npz", "night a", "night b"}
    assert in_cache(checkout) == {"committed", f"{NAME} 1", f"{NAME} 3", *batches}
    assert dvc_cache.place(checkout / ".dvc" / "cache", night).exists()


@pytest.mark.parametrize("artifact", ["recipe/dvc.lock", "data/profile.json"])
def test_nothing_goes_where_a_version_that_stays_does_not_say_what_it_needs(
    checkout: Path, version: Callable[..., int], artifact: str
) -> None:
    client = store.client(checkout)
    version()
    version(keep="yes")
    run = versions.resolve(client, NAME, 2).run_id
    (store.local_artifacts(checkout) / NAME / run / "artifacts" / artifact).unlink()
    before = in_cache(checkout)
    with pytest.raises(PipelineError, match=f"{artifact} cannot be read"):
        prune(checkout, NAME, 0, delete=True)
    assert in_cache(checkout) == before
    assert int(client.get_model_version(NAME, "1").version) == 1


def test_nothing_is_listed_or_goes_where_the_ledger_is_broken(
    checkout: Path, version: Callable[..., int]
) -> None:
    client = store.client(checkout)
    version()
    happened(client, 1)
    happened(client, 1)
    client.delete_run(ledger.events(client, NAME)[0].id)
    for delete in (False, True):
        with pytest.raises(PipelineError, match="is not intact: event 0 is missing"):
            prune(checkout, NAME, 0, delete=delete)
    assert int(client.get_model_version(NAME, "1").version) == 1


class Meddled:
    """A client of MLflow, beside which something happens as soon as the lock is taken."""

    def __init__(self, client: Any, happens: Callable[[Any], None]) -> None:
        self._client, self._happens = client, happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def create_registered_model(self, name: str, *words: Any) -> Any:
        model = self._client.create_registered_model(name, *words)
        self._happens(self._client)
        return model


REFERENCES: dict[str, Callable[[Any], None]] = {
    "an alias": lambda client: client.set_registered_model_alias(NAME, "candidate", "3"),
    "an event": lambda client: happened(client, 3),
    "a tag": lambda client: client.set_model_version_tag(NAME, "3", "keep", "yes"),
}


@pytest.mark.parametrize("by", REFERENCES)
def test_a_version_that_is_referenced_while_prune_runs_stays(
    checkout: Path,
    version: Callable[..., int],
    by: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = store.client(checkout)
    for _ in range(4):
        version()
    happened(client, 1)
    before = in_cache(checkout)
    meddled = Meddled(client, REFERENCES[by])
    monkeypatch.setattr(store, "client", lambda root: meddled)
    with pytest.raises(PipelineError, match="version 3 is referenced now"):
        prune(checkout, NAME, 0, delete=True)
    left = client.search_model_versions(f"name = '{NAME}'")
    assert {int(one.version) for one in left} == {1, 2, 3}  # the newest goes first
    assert in_cache(checkout) == before
    assert lock.Holder.read(client, NAME) is None


def test_a_run_that_is_published_while_prune_is_at_work_stays(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run of a training that has ended: with `publish` it is in progress again."""
    client = store.client(checkout)
    run = client.create_run(store.experiment(client, NAME)).info.run_id
    client.set_terminated(run)
    meddled = Meddled(client, lambda client: client.update_run(run, "RUNNING"))
    monkeypatch.setattr(store, "client", lambda root: meddled)
    with pytest.raises(PipelineError, match=f"run {run} is referenced now"):
        prune(checkout, NAME, 0, delete=True)
    assert client.get_run(run).info.lifecycle_stage == "active"


def test_no_data_go_where_a_version_was_registered_while_prune_was_at_work(
    checkout: Path, version: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another model: nobody else registers one of a model whose lock is held."""
    client = store.client(checkout)
    version()
    before = in_cache(checkout)
    models: list[str] = []

    def register(client: Any) -> None:
        if not models:  # `version` registers a model, too
            models.append("generated-resnet")
            version("generated-resnet", data=f"{NAME} 1")

    meddled = Meddled(client, register)
    monkeypatch.setattr(store, "client", lambda root: meddled)
    with pytest.raises(
        PipelineError, match="generated-resnet version 1 was registered while this ran"
    ):
        prune(checkout, NAME, 0, delete=True)
    assert in_cache(checkout) >= before
    assert lock.Holder.read(client, NAME) is None


def test_what_takes_long_is_done_before_the_lock_is_taken(
    checkout: Path, version: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, real, seen = store.client(checkout), dvc_gc.unneeded, []
    version()

    def unneeded(*words: Any) -> list[Path]:
        seen.append(lock.Holder.read(client, NAME))
        return real(*words)

    monkeypatch.setattr(dvc_gc, "unneeded", unneeded)
    assert kinds(prune(checkout, NAME, 0, delete=True)) == ["version", "run", "DVC's cache"]
    assert seen == [None]


class Death:
    """Kills its process when it has stepped `steps` times."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def step(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    def before(self, action: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*words: Any, **more: Any) -> Any:
            self.step()
            return action(*words, **more)

        return stepping


class Mortal:
    """A client of MLflow each of whose writes is a step towards death."""

    def __init__(self, client: Any, death: Death) -> None:
        self._client, self._death = client, death

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        writes = name.startswith(("create_", "set_", "delete_", "rename_"))
        return self._death.before(found) if writes else found


def prune_until(root: Path, death: Death) -> None:
    """Prune in a process of its own, which dies before a write or half through a folder."""
    client, rmtree = store.client(root), shutil.rmtree

    def by_steps(path: Path, *words: Any, **more: Any) -> None:
        if (root / ".state") in Path(path).parents:
            (Path(path) / "1").unlink(missing_ok=True)
            death.step()
        rmtree(path, *words, **more)

    mortal: Any = Mortal(client, death)
    store.client = lambda root: mortal
    shutil.rmtree = cast(Any, by_steps)
    dvc_gc.remove = death.before(dvc_gc.remove)
    prune(root, NAME, 0, delete=True)


def test_a_prune_that_is_killed_anywhere_is_finished_by_the_next(
    checkout: Path,
    version: Callable[..., int],
    fork: Callable[[Callable[[], object]], int],
    wait: Callable[[int], int],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = store.client(checkout)
    for _ in range(3):
        version()
    client.set_registered_model_alias(NAME, "production", "1")
    happened(client, 2)
    experiment = store.experiment(client, NAME)
    run = client.get_model_version(NAME, "3").run_id
    client.create_logged_model(experiment, name="model", source_run_id=run)
    for folder in ("checkpoints/abc", "runs/failed"):
        (checkout / ".state" / folder).mkdir(parents=True)
        for name in ("1", "2"):
            (checkout / ".state" / folder / name).write_text(name)
    collected: list[Path] = []  # DVC takes seconds a time: see the tests above
    monkeypatch.setattr(dvc_gc, "unneeded", lambda root, md5s, before: [])
    monkeypatch.setattr(dvc_gc, "remove", lambda root, md5s, before: collected.append(root))
    monkeypatch.setattr(dvc_settings, "shares_cache", lambda root: False)

    steps, code = 0, -signal.SIGKILL
    while code:
        root = tmp_path_factory.mktemp("killed") / "checkout"
        shutil.copytree(checkout, root)
        code = wait(fork(partial(prune_until, root, Death(steps))))
        assert code in (0, -signal.SIGKILL)
        found = store.client(root)
        assert int(found.get_model_version_by_alias(NAME, "production").version) == 1
        prune(root, NAME, 0, delete=True)
        left = {int(one.version) for one in found.search_model_versions(f"name = '{NAME}'")}
        assert left == {1, 2}
        runs = {one.info.run_id for one in found.search_runs([experiment])}
        assert runs == {found.get_model_version(NAME, str(number)).run_id for number in left}
        assert list(found.search_logged_models([experiment])) == []
        assert [path.name for path in (root / ".state/checkpoints").iterdir()] == []
        assert [path for path in (root / ".state/runs").iterdir() if path.is_dir()] == []
        assert collected.pop() == root
        holder = lock.Holder.read(found, NAME)
        assert holder is None or holder.is_over  # whoever moves next takes it away
        shutil.rmtree(root)
        steps += 1
    assert steps >= 9


def test_the_remote_keeps_all_that_it_has(checkout: Path, version: Callable[..., int]) -> None:
    version()
    remote = checkout / ".state" / "remote"
    shutil.copytree(checkout / ".dvc" / "cache", remote)
    settings = "[core]\n    remote = r\n['remote \"r\"']\n    url = ../.state/remote\n"
    (checkout / ".dvc" / "config.local").write_text(settings)
    prune(checkout, NAME, 0, delete=True)
    assert in_cache(checkout) == {"committed"}
    assert len(list(remote.glob("files/md5/*/*"))) == 3


def test_the_command_only_lists_without_delete(
    checkout: Path,
    version: Callable[..., int],
    enter: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, checkout / name)
    enter(checkout)
    version()
    before = in_cache(checkout)
    assert cli.main(["prune", "--days", "0"]) == 0
    output = capsys.readouterr().out
    assert output.startswith(f"version     {NAME} version 1, registered 20")
    assert output.endswith("nothing was removed: 'resnet prune --delete' removes it\n")
    assert in_cache(checkout) == before
    assert int(store.client(checkout).get_model_version(NAME, "1").version) == 1
    for days in ("nan", "1e12", "-1"):
        assert cli.main(["prune", "--days", days, "--delete"]) == 1
        assert "want a number from 0 to 36500" in capsys.readouterr().err


def test_the_list_says_how_large_things_are_and_what_became_of_them() -> None:
    items = [Item("version", "resnet version 3", 0), Item("run", "abc", 1_500_000)]
    text = as_text(items, deleted=False)
    assert text.splitlines()[:2] == ["version     resnet version 3", "run         abc, 1.5 MB"]
    assert "1.5 MB; nothing was removed: 'resnet prune --delete' removes it" in text
    assert "removed, 1.5 MB" in as_text(items, deleted=True)
    assert (
        as_text([], deleted=True)
        == "nothing to remove: everything is referenced or newer than the limit"
    )
