#!/bin/sh
# read_parquet: the filters "!=" and "not in" disagree about missing values.
#
# Guess:    filters=[("label", "!=", "spam")] and [("label", "not in", ["spam"])]
#           read the same rows, and those of df[df.label != "spam"].
# Versions: pandas 3.1.1, pyarrow 25.0.1.
# Happens:  "!=" drops the rows without a label (the comparison is null), "not in"
#           keeps them, as pandas does in memory. Moving a filter from the frame
#           to the reader, to save memory, loses every unlabelled row.
# Seen:     in memory 2 rows, "not in" 2 rows, "!=" 1 row
# Remedy:   "not in" with a list of one.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check pandas==3.1.1 pyarrow==25.0.1
cd "$tmp"
venv/bin/python - <<'PY'
import pandas as pd
import pyarrow

print("pandas", pd.__version__, "pyarrow", pyarrow.__version__)
frame = pd.DataFrame({"label": ["spam", "ham", None], "size": [1.0, 2.0, None]})
frame.to_parquet("mail.parquet")
counts = {}
for column, value in (("label", "spam"), ("size", 1.0)):
    memory = len(frame[frame[column] != value])
    unequal = len(pd.read_parquet("mail.parquet", filters=[(column, "!=", value)]))
    absent = len(pd.read_parquet("mail.parquet", filters=[(column, "not in", [value])]))
    print(f"{column}: in memory {memory} rows, 'not in' {absent}, '!=' {unequal}")
    counts[column] = memory, absent, unequal
assert set(counts.values()) == {(2, 2, 1)}, "behaviour changed"
PY
