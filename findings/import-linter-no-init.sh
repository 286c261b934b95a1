#!/bin/sh
# import-linter does not look into a subfolder without __init__.py.
#
# Guess:    modules that Python imports as app.low.tools.x belong to app.low, so a
#           contract about app.low covers them, or the tool says that it left
#           something out.
# Versions: import-linter 2.16, grimp 3.19.
# Happens:  Python imports the module (as part of a namespace package); grimp does
#           not list it, with no word, and contracts that it breaks are KEPT. One
#           forgotten empty file switches the check off for a whole subtree.
# Seen:     without __init__.py: Analyzed 3 files, 1 kept, 0 broken
#           with it:             Analyzed 5 files, 0 kept, 1 broken
# Remedy:   a test that every folder with a .py file has an __init__.py.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check import-linter==2.16 grimp==3.19
cd "$tmp"
mkdir -p app/high app/low/tools
touch app/__init__.py app/high/__init__.py app/low/__init__.py
echo 'import app.high' > app/low/tools/x.py
cat > .importlinter <<'INI'
[importlinter]
root_package = app

[importlinter:contract:1]
name = low does not know high
type = forbidden
source_modules = app.low
forbidden_modules = app.high
INI
venv/bin/pip list --disable-pip-version-check 2> /dev/null | grep -E 'import-linter|grimp'
export PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1
venv/bin/python -c 'import app.low.tools.x; print("Python imports app.low.tools.x")'
status=0
venv/bin/lint-imports --no-cache > without.txt || status=$?
echo "without __init__.py (exit status $status):" && grep -E 'Analyzed|Contracts:' without.txt
[ $status -eq 0 ] || { echo "behaviour changed"; exit 1; }
touch app/low/tools/__init__.py
status=0
venv/bin/lint-imports --no-cache > with.txt || status=$?
echo "with __init__.py (exit status $status):" && grep -E 'Analyzed|Contracts:' with.txt
[ $status -eq 1 ] || { echo "behaviour changed"; exit 1; }
