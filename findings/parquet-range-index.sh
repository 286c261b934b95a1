#!/bin/sh
# A filtered read_parquet renumbers the rows, if the index was a plain range.
#
# Guess:    rows keep their labels: to_parquet stores the index, and a filter picks
#           rows as df[mask] does.
# Versions: pandas 3.1.1, pyarrow 25.0.1.
# Happens:  a RangeIndex is stored as start, stop and step only. After a filter the
#           labels are 0, 1, 2 ..., for df.iloc[5:] also, whose labels begin at 5.
#           The same labels held as an ordinary integer index are stored as a
#           column and kept. Which of the two a frame has is hard to see, and
#           joining predictions back on the label then meets other rows.
# Seen:     RangeIndex 5..9, rows with x > 7: labels [0, 1]
#           the same labels as int64 index:   labels [8, 9]
# Remedy:   to_parquet(index=True), which stores the labels as a column.
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
ranged = pd.DataFrame({"x": range(10)}).iloc[5:]
listed = ranged.set_axis(pd.Index(list(ranged.index)))
assert ranged.equals(listed)


def labels(frame, **kwargs):
    frame.to_parquet("f.parquet", **kwargs)
    return pd.read_parquet("f.parquet", filters=[("x", ">", 7)]).index.tolist()


print("in memory:", ranged[ranged.x > 7].index.tolist())
print("from Parquet, RangeIndex:", labels(ranged))
print("from Parquet, the same labels as int64 index:", labels(listed))
print("from Parquet, RangeIndex written with index=True:", labels(ranged, index=True))
assert labels(ranged) == [0, 1] and labels(listed) == [8, 9], "behaviour changed"
assert labels(ranged, index=True) == [8, 9], "behaviour changed"
PY
