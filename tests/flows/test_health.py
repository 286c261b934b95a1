"""Runs without a process, slots that nobody holds and silent watchers are found, and freed.

All of it on a real Prefect server, with processes that are killed.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    GlobalConcurrencyLimitUpdate,
)
from prefect.client.schemas.objects import State
from prefect.client.schemas.schedules import IntervalSchedule, RRuleSchedule
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Failed, Pending, Running, Scheduled

import flows.server
from flows import health, recent, runs
from resnet.errors import UnreachableError
from resnet.operations import servers
from resnet.system import addresses, file_locks, files
from tests.support import REPOSITORY

ASLEEP = """
import time
from prefect import flow
from prefect.runtime import flow_run
from flows.tasks import enter_checkout

@flow(name="asleep")
def asleep():
    enter_checkout()
    print(flow_run.id, flush=True)
    time.sleep(600)

asleep()
"""


HOLD = """
import sys
from pathlib import Path
from flows import runs
runs.hold(Path(sys.argv[1]), sys.argv[2])
"""


def findings(root: Path) -> str:
    return "\n".join(map(str, health.flow_runs(root)))


def create_run(client: SyncPrefectClient, flow_id: UUID, state: State[Any]) -> str:
    """A flow run of no deployment, as the server knows it while a process executes it."""
    deployment = client.create_deployment(flow_id, f"once-{uuid4()}")
    run = client.create_flow_run_from_deployment(deployment, state=Pending())
    client.set_flow_run_state(run.id, state, force=True)
    return str(run.id)


def test_without_a_server_there_is_nothing_to_look_at_and_nothing_to_free(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("RESNET_PREFECT_PORT", str(addresses.free_port()))
    (finding,) = health.flow_runs(root)
    assert (finding.level, finding.text) == ("ok", "not looked at: no Prefect server is running")
    assert runs.free(root) == []


def test_the_server_is_the_named_one_where_prefect_was_imported_with_another(
    root: Path, client: SyncPrefectClient
) -> None:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert "stopped answering" not in findings(root)


def test_a_run_whose_process_was_killed_is_found_and_freed_and_a_living_one_is_not(
    root: Path, client: SyncPrefectClient, env: dict[str, str]
) -> None:
    words = [sys.executable, "-c", ASLEEP]
    with subprocess.Popen(words, cwd=root, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        found, freed = findings(root), runs.free(root)
        process.kill()
        process.wait()
    assert run_id
    assert run_id not in found
    assert freed == []
    assert f"({run_id}) says Running, but its process is gone" in findings(root)
    assert "run 'resnet reconcile'" in findings(root)

    (line,) = runs.free(root)
    assert line.startswith("freed: flow run ")
    state = client.read_flow_run(UUID(run_id)).state
    assert state is not None
    assert (state.name, state.message) == ("Crashed", runs.GONE)
    assert run_id not in findings(root)
    assert runs.free(root) == []
    assert list((root / ".state" / "flow-runs").iterdir()) == []


def test_a_run_whose_end_never_reached_the_server_is_found_after_its_process_has_ended_cleanly(
    root: Path, client: SyncPrefectClient, flow_id: UUID
) -> None:
    run_id, other = create_run(client, flow_id, Running()), str(uuid4())
    for one in (run_id, other):  # another server's run beside it
        words = [sys.executable, "-c", HOLD, str(root), one]
        subprocess.run(words, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, check=True)
    assert f"({run_id}) says Running, but its process is gone" in findings(root)
    assert len(runs.free(root)) == 1
    locks = root / ".state" / "flow-runs"
    assert [lock.stem for lock in locks.iterdir()] == [other]
    (locks / f"{other}.lock").unlink()


def test_a_run_that_ends_while_its_lock_is_looked_at_and_one_that_is_taken_again_are_not_dead(
    root: Path, client: SyncPrefectClient, flow_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, again = create_run(client, flow_id, Running()), create_run(client, flow_id, Pending())
    for one in (ends, again):
        (root / ".state" / "flow-runs" / f"{one}.lock").touch()
    is_held = file_locks.is_held

    def end_first(lock: Path) -> bool:
        client.set_flow_run_state(UUID(ends), Completed())
        return is_held(lock)

    monkeypatch.setattr(file_locks, "is_held", end_first)
    assert runs.free(root) == []
    assert client.read_flow_run(UUID(ends)).state_name == "Completed"
    assert client.read_flow_run(UUID(again)).state_name == "Pending"
    client.set_flow_run_state(UUID(again), Completed(), force=True)
    runs.free(root)


def test_failed_runs_are_listed_with_their_reasons_and_the_command_that_shows_the_log(
    server: tuple[ExitStack, str], client: SyncPrefectClient, flow_id: UUID
) -> None:
    _, api = server
    states: dict[str, State[Any]] = {
        "watch-9": Running(),
        "by-hand": Failed(message="train: the disk is full\nfree some space"),
        "tomorrow": Scheduled(scheduled_time=datetime.now(UTC) + timedelta(days=1)),
    }
    deployment = client.create_deployment(flow_id, "listed", work_pool_name="resnet")
    ids = []
    for name, state in states.items():
        first = state if state.is_scheduled() else Pending()
        run = client.create_flow_run_from_deployment(deployment, name=name, state=first)
        client.set_flow_run_state(run.id, state, force=True)
        ids.append(run.id)
    every = {one.name: one for one in recent.read(api, failed=False, number=10)}
    assert {"watch-9", "watch: by-hand"} <= every.keys()
    assert "watch: tomorrow" not in every
    times = [one.begun for one in recent.read(api, failed=False, number=10)]
    assert times == sorted(times, reverse=True)
    assert "prefect flow-run logs ID\n" in recent.report(api, failed=False, number=10)
    text = recent.report(api, failed=True, number=1)
    row = next(line for line in text.splitlines() if "watch: by-hand" in line)
    assert row.endswith(f"Failed  {ids[1]}  train: the disk is full")
    assert f"prefect flow-run logs {ids[1]}\n" in text
    assert "watch-9" not in text
    for one in ids:
        client.delete_flow_run(one)
    client.delete_deployment(deployment)


def test_a_run_that_an_ended_worker_had_only_taken_is_freed_unless_it_is_elsewhere_or_a_container(
    root: Path, client: SyncPrefectClient, flow_id: UUID, tag: str
) -> None:
    deployment = client.create_deployment(flow_id, "taken", work_pool_name="resnet", tags=[tag])
    ids = []
    for name, kind in (("ended", "process"), ("elsewhere", "process"), ("ended", "docker")):
        run = client.create_flow_run_from_deployment(deployment, state=Pending())
        client.update_flow_run_labels(run.id, {runs.WORKER_LABEL: name, runs.WORKER_TYPE: kind})
        ids.append(run.id)
    client.send_worker_heartbeat("resnet", "ended")
    with runs.worker(root, "ended"), runs.worker(root, "of-another-server"):
        assert str(ids[0]) not in findings(root)
    assert f"({ids[0]}) says Pending, but its process is gone" in findings(root)
    assert not any(str(one) in findings(root) for one in ids[1:])
    assert len(runs.free(root)) == 1
    states = [client.read_flow_run(one).state_name for one in ids]
    assert states == ["Crashed", "Pending", "Pending"]
    (lock,) = (root / ".state" / "workers").iterdir()
    assert lock.stem == "of-another-server"
    lock.unlink()
    of_worker = {"work_pool_name": "resnet", "name": "ended"}
    client.request(
        "DELETE", "/work_pools/{work_pool_name}/workers/{name}", path_params=of_worker
    )  # it counts as online for a while
    client.delete_deployment(deployment)


def test_a_slot_that_no_run_holds_is_found_and_given_back(
    root: Path, client: SyncPrefectClient, flow_id: UUID, tag: str
) -> None:
    deployment = client.create_deployment(
        flow_id, "one-at-a-time", work_pool_name="resnet", tags=[tag], concurrency_limit=1
    )
    limit = client.read_deployment(deployment).global_concurrency_limit
    assert limit is not None
    client.update_global_concurrency_limit(limit.name, GlobalConcurrencyLimitUpdate(active_slots=1))
    assert "watch/one-at-a-time has 1 slots taken, and 0 runs that hold one" in findings(root)
    assert runs.free(root) == [
        "freed: watch/one-at-a-time had 1 slots taken, and 0 runs that hold one"
    ]
    assert client.read_global_concurrency_limit_by_name(limit.name).active_slots == 0
    assert "slots" not in findings(root)
    client.delete_deployment(deployment)


def test_a_slot_that_a_run_takes_while_somebody_looks_stays_taken(
    root: Path,
    client: SyncPrefectClient,
    flow_id: UUID,
    tag: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deployment = client.create_deployment(
        flow_id, "just-now", work_pool_name="resnet", tags=[tag], concurrency_limit=1
    )
    limit = client.read_deployment(deployment).global_concurrency_limit
    assert limit is not None
    read = runs.deployments

    def take_first(*arguments: Any) -> Any:
        taken = GlobalConcurrencyLimitUpdate(active_slots=1)
        client.update_global_concurrency_limit(limit.name, taken)
        client.create_flow_run_from_deployment(deployment, state=Pending())
        return read(*arguments)

    monkeypatch.setattr(runs, "deployments", take_first)
    assert "just-now has" not in findings(root)
    client.update_global_concurrency_limit(limit.name, GlobalConcurrencyLimitUpdate(active_slots=0))
    for run in runs.unfinished(client):
        if run.deployment_id == deployment:
            client.delete_flow_run(run.id)
    assert runs.free(root) == []
    assert client.read_global_concurrency_limit_by_name(limit.name).active_slots == 1
    client.delete_deployment(deployment)


def test_of_a_pool_that_is_not_on_the_server_yet_there_is_nothing_to_tell(
    root: Path, client: SyncPrefectClient, tmp_path: Path
) -> None:
    text = (root / "prefect.yaml").read_text()
    (tmp_path / "prefect.yaml").write_text(text.replace("name: resnet\n", "name: none-yet\n"))
    (finding,) = health.flow_runs(tmp_path)
    assert finding.level == "ok"
    assert [path.name for path in tmp_path.iterdir()] == ["prefect.yaml"]  # doctor only reads


def test_a_server_that_stops_answering_is_told_as_one(server: tuple[ExitStack, str]) -> None:
    _, api = server
    message = f"Prefect's server at {api} has stopped answering"
    with pytest.raises(UnreachableError, match=message), flows.server.connect(api):
        httpx.get(f"http://127.0.0.1:{addresses.free_port()}/api")


def test_runs_for_which_no_worker_is_there_are_late_and_a_watcher_that_does_not_look_is_an_alarm(
    root: Path, client: SyncPrefectClient, flow_id: UUID, tag: str
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    twice = f"DTSTART:{soon:%Y%m%dT%H%M%S}\nRRULE:FREQ=SECONDLY;COUNT=2"
    schedules = {
        "watcher": IntervalSchedule(interval=timedelta(seconds=1)),
        "hourly": IntervalSchedule(interval=timedelta(hours=1)),
        "twice": RRuleSchedule(rrule=twice),
        "over": RRuleSchedule(rrule="DTSTART:20260101T000000\nRRULE:FREQ=DAILY;COUNT=5"),
    }
    watcher, hourly, *ending = (
        client.create_deployment(
            flow_id,
            name,
            work_pool_name="resnet",
            tags=[tag],
            schedules=[DeploymentScheduleCreate(schedule=schedule)],
        )
        for name, schedule in schedules.items()
    )
    client.create_flow_run_from_deployment(
        hourly, state=Scheduled(scheduled_time=datetime.now(UTC) - timedelta(hours=1))
    )
    late = findings(root)
    assert "1 runs of watch/hourly are late, the first since" in late
    assert "no worker takes them: start 'make worker'" in late

    deadline = time.monotonic() + 30
    while (alarm := "watch/watcher has never run, and its schedule asked for it 3 times") not in (
        found := findings(root)
    ):
        assert time.monotonic() < deadline, found
    assert f"FAIL  flow runs  {alarm}" in found
    assert found.count("FAIL") == 1

    run = client.create_flow_run_from_deployment(watcher)
    client.set_flow_run_state(run.id, Running(), force=True)
    client.pause_deployment(watcher)
    assert "watch/watcher has" not in findings(root)
    for deployment in (watcher, hourly, *ending):
        client.delete_deployment(deployment)


def test_a_worker_that_is_stopped_leaves_no_run_running_and_executes_only_so_many_at_a_time(
    root: Path, client: SyncPrefectClient, env: dict[str, str], tag: str
) -> None:
    here = {"prefect.deployments.steps.set_working_directory": {"directory": str(root)}}
    deployment = client.create_deployment(
        client.create_flow_from_name("nap"),
        "nap",
        work_pool_name="resnet",
        tags=[tag],
        entrypoint="nap.py:nap",
        pull_steps=[here],
    )
    first, second = (
        client.create_flow_run_from_deployment(
            deployment, state=Scheduled(scheduled_time=datetime.now(UTC) - timedelta(seconds=ago))
        ).id
        for ago in (20, 10)
    )

    def stages() -> list[psutil.Process]:
        all_processes = psutil.process_iter(["cmdline"])
        return [one for one in all_processes if (one.info["cmdline"] or [])[-1:] == [str(root)]]

    words = [sys.executable, "-m", "resnet", "worker"]
    log = root / ".state" / "worker.log"
    with log.open("w") as out, subprocess.Popen(words, cwd=root, env=env, stdout=out) as process:
        try:
            deadline = time.monotonic() + 120
            while not stages():
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            waiting = client.read_flow_run(second).state
        finally:
            process.terminate()
            code = process.wait(60)
    assert code == 128 + signal.SIGTERM
    assert stages() == []
    assert waiting is not None
    assert waiting.is_scheduled()
    ended, waits = (client.read_flow_run(one).state for one in (first, second))
    assert ended is not None
    assert ended.is_crashed()
    assert waits is not None
    assert waits.is_scheduled()
    assert list((root / ".state" / "workers").iterdir()) == []
    client.delete_deployment(deployment)


def test_a_slot_that_was_taken_when_the_server_was_killed_is_given_back_when_its_lease_is_over(
    root: Path,
    server: tuple[ExitStack, str],
    client: SyncPrefectClient,
    flow_id: UUID,
    tag: str,
) -> None:
    stack, api = server
    deployment = client.create_deployment(
        flow_id, "often", work_pool_name="resnet", tags=[tag], concurrency_limit=1
    )
    limit = client.read_deployment(deployment).global_concurrency_limit
    assert limit is not None
    client.increment_concurrency_slots_with_lease([limit.name], 1, "concurrency", lease_duration=60)
    port = api.removesuffix("/api").rpartition(":")[2]
    for process in psutil.Process().children(recursive=True):
        if port in process.cmdline():
            process.kill()
    stack.close()
    let_leases_run_out(root / ".state" / "prefect" / "concurrency_leases")
    stack.enter_context(servers.prefect_server(root, int(port)))

    deadline = time.monotonic() + 60
    while client.read_global_concurrency_limit_by_name(limit.name).active_slots:
        assert time.monotonic() < deadline, "the slot is taken for ever"
        time.sleep(0.2)


def let_leases_run_out(folder: Path) -> None:
    """What a minute would do, in which nobody renews them."""
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    index = folder / "expirations.json"
    leases: dict[str, str] = files.read_json(index)
    assert leases
    index.write_text(json.dumps(dict.fromkeys(leases, past)))
    for name in leases:
        lease = folder / f"{name}.json"
        lease.write_text(json.dumps({**files.read_json(lease), "expiration": past}))
