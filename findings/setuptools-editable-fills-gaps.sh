#!/bin/sh
# An older copy of a package on PYTHONPATH gets the modules that it lacks from the
# editable installation.
#
# Guess:    PYTHONPATH=old comes first on sys.path, so `import pack` is the old copy,
#           and a module that the old copy does not have cannot be imported.
# Versions: setuptools 83.0.0, pip of Python 3.11.
# Happens:  `pack` is the old copy, and `pack.added`, which it lacks, is imported from
#           the new one: the editable installation has a finder of its own on
#           sys.meta_path, which is asked, with the full dotted name, after the old
#           copy's folder has nothing. Two versions run as one, without a word.
# Seen:     pack: old     pack.added: new
# Remedy:   an environment for each version, or python -S with both paths given.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check setuptools==83.0.0
cd "$tmp"
mkdir -p old/pack new/pack
echo 'VERSION = "old"' > old/pack/__init__.py
echo 'VERSION = "new"' > new/pack/__init__.py
echo 'WHERE = __file__' > new/pack/added.py
cat > new/pyproject.toml <<'TOML'
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "pack"
version = "2"
[tool.setuptools]
packages = ["pack"]
TOML
venv/bin/pip install -q --disable-pip-version-check --no-build-isolation --editable new
cat > gaps.py <<'PY'
import pack

print("pack:", pack.VERSION)
assert pack.VERSION == "old", "behaviour changed"
import pack.added

where = "new" if "/new/" in pack.added.WHERE else "old"
print("pack.added:", where)
assert where == "new", "behaviour changed"
PY
PYTHONPATH="$tmp/old" venv/bin/python gaps.py
