#!/bin/sh
# `dvc add FOLDER` leaves out a subfolder that is a symbolic link, without a word.
#
# Guess:    it follows the link, as it follows a link to a file, or refuses it.
# Versions: dvc 3.67.1, dvc-data 3.18.3, dvc-objects 5.2.0.
# Happens:  the files below a link to a folder are in neither the cache nor the
#           listing. No warning, exit status 0, `dvc status` says up to date, and a
#           change behind the link is no change. In a clone `dvc pull` brings the
#           rest. A link to a file beside it is read, and stored as the file.
# Seen:     on disk: ./cat/1 ./dog/2 ./owl      in the clone: ./cat/1 ./owl
# Remedy:   look for links to folders before `dvc add` (find FOLDER -type l), and
#           put what they lead to in their place.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check dvc==3.67.1 \
    dvc-data==3.18.3 dvc-objects==5.2.0
export PATH="$tmp/venv/bin:$PATH" DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$tmp/site"
export DVC_GLOBAL_CONFIG_DIR="$tmp/global" DVC_SYSTEM_CONFIG_DIR="$tmp/system"
dvc version | head -1
files() { (cd data && find -L . -type f | LC_ALL=C sort | tr '\n' ' '); }
mkdir -p "$tmp/elsewhere" "$tmp/project/data/cat" && cd "$tmp/project"
echo 1 > data/cat/1 && echo 2 > "$tmp/elsewhere/2" && echo 3 > "$tmp/owl"
ln -s "$tmp/elsewhere" data/dog
ln -s "$tmp/owl" data/owl
git init -q && git config user.name a && git config user.email a@example.org
dvc init -q
here=$(files)
dvc add data > "$tmp/add.log" 2>&1
# besides its hint `git add data.dvc .gitignore` it says nothing of a link
said=$(grep -v 'git add' "$tmp/add.log" | grep -iE 'warn|link|skip|ignor|dog' || true)
dvc remote add -q -d store "$tmp/store" && dvc push -q
git add -A && git commit -qm one
echo changed > "$tmp/elsewhere/2"
status=$(dvc status)
git clone -q "$tmp/project" "$tmp/clone" && cd "$tmp/clone" && dvc pull -q
there=$(files)
echo "dvc add says of the link: ${said:-nothing}"
echo "on disk: $here"
echo "dvc status after a change behind the link: $status"
echo "in the clone: $there"
[ -z "$said" ] && [ "$here" = "./cat/1 ./dog/2 ./owl " ] &&
    [ "$there" = "./cat/1 ./owl " ] && [ "$(cat data/owl)" = 3 ] &&
    echo "$status" | grep -q "up to date" || { echo "behaviour changed"; exit 1; }
