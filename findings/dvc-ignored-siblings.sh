#!/bin/sh
# DVC overlooks .dvc files in a folder whose other files git ignores, and a plain
# `dvc pull` then deletes the tracked data.
#
# Guess:    a .dvc file that is committed, and that `git check-ignore` says is not
#           ignored, is tracked: push sends its data, pull brings it.
# Versions: dvc 3.67.1, scmrepo 3.6.2, dulwich 1.2.21, pygit2 1.21.0.
# Happens:  with `/data/*` and `!/data/raw.dvc` in .gitignore DVC asks git about
#           the folder's name with a slash at its end; the pattern matches that,
#           and the whole folder is left out. `dvc push` says that everything is
#           up to date with an empty remote, `dvc pull` removes data/raw from the
#           work tree. `/data/?*` ignores the same files and works.
# Seen:     /data/*   push: Everything is up to date; pull: D data/raw/
#           /data/?*  push: 2 files pushed; pull: Everything is up to date
# Remedy:   `/data/?*`, or .gitignore inside the folder.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check dvc==3.67.1 \
    scmrepo==3.6.2 dulwich==1.2.21 pygit2==1.21.0
export PATH="$tmp/venv/bin:$PATH" DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$tmp/site"
export DVC_GLOBAL_CONFIG_DIR="$tmp/global" DVC_SYSTEM_CONFIG_DIR="$tmp/system"
dvc version | head -1
attempt() { # the pattern, a folder
    mkdir "$tmp/$2" && cd "$tmp/$2"
    git init -q && git config user.name a && git config user.email a@example.org
    dvc init -q
    mkdir -p data/raw && echo 1 > data/raw/one
    printf '%s\n!/data/raw.dvc\n!/data/.gitignore\n' "$1" > .gitignore
    dvc add -q data/raw
    git add -A && git commit -qm one
    echo "-- $1: tracked by git: $(git ls-files data | tr '\n' ' ')"
    if git check-ignore -q data/raw.dvc; then echo "ignored by git"; exit 1; fi
    dvc remote add -q -d store "$tmp/$2-store"
    echo "dvc push: $(dvc push 2>&1 | tail -1)"
    echo "dvc pull: $(dvc pull 2>&1 | tr '\n' ' ')"
    if [ -e data/raw/one ]; then echo "the data is there"; else echo "the data is gone"; fi
}
attempt '/data/*' star
[ ! -e data/raw/one ] || { echo "behaviour changed"; exit 1; }
attempt '/data/?*' question
[ -e data/raw/one ] || { echo "behaviour changed"; exit 1; }
