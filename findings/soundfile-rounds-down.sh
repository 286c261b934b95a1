#!/bin/sh
# soundfile rounds floats down, not to the nearest, when it writes 16-bit PCM.
#
# Guess:    writing floats as PCM_16 rounds to the nearest of the 65,536 steps,
#           so that the error has mean zero.
# Versions: soundfile 0.14.0 with its libsndfile 1.2.2, numpy 2.4.6.
# Happens:  every sample goes to the step below it: 0.6 of a step becomes 0,
#           -0.5 becomes -1. The file is half a step lower than the signal
#           (a constant offset), and the greatest error is a whole step.
#           Samples that sit on a step already come back exactly, which is
#           why a round trip of int16 data does not show it.
# Seen:     [0.4, 0.6, 1.5, 2.9, -0.1, -0.5] steps -> [0, 0, 1, 2, -1, -1]
#           mean error of 100,000 samples -0.501 steps (rounded first: 0.000)
# Remedy:   round yourself: np.clip(np.rint(x * 32768), -32768, 32767) as int16.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import numpy as np
import soundfile as sf

print("soundfile", sf.__version__, "libsndfile", sf.__libsndfile_version__)


def written(steps):
    sf.write("x.wav", np.asarray(steps) / 32768, 16000, subtype="PCM_16")
    return sf.read("x.wav", dtype="int16")[0]


steps = [0.4, 0.6, 1.5, 2.9, -0.1, -0.5]
got = written(steps).tolist()
print(steps, "steps ->", got)
noise = np.random.default_rng(0).uniform(-3000, 3000, 100_000)
mean = (written(noise) - noise).mean()
rounded = (np.rint(noise) - noise).mean()
print(f"mean error of 100,000 samples {mean:.3f} steps (rounded first: {rounded:.3f})")
whole = np.arange(-32768, 32768)
print("whole steps come back exactly:", np.array_equal(written(whole), whole))
assert got == [0, 0, 1, 2, -1, -1] and abs(mean + 0.5) < 0.01, "behaviour changed"
PY
