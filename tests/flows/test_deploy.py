"""What `resnet deploy` reads from prefect.yaml; a real server takes it end to end elsewhere."""

import re
from pathlib import Path
from typing import Any

import pytest

from flows import deploy
from flows.deploy import WorkQueue
from resnet.errors import PipelineError
from resnet.system import files
from tests.support import REPOSITORY


def test_each_queue_that_a_deployment_names_is_created_and_one_trains_at_a_time() -> None:
    queues = deploy.work_queues(REPOSITORY)
    assert sorted(queues, key=str) == [
        WorkQueue("resnet", "default", None),
        WorkQueue("resnet", "training", 1),
    ]
    deployments = files.read_yaml(REPOSITORY / "prefect.yaml")["deployments"]
    training = [one for one in deployments if one["entrypoint"].startswith("flows/retrain.py")]
    assert {WorkQueue.of(one["work_pool"]).name for one in training} == {"training"}


def test_the_table_of_deployments_says_what_starts_each() -> None:
    deployments = files.read_yaml(REPOSITORY / "prefect.yaml")["deployments"]
    heading, *rows = deploy.table(deployments)
    assert heading == ("DEPLOYMENT", "QUEUE", "STARTED BY")
    assert ("retrain/weekly", "training", "0 3 * * 1 (UTC)") in rows
    assert ("retrain/on-new-data", "training", "event resnet.data.changed") in rows
    assert ("score/score", "default", "hand") in rows
    assert len(rows) == len(deployments)


def test_the_table_tells_every_kind_of_schedule_and_trigger_that_prefect_takes() -> None:
    schedules: list[dict[str, Any]] = [
        {"cron": "0 3 * * 1"},
        {"interval": 600},
        {"interval": "PT1H"},
        {"rrule": "FREQ=DAILY", "timezone": "Europe/Berlin"},
        {},
    ]
    triggers: list[dict[str, Any]] = [
        {"after": ["resnet.drift"]},
        {"name": "both", "type": "compound", "triggers": []},
        {"type": "metric"},
    ]
    pool = {"name": "resnet", "work_queue_name": "default"}
    spec = {"name": "x", "entrypoint": "a.py:f", "work_pool": pool}
    every: list[dict[str, Any]] = [
        {**spec, "schedules": schedules},
        {**spec, "triggers": triggers},
        {**spec, "schedules": None, "triggers": None},
    ]
    assert [starts for _, _, starts in deploy.table(every)[1:]] == [
        "0 3 * * 1 (UTC), every 600 s, every PT1H, FREQ=DAILY (Europe/Berlin)",
        "any event after resnet.drift, trigger both, a trigger of type metric",
        "hand",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "name: resnet-pipeline",
        "deployments: [{name: weekly}]",
        "deployments: [{name: weekly, work_pool: {name: resnet}}]",
        "deployments: 3",
        "deployments: [",
    ],
)
def test_a_prefect_yaml_without_pools_and_queues_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text(text)
    with pytest.raises(PipelineError, match=r"prefect.yaml does not name a work pool and a queue"):
        deploy.work_queues(tmp_path)


def test_a_type_of_pool_that_no_installed_worker_has_is_refused() -> None:
    assert "command" in deploy.job_template(deploy.DEFAULT_POOL_TYPE)["job_configuration"]
    message = (
        "RESNET_POOL_TYPE is docker, and no installed worker has this type: want one of process"
    )
    with pytest.raises(PipelineError, match=re.escape(message)):
        deploy.job_template("docker")
