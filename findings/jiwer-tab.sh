#!/bin/sh
# jiwer does not take a tab or a line break for the space between two words.
#
# Guess:    words are what str.split() gives; "turn left" with a tab or a line
#           break inside has the same two words, so WER 0.
# Versions: jiwer 4.0.0, rapidfuzz 3.14.6.
# Happens:  the default transformation reduces runs of spaces, but cuts at the
#           space character alone. "turn<TAB>left" is one word: one substitution
#           and one insertion, WER 2.0 for a perfect transcript. Transcripts
#           from tab-separated files or wrapped lines are hit.
# Seen:     two spaces 0.0, tab 2.0, line break 2.0
# Remedy:   " ".join(text.split()) before scoring.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check jiwer==4.0.0 rapidfuzz==3.14.6
cd "$tmp"
venv/bin/python - <<'PY'
from importlib.metadata import version

import jiwer

print("jiwer", version("jiwer"))
got = [jiwer.wer(f"turn{gap}left", "turn left") for gap in ("  ", "\t", "\n")]
print("WER with two spaces, a tab, a line break in the reference:", got)
assert got == [0.0, 2.0, 2.0], "behaviour changed"
PY
