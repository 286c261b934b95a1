#!/bin/sh
# Prefect's daily interval schedule gives one day two different hours, depending
# on when it is asked.
#
# Guess:    IntervalSchedule(24 h, timezone=Europe/Berlin) keeps its clock hour
#           across summer time (the class's own documentation says so), and what
#           it plans for a date does not depend on when the plan is made.
# Versions: prefect 3.8.8, pendulum 3.3.0, tzdata 2026.6, on Python 3.11.
# Happens:  planned before the clocks change, the days after it get 04:00; asked
#           again after the change, the same days get 05:00. The first date is
#           counted from the anchor in elapsed hours, only the later ones in
#           clock hours. So the two plans do not agree, and from the change on
#           the hour is not the one that was asked for.
# Seen:     asked on 27 March, 30 March is 04:00+02:00
#           asked on 29 March, 30 March is 05:00+02:00
# Remedy:   cron ("0 4 * * *") for anything daily.
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
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import prefect
from prefect.server.schemas.schedules import IntervalSchedule

print("prefect", prefect.__version__, "Python", sys.version.split()[0])
berlin = ZoneInfo("Europe/Berlin")
schedule = IntervalSchedule(
    interval=timedelta(hours=24),
    anchor_date=datetime(2027, 3, 1, 4, 0, tzinfo=berlin),
    timezone="Europe/Berlin",
)


def plan(day):
    dates = asyncio.run(schedule.get_dates(5, datetime(2027, 3, day, tzinfo=berlin)))
    local = [d.astimezone(berlin) for d in dates]
    print(f"asked on {day} March:", [d.strftime("%d %B %H:%M%z") for d in local])
    return {d.day: d.hour for d in local}


before, after = plan(27), plan(29)
assert (before[30], after[30]) == (4, 5), "behaviour changed"
PY
