#!/bin/sh
# DVC does not see that a parameter went from 1 to true.
#
# Guess:    `dvc status` and `dvc repro` notice every change of a parameter's
#           value in params.yaml; at the least of its type.
# Versions: dvc 3.67.1 on Python 3.11.
# Happens:  DVC compares with Python's ==, and there 1, 1.0 and True are equal,
#           as are 0 and false. The stage is "up to date" although its command
#           line would be another one. `clip: 1` (a bound) and `clip: true` (a
#           switch) give one result. "1" in quotes is seen.
# Seen:     depth: 1 -> true: up to date, out.txt still says 1
#           depth: 1 -> "1": changed
# Remedy:   `dvc repro --force` after changing a number into a switch.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check dvc==3.67.1
export PATH="$tmp/venv/bin:$PATH" DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$tmp/site"
export DVC_GLOBAL_CONFIG_DIR="$tmp/global" DVC_SYSTEM_CONFIG_DIR="$tmp/system"
mkdir "$tmp/repo" && cd "$tmp/repo"
git init -q && dvc init -q
dvc version | head -1
echo 'depth: 1' > params.yaml
cat > dvc.yaml <<'YAML'
stages:
  train:
    cmd: grep depth params.yaml > out.txt
    params: [depth]
    outs: [out.txt]
YAML
dvc repro -q
for value in 1.0 true '"1"'; do
    echo "depth: $value" > params.yaml
    echo "-- depth: 1 -> $value"
    dvc status | tee status.txt
    case $value in
        '"1"') grep -q modified status.txt ;;
        *) grep -q 'up to date' status.txt ;;
    esac || { echo "behaviour changed"; exit 1; }
done
echo 'depth: true' > params.yaml
dvc repro
echo "out.txt after dvc repro with depth: true says '$(cat out.txt)'"
grep -q '^depth: 1$' out.txt || { echo "behaviour changed"; exit 1; }
