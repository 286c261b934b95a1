#!/bin/sh
# pyarrow: the batches of a Parquet file that is read in pieces grow with the file,
# if a column is read as a dictionary.
#
# Guess:    with read_dictionary a batch of iter_batches(batch_size=16) has a
#           dictionary of the values of its 16 rows, or at most of its row group.
# Versions: pyarrow 25.0.1.
# Happens:  of a column chunk that is stored as a dictionary, each batch has the whole
#           chunk's. Values that are stored plain are added to the dictionary of the
#           batches before, and nothing is dropped: the last batch of the file holds
#           all that was read, across row groups as well. The default writer changes
#           to plain within a chunk, once its dictionary exceeds 1 MiB, as that of
#           images or long texts does. Reading in batches then saves no memory.
# Seen:     entries in the dictionaries of four batches of 16 different values, in
#           row groups of 32
#             stored as a dictionary   32 32 32 32
#             stored plain             16 32 48 64
#           MiB of eight batches of 512 values of 3 KiB, default writer
#             as a dictionary          3.0 3.0 4.5 6.0 7.5 9.0 10.5 12.0
#             as values                1.5 1.5 1.5 1.5 1.5 1.5 1.5 1.5
# Remedy:   no read_dictionary for long values; dictionary_encode() each batch, if
#           need be.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check pyarrow==25.0.1
cd "$tmp"
cat > batches.py <<'PY'
import pyarrow as pa
import pyarrow.parquet as pq

print("pyarrow", pa.__version__)


def batches(values, rows, read_dictionary=("x",), **kwargs):
    pq.write_table(pa.table({"x": values}), "f.parquet", **kwargs)
    file = pq.ParquetFile("f.parquet", read_dictionary=list(read_dictionary))
    return [batch.column(0) for batch in file.iter_batches(rows)]


def entries(*args, **kwargs):
    return [len(column.dictionary) for column in batches(*args, **kwargs)]


def mib(columns):
    return [round(column.nbytes / 2**20, 1) for column in columns]


names = pa.array([f"name {i}" for i in range(64)])
stored = entries(names, 16, row_group_size=32)
plain = entries(names, 16, row_group_size=32, use_dictionary=False)
print("entries, stored as a dictionary:", *stored)
print("entries, stored plain:          ", *plain)
images = pa.array([i.to_bytes(3072, "big") for i in range(4096)])
grown = mib(batches(images, 512))
values = mib(batches(images, 512, read_dictionary=()))
print("MiB, as a dictionary:", *grown)
print("MiB, as values:      ", *values)
assert stored == [32] * 4 and plain == [16, 32, 48, 64], "behaviour changed"
assert grown[0] < 4 and grown[-1] >= 12 and max(values) < 2, "behaviour changed"
PY
venv/bin/python batches.py
