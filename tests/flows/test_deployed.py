"""What a deploy leaves as it is on a real server: others' deployments, and what is switched off."""

import shutil
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient

from flows import by_hand, deploy, deployed
from resnet.checkout.identity import identity
from resnet.errors import PipelineError
from resnet.system import files
from tests.support import REPOSITORY

PREFECT_YAML = """
pull:
  - prefect.deployments.steps.set_working_directory: {directory: "{{ $RESNET_ROOT }}"}
deployments:
  - name: promote
    entrypoint: tiny.py:promote
    work_pool: &pool {name: resnet, work_queue_name: default}
  - name: often
    entrypoint: tiny.py:watch_data
    triggers:
      - match: {prefect.resource.id: "resnet.data.*"}
        expect: [resnet.data.changed]
    work_pool: *pool
"""
TINY = """
from prefect import flow

@flow
def promote():
    pass

@flow
def watch_data():
    pass
"""
WATCHER = "watch-data/often"


@pytest.fixture(scope="module")
def tiny(root: Path) -> Path:
    """The checkout with small flows."""
    (root / "prefect.yaml").write_text(PREFECT_YAML)
    (root / "tiny.py").write_text(TINY)
    return root


def switched_on(client: SyncPrefectClient) -> tuple[bool, bool]:
    """Whether the watcher, and the automation that starts it, are."""
    watcher = client.read_deployment_by_name(WATCHER)
    (automation,) = client.read_resource_related_automations(f"prefect.deployment.{watcher.id}")
    return not watcher.paused, automation.enabled


def test_the_deployments_of_an_earlier_release_become_the_checkouts_own_under_their_new_names(
    tiny: Path, client: SyncPrefectClient, tag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [{deployed.PULL_STEP: {"directory": str(tiny)}}]
    for flow, name in (("promote", "by-hand"), ("watch-data", "often")):
        client.create_deployment(client.create_flow_from_name(flow), name, pull_steps=steps)
    deploy.deploy(tiny)
    found = deployed.read(client, ["promote/promote", "promote/by-hand", WATCHER])
    assert list(found) == ["promote/promote", WATCHER]
    assert all(one.tags == [tag] for one in found.values())
    assert "promote/by-hand is now promote/promote" in capsys.readouterr().out
    assert switched_on(client) == (True, True)


def test_what_a_person_has_switched_off_stays_off_and_another_checkouts_is_not_touched(
    tiny: Path, client: SyncPrefectClient, tmp_path: Path
) -> None:
    watcher = client.read_deployment_by_name(WATCHER)
    (automation,) = client.read_resource_related_automations(f"prefect.deployment.{watcher.id}")
    client.pause_deployment(watcher.id)
    client.pause_automation(automation.id)
    deploy.deploy(tiny)
    assert switched_on(client) == (False, False)

    other = shutil.copytree(tiny, tmp_path / "other", ignore=shutil.ignore_patterns("prefect"))
    with pytest.raises(PipelineError) as refused:
        deploy.deploy(other)
    assert str(refused.value).startswith(
        f"promote/promote, {WATCHER} belong to another checkout on this server ({identity(tiny)}), "
        f"and their runs enter {tiny}: deploy there"
    )
    assert deployed.is_own(client.read_deployment_by_name(WATCHER), identity(tiny), "")

    deploy.deploy(other, take_over=True)
    assert deployed.is_own(client.read_deployment_by_name(WATCHER), identity(other), "")
    assert switched_on(client) == (False, False)


def test_the_names_in_prefect_yaml_are_those_of_its_flows_and_each_is_its_own() -> None:
    specs = files.read_yaml(REPOSITORY / "prefect.yaml")["deployments"]
    assert {deployed.full_name(one) for one in specs} == {
        "retrain/weekly",
        "retrain/on-new-data",
        "watch-data/often",
        "promote/promote",
        "rollback/rollback",
        "score/score",
        "monitor/daily",
    }
    assert len({one["name"] for one in specs}) == len(specs)


def test_a_run_is_started_of_a_deployment_that_the_server_has_and_of_no_other(
    tiny: Path, client: SyncPrefectClient
) -> None:
    deploy.deploy(tiny, take_over=True)
    with pytest.raises(
        PipelineError, match=r"no deployment 'watch-data/oftn'; did you mean 'watch-"
    ):
        by_hand.start(tiny, "watch-data/oftn", [])
    assert by_hand.start(tiny, "promote/promote", ["--start-in", "2 hours"]) == 0
    (run,) = client.read_flow_runs()
    assert run.state is not None
    assert run.state.is_scheduled()
