#!/bin/sh
# `prefect deploy` resumes what somebody has paused.
#
# Guess:    what was paused at run time stays paused when an unchanged prefect.yaml
#           is deployed again: the file says neither `paused` nor `enabled` nor
#           `active`, so there is nothing to set.
# Versions: prefect 3.8.8, fastapi 0.149.0, SQLAlchemy 2.0.58.
# Happens:  a missing `paused` is sent as false: a paused deployment runs again. The
#           automations of its triggers are deleted and made anew, enabled and with
#           another id. So is a schedule without a slug; only a schedule with a slug
#           is recognised and stays inactive.
# Seen:                         deployment  automation  schedule  schedule with slug
#           before                on          on          on        on
#           paused by hand        off         off         off       off
#           `prefect deploy`      on          on          on        off
# Remedy:   give schedules slugs and pause those; or read the server's state before
#           and write `paused` and `enabled` into the file that is deployed.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check prefect==3.8.8 \
    fastapi==0.149.0 SQLAlchemy==2.0.58
export PREFECT_HOME="$tmp/home" PREFECT_SERVER_ANALYTICS_ENABLED=false
export PREFECT_LOGGING_LEVEL=ERROR DO_NOT_TRACK=1
cd "$tmp"
cat > job.py <<'PY'
from prefect import flow


@flow
def nightly():
    pass
PY
cat > prefect.yaml <<'YAML'
deployments:
  - name: plain
    entrypoint: job.py:nightly
    schedules:
      - cron: "0 3 * * *"
    triggers:
      - name: on arrival
        expect: [file.arrived]
    work_pool: {name: pool}
  - name: slug
    entrypoint: job.py:nightly
    schedules:
      - cron: "0 3 * * *"
        slug: at-three
    work_pool: {name: pool}
YAML
cat > deploy.py <<'PY'
import os
import socket
import subprocess
import sys
import time
import urllib.request

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
url = os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"

import prefect
from prefect.client.orchestration import get_client

quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
command = [sys.executable, "-W", "ignore", "-m", "prefect", "--no-prompt"]


def cli(*words):
    subprocess.run([*command, *words], check=True, **quiet)


def state(client, when):
    plain, slug = (client.read_deployment_by_name(f"nightly/{name}") for name in NAMES)
    (made,) = client.read_resource_related_automations(f"prefect.deployment.{plain.id}")
    on = [not plain.paused, made.enabled, plain.schedules[0].active, slug.schedules[0].active]
    print(f"{when:20}", *(f"{'on' if one else 'off':11}" for one in on[:3]), end=" ")
    print("on" if on[3] else "off")
    return on, made.id


NAMES = "plain", "slug"
print("prefect", prefect.__version__)
server = subprocess.Popen(
    [*command, "server", "start", "--host", "127.0.0.1", "--port", str(port)], **quiet
)
try:
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{url}/health", timeout=1)
            break
        except OSError:
            time.sleep(1)
    cli("work-pool", "create", "pool", "--type", "process")
    cli("deploy", "--all")
    print(" " * 20, "deployment  automation  schedule    schedule with slug")
    with get_client(sync_client=True) as client:
        before, first = state(client, "before")
        for name in NAMES:
            found = client.read_deployment_by_name(f"nightly/{name}")
            schedule = str(found.schedules[0].id)
            cli("deployment", "schedule", "pause", f"nightly/{name}", schedule)
            client.pause_deployment(found.id)
        cli("automation", "pause", "on arrival")
        paused, same = state(client, "paused by hand")
        cli("deploy", "--all")
        after, second = state(client, "`prefect deploy`")
finally:
    server.terminate()
    server.wait()
assert before == [True] * 4 and paused == [False] * 4 and first == same, "unexpected"
assert after == [True, True, True, False] and second != first, "behaviour changed"
PY
venv/bin/python -W ignore deploy.py
