"""The deployments of prefect.yaml on a real server, executed by a real process worker.

What a worker adds nothing to is called: see `call`.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resnet import params
from resnet.registry import links, versions
from resnet.registry.gate import gate
from resnet.registry.promotion import approval

NAME = "generated-resnet"


def test_one_trains_another_waits_and_a_cancelled_one_leaves_its_checkpoint_and_no_training(asked):
    assert asked.waited_for.next == "SCHEDULED"
    assert asked.waited_for.trains == (True, False)
    training = asked.waited_for.training
    assert training.status == "KILLED"
    assert training.reason.startswith(f"training was interrupted after step {training.newest} of ")


def test_a_deployment_runs_to_the_end_and_shows_what_it_does(prefect, asked):
    stages = {"fetch", "ingest", "annotate", "train", "evaluate", "export"}
    assert set(prefect.tasks(asked.run)) == {
        "status",
        *stages,
        "look up",
        "compare data",
        "publish",
        "decide",
        "ask",
        "report",
    }
    assert set(prefect.tasks(asked.run).values()) == {"Completed"}

    log = prefect.logs(asked.run)
    assert any(f"{NAME} version {asked.version} is awaiting approval" in line for line in log)
    assert "> exec python -m resnet train" in log
    assert any(line.startswith("train: 100 % (300 of 300 steps)") for line in log)
    assert any(line.startswith("train: ran in") and "train.seed 0 → 2" in line for line in log)

    assert prefect.artifacts(asked.run)["train-progress"] == 100
    assert f"# {NAME} version {asked.version}" in asked.page
    assert "## The gate: passed" in asked.page
    assert "| accuracy | " in asked.page
    assert f"/runs/{asked.mlflow_run}{links.VIEW})" in asked.page


def test_a_training_that_was_ended_goes_on_in_its_own_mlflow_run(
    checkout, prefect, registry, asked, interrupted
):
    assert any(line.startswith("resuming after step") for line in prefect.logs(asked.run))
    assert not interrupted.training.checkpoints.exists()
    assert (checkout.git("status", "--porcelain"), checkout.report("training")) == interrupted.files
    assert asked.mlflow_run == interrupted.training.mlflow_run
    run = registry.get_run(asked.mlflow_run)
    assert run.info.status == "FINISHED"
    assert run.data.params["train.seed"] == "2"
    assert run.data.metrics["steps"] == 300
    curve = registry.get_metric_history(asked.mlflow_run, "train_loss")
    assert [point.step for point in curve] == sorted({point.step for point in curve})
    assert curve[-1].step == 300
    assert registry.get_model_version(NAME, str(asked.version)).tags["git_dirty"] == "false"
    assert not (checkout.root / ".state" / "runs" / asked.run).exists()


def test_what_passes_the_gate_waits_for_a_person(checkout, registry, asked):
    for text in (asked.message, asked.page, checkout.call("history").stdout):
        assert f"{NAME} version {asked.version} is awaiting approval since" in text
        assert f"resnet approve {asked.version} --model {NAME} --reason" in text
    assert "prefect deployment run promote/promote --params" in asked.page
    assert versions.resolve(registry, NAME, "production").number == asked.production
    assert versions.resolve(registry, NAME, "candidate").number == asked.version


def test_a_run_with_nothing_to_do_tells_of_the_request_and_of_an_alias_that_was_moved_by_hand(
    checkout, prefect, call, registry, asked
):
    registry.set_registered_model_alias(NAME, "production", str(asked.version))
    again = call("retrain", **asked.parameters)
    restored = checkout.call("reconcile").stdout
    run, state = again["id"], again["state"]
    assert again["name"] == f"quick {asked.parameters['overrides'][0]}"
    told = (
        f"production names version {asked.version}, but according to the ledger it should name "
        f"version {asked.production}: changed outside the ledger"
    )
    assert state["name"] == "Up to date"
    assert f"{NAME} version {asked.version} is awaiting approval since" in state["message"]
    assert f"\nwarning: {told}" in state["message"]
    assert f"**Warning**: {told}" in prefect.artifacts(run)["result"]
    assert any(line.startswith(told) for line in prefect.logs(run))
    assert restored.startswith(f"restored: restore {asked.production}")


def test_a_person_answers_by_the_form_and_another_rolls_back(
    checkout, prefect, call, registry, asked
):
    form = prefect.get("deployments/name/promote/promote")["parameter_openapi_schema"]
    assert form["properties"]["action"]["enum"] == ["promote", "approve", "reject"]
    assert all(field["description"] for field in form["properties"].values())
    answer = {"version": asked.version, "action": "approve", "reason": "looked at it"}
    with checkout.start(
        "resnet",
        "start",
        "promote/promote",
        "--params",
        json.dumps(answer),
        "--param",
        "author=ann",
    ) as command:
        assert command.wait() == 0
    (run,) = (one["id"] for one in prefect.runs("promote/promote"))
    prefect.wait(run, "COMPLETED")
    assert versions.resolve(registry, NAME, "production").number == asked.version
    assert "## The gate: passed" in prefect.artifacts(run)["result"]
    done = checkout.call("reject", str(asked.version), "--reason", "too late", check=False)
    assert done.returncode == 1
    assert "was approved on" in done.stderr

    back = str(asked.production)
    run = call("rollback", reason="again", to=back, author="bob")["id"]
    assert prefect.get(f"flow_runs/{run}")["name"] == f"rollback to {back}"
    assert versions.resolve(registry, NAME, "production").number == asked.production
    history = checkout.call("history").stdout
    assert "request (approved)" in history
    assert "ann (through " in history
    (told,) = (line for line in history.splitlines() if f"flow run {run}" in line)
    assert "rollback" in told
    assert "bob (through " in told


def test_what_the_gate_refuses_fails_unless_it_is_forced(checkout, prefect, call, registry, asked):
    before = versions.resolve(registry, NAME, "production").number
    wanted = {"version": str(asked.version), "reason": "a try"}
    with checkout.parameters("gate.size_bytes=1"):
        found = call("promote", ends="FAILED", **wanted)
        refused = f"{NAME} version {asked.version} is refused by the gate"
        assert found["state"]["message"].startswith(refused)
        assert "## The gate: refused" in prefect.artifacts(found["id"])["result"]
        assert versions.resolve(registry, NAME, "production").number == before

        call("promote", **wanted, force=True)
    assert versions.resolve(registry, NAME, "production").number == asked.version


def test_a_request_is_rejected(checkout, call, registry, asked):
    before = versions.resolve(registry, NAME, "production").number
    about = next(number for number in (asked.version, asked.production) if number != before)
    rules = params.load(checkout.root).gate.model_copy(update={"floor": 0.0})
    verdict = gate.judge(checkout.root, NAME, about, rules)
    until = datetime.now(UTC) + timedelta(hours=1)
    decision = approval.ask(checkout.root, verdict, until=until, reason="a test")
    assert decision.request.is_open

    answer = {"version": about, "action": "reject", "reason": "no", "author": "bob"}
    state = call("promote", **answer)["state"]
    assert state["message"].startswith(f"reject {about}, by bob (through ")
    assert versions.resolve(registry, NAME, "production").number == before


def test_a_drifted_batch_leads_to_an_event_and_a_report(
    checkout, prefect, worker, call, registry, tmp_path, wait_for
):
    version = versions.resolve(registry, NAME, "production")
    images = np.load(checkout.root / "data" / "arrays" / "test_images.npy")[:300] // 2
    source, out = tmp_path / "dark.parquet", tmp_path / "dark-out.parquet"
    pd.DataFrame({"image": list(images.reshape(len(images), -1))}).to_parquet(source)

    def events():
        named = {"event": {"name": ["resnet.drift"]}}
        return prefect.post("events/filter", filter=named)["events"]

    few = call("monitor", batches=1)
    assert few["state"]["name"] == "Not enough samples"
    assert prefect.get(f"flow_runs/{few['id']}")["name"] == f"monitor {version.number}"
    assert events() == []

    run = prefect.start("score/score", source=str(source), out=str(out))
    scored = prefect.wait(run, "COMPLETED")
    assert scored["name"] == "score dark.parquet"
    assert f"ecorded in {NAME}-batches" in scored["state"]["message"]
    assert list(pd.read_parquet(out)["version"]) == [version.number] * len(images)

    drifted = call("monitor", batches=1)
    page = prefect.artifacts(drifted["id"])["drift"]
    assert drifted["state"]["name"] == "Drift"
    assert "| brightness | " in page
    (event,) = wait_for(events)
    assert event["resource"]["prefect.resource.id"] == f"resnet.model.{NAME}"
    told = event["payload"]
    assert (told["model"], told["version"], told["images"]) == (NAME, version.number, 300)
    assert told["features"]["brightness"] > 0.3
    assert f"[The report, with pictures]({told['report']})" in page
    report = told["report"].split("/runs/")[1].removesuffix(f"/artifacts/report.html{links.VIEW}")
    html = registry.fetch_artifact(report, "report.html", tmp_path)
    assert "data:image/png;base64" in Path(html).read_text()
    assert registry.get_run(report).data.tags["announced"] == event["id"]

    again = call("monitor", batches=1)
    assert again["state"]["name"] == "Drift"
    # There is nothing new to tell of.
    assert registry.get_run(report).data.tags["announced"] == event["id"]

    words = ["monitor", "--batches", "1", "--out", str(tmp_path / "report.html")]
    done = checkout.call(*words, check=False)
    assert done.returncode == 1
    assert f"report: {told['report']}" in done.stdout
    assert (tmp_path / "report.html").read_text() == Path(html).read_text()


@pytest.mark.parametrize(
    ("deployment", "cron", "at"),
    [
        ("retrain/weekly", "0 3 * * 1", {"weekday": {0}, "hour": {3}, "minute": {0}}),
        ("monitor/daily", "0 6 * * *", {"hour": {6}, "minute": {0}}),
        ("watch-data/often", "*/10 * * * *", {"minute": {0, 10, 20, 30, 40, 50}}),
    ],
)
def test_the_schedules_are_in_utc_and_the_server_plans_by_them(
    prefect, wait_for, deployment, cron, at
):
    found = prefect.get(f"deployments/name/{deployment}")
    (schedule,) = found["schedules"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == (cron, "UTC")
    planned = wait_for(lambda: prefect.runs(deployment, "SCHEDULED"))
    times = [datetime.fromisoformat(run["expected_start_time"]) for run in planned]
    for time in times:
        parts = {"weekday": time.weekday(), "hour": time.hour, "minute": time.minute}
        assert all(parts[name] in wanted for name, wanted in at.items())
