#!/bin/sh
# sacrebleu given one list of references per sentence scores the first sentence
# alone.
#
# Guess:    corpus_bleu(hypotheses, [[ref], [ref], ...]), the shape that NLTK takes,
#           raises: sacrebleu wants the lists the other way round, and three
#           hypotheses cannot fit lists of one.
# Versions: sacrebleu 2.6.0.
# Happens:  no error and no warning. The corpus is cut to the shortest list: one
#           sentence, for which every other sentence's reference counts as one
#           more reference. A system that gets its first sentence right scores
#           100, whatever the rest is.
# Seen:     right shape 34.1 (17 hypothesis tokens), transposed 100.0 (6 tokens)
# Remedy:   compare score.sys_len with the length of your hypotheses.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check sacrebleu==2.6.0
cd "$tmp"
venv/bin/python - <<'PY'
import sacrebleu

print("sacrebleu", sacrebleu.__version__)
references = ["the cat sat on the mat", "a dog ran over the hill", "we all went home by bus"]
hypotheses = ["the cat sat on the mat", "six green boats sank last year", "nobody knows what this is"]
right = sacrebleu.corpus_bleu(hypotheses, [references])
transposed = sacrebleu.corpus_bleu(hypotheses, [[r] for r in references])
print("right shape:", right)
print("transposed: ", transposed)
assert right.score < 50 and abs(transposed.score - 100) < 1e-6, "behaviour changed"
assert transposed.sys_len == 6, "behaviour changed"
PY
