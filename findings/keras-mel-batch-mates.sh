#!/bin/sh
# Keras: a clip's mel spectrogram depends on the other clips of its batch.
#
# Guess:    MelSpectrogram treats each clip alone: the same clip gives the same
#           features in a batch of one and in a batch of two.
# Versions: keras 3.15.1, jax 0.10.2, numpy 2.4.6.
# Happens:  top_db (80 by default) is counted down from the greatest value of the
#           whole batch. Beside a loud clip a quiet one is raised to that floor
#           and becomes almost constant. Training, evaluation and serving, with
#           other batches, see other features.
# Seen:     one clip, spread of its features: alone 6.3 dB, beside a loud clip 0.5 dB
# Remedy:   map the layer over single clips, or top_db=None with a fixed floor.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check keras==3.15.1 \
    jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
export KERAS_BACKEND=jax JAX_PLATFORMS=cpu
cd "$tmp"
venv/bin/python - <<'PY'
import jax
import keras
import numpy as np

print("keras", keras.__version__, "jax", jax.__version__)
seconds = np.arange(16000) / 16000
noise = 1e-5 * np.random.default_rng(0).standard_normal(16000)
quiet = (1e-4 * np.sin(2 * np.pi * 440 * seconds) + noise).astype("float32")
loud = 5000 * quiet
layer = keras.layers.MelSpectrogram(sampling_rate=16000)
alone = np.asarray(layer(quiet[None]))[0]
beside = np.asarray(layer(np.stack([quiet, loud])))[0]
floor = (beside == beside.min()).mean()
print(f"spread of the quiet clip's features: alone {alone.std():.1f} dB, "
      f"beside a loud clip {beside.std():.1f} dB")
print(f"of them at the floor: {100 * floor:.0f} %")
assert alone.std() > 5 and beside.std() < 1, "behaviour changed"
PY
