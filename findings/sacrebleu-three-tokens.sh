#!/bin/sh
# sacrebleu gives a perfect corpus 0 BLEU if its sentences have three tokens.
#
# Guess:    a system output that equals its reference scores 100, and so does a
#           corpus of such sentences; the default smoothing covers short ones.
# Versions: sacrebleu 2.6.0.
# Happens:  corpus_bleu wants 4-grams. Where no sentence has four tokens the
#           4-gram precision is 0 of 0, which the default smoothing leaves at 0:
#           the whole score is 0. sentence_bleu of the very same sentence is
#           100, as it counts only the orders that exist. One longer sentence
#           in the corpus turns 0 into 100.
# Seen:     three sentences of 3 tokens: 0.0; one of them: 100.0; with a fourth
#           sentence of 5 tokens: 100.0
# Remedy:   BLEU(effective_order=True), or chrF, for commands and captions.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check sacrebleu==2.6.0
cd "$tmp"
venv/bin/python - <<'PY'
import sacrebleu
from sacrebleu.metrics import BLEU

print("sacrebleu", sacrebleu.__version__)
short = ["turn lights on", "play some jazz", "call my mother"]
longer = [*short, "what is the time now"]
corpus = sacrebleu.corpus_bleu(short, [short]).score
sentence = sacrebleu.sentence_bleu(short[0], short[:1]).score
mixed = sacrebleu.corpus_bleu(longer, [longer]).score
remedy = BLEU(effective_order=True).corpus_score(short, [short]).score
print(f"perfect corpus of three-token sentences: {corpus:.1f}")
print(f"one of those sentences alone: {sentence:.1f}")
print(f"the corpus with one sentence of five tokens more: {mixed:.1f}")
print(f"the corpus with effective_order=True: {remedy:.1f}")
assert corpus == 0 and sentence > 99.9 and mixed > 99.9, "behaviour changed"
PY
