#!/bin/sh
# pydantic reads the ISO date 20270115 as seconds since 1970.
#
# Guess:    a datetime field takes ISO 8601 text in both its forms, as
#           datetime.fromisoformat does since Python 3.11, or refuses the compact
#           one.
# Versions: pydantic 2.14.3.
# Happens:  text of digits alone is a number of seconds: "20270115" is a day in
#           August 1970, with the time zone UTC, where "2027-01-15" has none. The
#           compact form with a time ("20270115T103000") is refused. A backfill
#           from file names like events-20270115.parquet passes validation.
# Seen:     2027-01-15 -> 2027-01-15 00:00:00
#           20270115   -> 1970-08-23 14:35:15+00:00
# Remedy:   a `mode="before"` validator with datetime.fromisoformat.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check pydantic==2.14.3
cd "$tmp"
venv/bin/python - <<'PY'
from datetime import datetime

import pydantic

print("pydantic", pydantic.VERSION)


class Event(pydantic.BaseModel):
    day: datetime


for text in ("2027-01-15", "20270115", "20270115T103000"):
    try:
        got = Event(day=text).day
    except pydantic.ValidationError as error:
        got = error.errors()[0]["msg"]
    print(f"{text:16} -> {got}")
got = Event(day="20270115").day
assert got.year == 1970 and got.tzinfo is not None, "behaviour changed"
assert Event(day="2027-01-15").day == datetime(2027, 1, 15), "behaviour changed"
PY
