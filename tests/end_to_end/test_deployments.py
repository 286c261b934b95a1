"""The deployments of prefect.yaml on a real server, executed by a real process worker."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from resnet import params
from resnet.registry import approval, gate, store, versions

NAME = "generated-resnet"
LONG = ["train.steps=100000"]


def test_a_deployment_runs_to_the_end_and_shows_what_it_does(
    checkout, prefect, worker, first_run, wait_for
):
    run = prefect.start("retrain/weekly", preset="quick", overrides=["train.steps=50"])
    found = prefect.wait(run, "COMPLETED")
    client = store.client(checkout.root)
    version = versions.latest(client, NAME)
    assert f"{NAME} version {version.number}" in found["state"]["message"]
    assert client.get_run(version.run_id).data.params["train.steps"] == "50"

    stages = {"fetch", "ingest", "annotate", "train", "evaluate"}
    assert set(prefect.tasks(run)) == {
        "status",
        *stages,
        "look up",
        "compare data",
        "publish",
        "decide",
        "promote",
        "report",
    }
    assert set(prefect.tasks(run).values()) == {"Completed"}

    log = wait_for(
        lambda: (
            (lines := prefect.logs(run))
            and any("now in" in e or "refused" in e for e in lines)
            and lines
        )
    )
    assert "> exec python -m resnet train" in log
    assert any(line.startswith("train: 100 % (50 of 50 steps)") for line in log)
    assert any(line.startswith("train: ran in") and "train.steps 60 → 50" in line for line in log)

    artifacts = prefect.artifacts(run)
    assert artifacts["train-progress"] == 100
    assert f"# {NAME} version {version.number}" in artifacts["result"]
    assert "## The gate: " in artifacts["result"]
    assert "| accuracy | " in artifacts["result"]
    assert f"/runs/{version.run_id})" in artifacts["result"]


def test_one_trains_the_others_wait_and_a_cancelled_one_leaves_nothing(
    checkout, prefect, worker, first_run, wait_for
):
    one = prefect.start("retrain/weekly", overrides=LONG)
    prefect.wait(one, "RUNNING")
    other = prefect.start("retrain/weekly", overrides=[*LONG, "train.seed=2"])
    wait_for(lambda: checkout.training())
    assert prefect.get(f"flow_runs/{other}")["state_type"] == "SCHEDULED"

    prefect.post(f"flow_runs/{one}/set_state", state={"type": "CANCELLING"})
    prefect.wait(one, "CANCELLED")
    assert not any(one in (process.info["cwd"] or "") for process in checkout.training())

    prefect.wait(other, "RUNNING")
    wait_for(lambda: checkout.training())
    wait_for(lambda: checkout.checkpoints("mlflow-run"))  # at its first step
    prefect.post(f"flow_runs/{other}/set_state", state={"type": "CANCELLING"})
    prefect.wait(other, "CANCELLED")
    wait_for(lambda: not checkout.training(), seconds=30)
    assert checkout.checkpoints("*.npz")


def test_the_other_deployments_score_promote_and_roll_back(
    checkout, prefect, worker, first_run, tmp_path
):
    client = store.client(checkout.root)
    before = versions.resolve(client, NAME, "production").number
    after = versions.latest(client, NAME).number
    if before == after:
        after = 1
    run = prefect.start("promote/by-hand", version=str(after), reason="by hand", force=True)
    prefect.wait(run, "COMPLETED")
    assert versions.resolve(client, NAME, "production").number == after
    assert "## The gate: " in prefect.artifacts(run)["result"]

    run = prefect.start("rollback/by-hand", reason="again", to=str(before), author="ann")
    prefect.wait(run, "COMPLETED")
    assert versions.resolve(client, NAME, "production").number == before
    (told,) = (
        line
        for line in checkout.run("resnet", "history").stdout.splitlines()
        if f"flow run {run}" in line
    )
    assert "rollback" in told
    assert "ann (through " in told

    run = prefect.start("promote/by-hand", version="99", reason="a mistake")
    found = prefect.wait(run, "FAILED")
    assert "has no version '99'" in found["state"]["message"]
    assert not any("Traceback" in line for line in prefect.logs(run))

    run = prefect.start(
        "promote/by-hand", version=after, reason="both", action="approve", force=True
    )
    found = prefect.wait(run, "FAILED")
    assert "force goes with promote, and the action is approve" in found["state"]["message"]

    with checkout.parameters("gate.floor=1"):
        run = prefect.start("promote/by-hand", version=after, reason="a try")
        found = prefect.wait(run, "FAILED")
    assert found["state"]["message"].startswith(f"{NAME} version {after} is refused by the gate")
    assert "## The gate: refused" in prefect.artifacts(run)["result"]
    assert versions.resolve(client, NAME, "production").number == before

    images = np.load(checkout.root / "data" / "arrays" / "test_images.npy")[:3]
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    run = prefect.start("score/by-hand", source=str(tmp_path), out=str(tmp_path / "out.parquet"))
    prefect.wait(run, "COMPLETED")
    assert list(pd.read_parquet(tmp_path / "out.parquet")["version"]) == [before] * 3


def test_what_passes_the_gate_waits_for_a_person_who_answers_by_the_form(
    checkout, prefect, worker, first_run
):
    client = store.client(checkout.root)
    before = versions.resolve(client, NAME, "production").number
    asking = {
        "overrides": ["train.steps=45", "gate.floor=0", "gate.margin=1"],
        "promote": "ask",
    }
    run = prefect.start("retrain/weekly", **asking)
    state = prefect.wait(run, "COMPLETED")["state"]
    version = versions.latest(client, NAME).number
    page = prefect.artifacts(run)["result"]
    assert state["name"] == "Awaiting approval"
    assert "## The gate: passed" in page
    for text in (state["message"], page, checkout.run("resnet", "history").stdout):
        assert f"{NAME} version {version} is awaiting approval since" in text
        assert f"resnet approve {version} --model {NAME} --reason" in text
    assert "prefect deployment run promote/by-hand --params" in page
    assert versions.resolve(client, NAME, "production").number == before
    assert versions.resolve(client, NAME, "candidate").number == version

    again = prefect.wait(prefect.start("retrain/weekly", **asking), "COMPLETED")["state"]
    assert again["name"] == "Up to date"
    assert f"{NAME} version {version} is awaiting approval since" in again["message"]

    form = prefect.get("deployments/name/promote/by-hand")["parameter_openapi_schema"]
    assert form["properties"]["action"]["enum"] == ["promote", "approve", "reject"]
    assert all(field["description"] for field in form["properties"].values())
    run = prefect.start(
        "promote/by-hand", version=version, action="approve", reason="looked at it", author="ann"
    )
    prefect.wait(run, "COMPLETED")
    assert versions.resolve(client, NAME, "production").number == version
    told = checkout.run("resnet", "history").stdout
    assert "request (approved)" in told
    assert "ann (through " in told
    words = ["resnet", "reject", str(version), "--reason", "too late"]
    done = checkout.run(*words, check=False)
    assert done.returncode == 1
    assert "was approved on" in done.stderr


def test_a_request_is_rejected_by_the_form_and_another_approved_by_the_command(
    checkout, prefect, worker, first_run
):
    client = store.client(checkout.root)
    before = versions.resolve(client, NAME, "production").number
    about = next(number for number in (1, 2) if number != before)
    chosen = params.load(checkout.root)

    def ask(**rules):
        rules = chosen.gate.model_copy(update={"floor": 0.0, "margin": 1.0, **rules})
        verdict = gate.judge(checkout.root, NAME, about, rules)
        until = datetime.now(UTC) + timedelta(hours=1)
        decision = approval.ask(checkout.root, verdict, until=until, reason="a test")
        assert decision.request.waits

    ask()
    run = prefect.start(
        "promote/by-hand", version=about, action="reject", reason="no", author="bob"
    )
    state = prefect.wait(run, "COMPLETED")["state"]
    assert state["message"].startswith(f"reject {about}, by bob (through ")
    assert versions.resolve(client, NAME, "production").number == before

    ask(floor=0.01)
    done = checkout.run("resnet", "approve", str(about), "--reason", "on second thoughts")
    assert done.stdout.startswith(f"{NAME} version {about} is now in production")
    assert versions.resolve(client, NAME, "production").number == about


def test_an_alias_that_was_moved_by_hand_is_told_by_the_next_run(
    checkout, prefect, worker, first_run, wait_for
):
    client = store.client(checkout.root)
    before = versions.resolve(client, NAME, "production").number
    other = next(number for number in (1, 2) if number != before)
    client.set_registered_model_alias(NAME, "production", str(other))
    run = prefect.start("retrain/weekly")
    state = prefect.wait(run, "COMPLETED")["state"]
    told = f"production names version {other}, the ledger's last event says {before}: moved behind"
    assert state["name"] == "Up to date"
    assert f"\nwarning: {told}" in state["message"]
    assert f"**Warning**: {told}" in prefect.artifacts(run)["result"]
    wait_for(lambda: any(line.startswith(told) for line in prefect.logs(run)))
    assert checkout.run("resnet", "reconcile").stdout.startswith(f"restored: restore {before}")


def test_a_drifted_batch_leads_to_an_event_and_a_report(
    checkout, prefect, worker, first_run, tmp_path, wait_for
):
    client = store.client(checkout.root)
    version = versions.resolve(client, NAME, "production")
    images = np.load(checkout.root / "data" / "arrays" / "test_images.npy")[:300]

    def score(batch, name):
        source, out = tmp_path / f"{name}.parquet", tmp_path / f"{name}-out.parquet"
        pd.DataFrame({"image": list(batch.reshape(len(batch), -1))}).to_parquet(source)
        run = prefect.start("score/by-hand", source=str(source), out=str(out))
        state = prefect.wait(run, "COMPLETED")["state"]
        assert f"ecorded in {NAME}-batches" in state["message"]
        assert set(pd.read_parquet(out)["version"]) == {version.number}

    def monitor():
        """The state and the artifact of a run of `monitor`."""
        run = prefect.start("monitor/daily", batches=1)
        return prefect.wait(run, "COMPLETED")["state"], prefect.artifacts(run)["drift"]

    def events():
        named = {"event": {"name": ["resnet.drift"]}}
        return prefect.post("events/filter", filter=named)["events"]

    score(images, "usual")
    state, _ = monitor()
    assert state["name"] == "Quiet"
    assert events() == []

    score(images // 2, "dark")
    state, page = monitor()
    assert state["name"] == "Drifted"
    assert "| brightness | " in page
    (event,) = wait_for(events)
    assert event["resource"]["prefect.resource.id"] == f"resnet.model.{NAME}"
    told = event["payload"]
    assert (told["model"], told["version"], told["images"]) == (NAME, version.number, 300)
    assert told["features"]["brightness"] > 0.3
    assert f"[The report, with pictures]({told['report']})" in page
    report = told["report"].split("/runs/")[1].removesuffix("/artifacts/report.html")
    html = client.download_artifacts(report, "report.html", str(tmp_path))
    assert "data:image/png;base64" in Path(html).read_text()
    assert client.get_run(report).data.tags["announced"] == event["id"]

    state, _ = monitor()  # nothing new to tell of
    assert state["name"] == "Drifted"
    assert len(events()) == 1

    words = ["resnet", "monitor", "--batches", "1", "--out", str(tmp_path / "report.html")]
    done = checkout.run(*words, check=False)
    assert done.returncode == 1
    assert f"report: {told['report']}" in done.stdout
    assert (tmp_path / "report.html").read_text() == Path(html).read_text()


@pytest.mark.parametrize(
    ("deployment", "cron", "at"),
    [
        ("retrain/weekly", "0 3 * * 1", {"weekday": 0, "hour": 3, "minute": 0}),
        ("monitor/daily", "0 6 * * *", {"hour": 6, "minute": 0}),
    ],
)
def test_the_schedules_are_in_utc_and_the_server_plans_by_them(
    prefect, wait_for, deployment, cron, at
):
    found = prefect.get(f"deployments/name/{deployment}")
    (schedule,) = found["schedules"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == (cron, "UTC")
    planned = wait_for(
        lambda: prefect.post(
            "flow_runs/filter",
            deployments={"id": {"any_": [found["id"]]}},
            flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}},
        )
    )
    times = [datetime.fromisoformat(run["expected_start_time"]) for run in planned]
    assert all(
        {"weekday": time.weekday(), "hour": time.hour, "minute": time.minute}.items() >= at.items()
        for time in times
    )
