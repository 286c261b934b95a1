#!/bin/sh
# Keras: Normalization.adapt puts the mean of a large set outside the data.
#
# Guess:    adapt() on 20 million rows finds their mean to float32 precision; a
#           constant column gets its own value and variance 0.
# Versions: keras 3.15.1, jax 0.10.2, numpy 2.4.6.
# Happens:  the mean is a float32 sum along the first axis, which goes wrong once
#           the sum is so large that one more row is below its precision. A column
#           of nothing but 100 gets the mean 107.4 and the variance 53.7: every
#           value is normalised to -1.01 instead of 0. No warning.
# Seen:     column of 100: mean 107.37, variance 53.69
# Remedy:   pass mean= and variance= computed in float64.
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
for rows in (1_000, 20_000_000):
    data = np.empty((rows, 2), "float32")
    data[:] = 100, 101
    layer = keras.layers.Normalization(axis=-1)
    layer.adapt(data)
    mean = np.asarray(layer.mean).ravel()
    variance = np.asarray(layer.variance).ravel()
    out = np.asarray(layer(data[:1])).ravel()
    print(f"{rows} rows of (100, 101): mean {mean}, variance {variance}, normalised {out}")
assert abs(mean[0] - 100) > 1 and variance[0] > 1, "behaviour changed"
PY
