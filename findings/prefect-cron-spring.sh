#!/bin/sh
# Prefect runs a cron job of the skipped hour an hour EARLY on the day that
# summer time begins.
#
# Guess:    "30 2 * * *" in Europe/Berlin, on the day when 02:00 to 03:00 does
#           not exist: the run comes at 03:00 or 03:30, or (as cron may) not at
#           all. It never comes before the hour that was asked for.
# Versions: prefect 3.8.8, pendulum 3.3.0, tzdata 2026.6, on Python 3.11.
# Happens:  the run is planned for 01:30. A job meant for "after the 02:00
#           backup" runs before it, once a year.
# Seen:     2027-03-27T02:30+01:00, 2027-03-28T01:30+01:00, 2027-03-29T02:30+02:00
# Remedy:   no schedule inside the hour that the zone skips, or the zone UTC.
#           (Python 3.13 and later take another branch of the code: not tried.)
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check prefect==3.8.8 \
    fastapi==0.149.0 SQLAlchemy==2.0.58 tzdata==2026.6 \
    "pendulum==3.3.0; python_version < '3.13'"
export PREFECT_HOME="$tmp/home" PREFECT_SERVER_ANALYTICS_ENABLED=false
cd "$tmp"
venv/bin/python -W ignore - <<'PY'
import asyncio
import sys
from datetime import datetime
from zoneinfo import ZoneInfo

import prefect
from prefect.server.schemas.schedules import CronSchedule

print("prefect", prefect.__version__, "Python", sys.version.split()[0])
berlin = ZoneInfo("Europe/Berlin")


def plan(cron):
    schedule = CronSchedule(cron=cron, timezone="Europe/Berlin")
    dates = asyncio.run(schedule.get_dates(3, datetime(2027, 3, 27, tzinfo=berlin)))
    return [d.astimezone(berlin).strftime("%Y-%m-%dT%H:%M%z") for d in dates]


for cron in ("30 1 * * *", "30 2 * * *", "30 3 * * *"):
    print(cron, plan(cron))
assert plan("30 2 * * *")[1] == "2027-03-28T01:30+0100", "behaviour changed"
PY
