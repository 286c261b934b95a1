#!/bin/sh
# `dvc repro --dry` says that a changed stage is cached and will be skipped.
#
# Guess:    --dry prints what a run would do: "Running stage" for a stage with a new
#           parameter value, "is cached" only for one whose result is in the cache.
# Versions: dvc 3.67.1.
# Happens:  for a value that was never computed it prints both: "is cached -
#           skipping run, checking out outputs", then "Running stage". The run
#           itself computes the stage. The dry run asks the run-cache before it has
#           taken the new values in, and so finds the result of the former ones.
#           A value that is in the run-cache, and that the run restores, is
#           announced with the same two lines.
# Seen:     dry: is cached, Running   run: Running     (a new value)
#           dry: is cached, Running   run: is cached   (a value of before)
# Remedy:   `dvc status` says which stages changed; whether the run-cache has their
#           results, only the run says.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check dvc==3.67.1
export PATH="$tmp/venv/bin:$PATH" DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$tmp/site"
export DVC_GLOBAL_CONFIG_DIR="$tmp/global" DVC_SYSTEM_CONFIG_DIR="$tmp/system"
dvc version | head -1
mkdir "$tmp/project" && cd "$tmp/project"
git init -q && dvc init -q
cat > dvc.yaml <<'YAML'
stages:
  copy:
    cmd: cp params.yaml out.txt
    params: [x]
    outs: [out.txt]
YAML
said() { # what the output on stdin says of the stage
    grep -oE 'is cached|Running' | LC_ALL=C sort -u | tr '\n' ' '
}
echo 'x: 1' > params.yaml && dvc repro -q
echo 'x: 2' > params.yaml
new_dry=$(dvc repro --dry 2>&1 | said)
new_run=$(dvc repro 2>&1 | said)
echo 'x: 1' > params.yaml
old_dry=$(dvc repro --dry 2>&1 | said)
old_run=$(dvc repro 2>&1 | said)
echo "a new value:       dry: $new_dry run: $new_run"
echo "a value of before: dry: $old_dry run: $old_run"
[ "$new_dry" = "Running is cached " ] && [ "$new_run" = "Running " ] &&
    [ "$old_dry" = "Running is cached " ] && [ "$old_run" = "is cached " ] ||
    { echo "behaviour changed"; exit 1; }
