#!/bin/sh
# DVC and PyYAML read other values from one params.yaml.
#
# Guess:    the value that DVC shows, fills into a command and writes to dvc.lock
#           is the one that the stage's own Python code loads from the file.
# Versions: dvc 3.67.1 (ruamel.yaml 0.19.1), PyYAML 6.0.3.
# Happens:  DVC reads YAML 1.2, PyYAML YAML 1.1. 010 is 10 to DVC and 8 to the
#           stage; 1e-3 is the number 0.001 to DVC and the text "1e-3" to the
#           stage; 12:30 is a text and 750; on and no are texts and booleans. A
#           lock file, an experiment table and `dvc params diff` then state
#           values that the run did not have.
# Seen:     octal: DVC 10, PyYAML 8
#           rate: DVC 0.001, PyYAML '1e-3'
# Remedy:   write 1.0e-3, true and false, no leading zeros; or read the file with
#           dvc.api.params_show() or ruamel.yaml.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check dvc==3.67.1 \
    ruamel.yaml==0.19.1 PyYAML==6.0.3
export PATH="$tmp/venv/bin:$PATH" DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$tmp/site"
export DVC_GLOBAL_CONFIG_DIR="$tmp/global" DVC_SYSTEM_CONFIG_DIR="$tmp/system"
mkdir "$tmp/repo" && cd "$tmp/repo"
git init -q && dvc init -q
cat > params.yaml <<'YAML'
octal: 010
rate: 1e-3
switch: on
answer: no
time: 12:30
YAML
cat > dvc.yaml <<'YAML'
stages:
  train:
    cmd: echo ${octal} ${rate} ${switch} ${answer} ${time} > out.txt
    params: [octal, rate, switch, answer, time]
    outs: [out.txt]
YAML
dvc version | head -1
dvc repro -q
echo "in the command: $(cat out.txt)"
echo "in dvc.lock:" && sed -n '/params.yaml/,/outs/p' dvc.lock
python - <<'PY'
import dvc.api
import yaml

by_dvc = dvc.api.params_show()
with open("params.yaml") as file:
    by_pyyaml = yaml.safe_load(file)
for key in by_pyyaml:
    print(f"{key}: DVC {by_dvc[key]!r}, PyYAML {by_pyyaml[key]!r}")
assert (by_dvc["octal"], by_pyyaml["octal"]) == (10, 8), "behaviour changed"
assert (by_dvc["rate"], by_pyyaml["rate"]) == (0.001, "1e-3"), "behaviour changed"
assert all(by_dvc[key] != by_pyyaml[key] for key in by_pyyaml), "behaviour changed"
PY
