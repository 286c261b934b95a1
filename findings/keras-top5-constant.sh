#!/bin/sh
# Keras: a model that says the same for everything has a top-5 accuracy of 100 %.
#
# Guess:    with ten classes and all outputs equal, top-5 accuracy is about 50 %,
#           as top-1 accuracy is 10 %.
# Versions: keras 3.15.1, jax 0.10.2, numpy 2.4.6.
# Happens:  every class that ties with the fifth counts as being in the top five:
#           all outputs equal, all labels found, 1.0. NaN outputs also give 1.0
#           on JAX (0.0 on TensorFlow 2.21, seen apart). With k=1 the metric says 1.0
#           too, where plain accuracy says 0.1. A dead or diverged model so passes
#           a gate on top-5 accuracy with the best possible mark.
# Seen:     all equal: accuracy 0.1, top-5 1.0; all NaN: accuracy 0.1, top-5 1.0
# Remedy:   gate on plain accuracy or the loss also.
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
labels = np.arange(100) % 10
for name, value in (("all equal", 0.1), ("all NaN", np.nan)):
    outputs = np.full((100, 10), value, "float32")
    scores = []
    for metric in (
        keras.metrics.SparseTopKCategoricalAccuracy(k=1),
        keras.metrics.SparseCategoricalAccuracy(),
        keras.metrics.SparseTopKCategoricalAccuracy(k=5),
    ):
        metric.update_state(labels, outputs)
        scores.append(round(float(metric.result()), 3))
    print(f"{name}: top-K with K=1 {scores[0]}, accuracy {scores[1]}, top-5 {scores[2]}")
    assert scores == [1.0, 0.1, 1.0], "behaviour changed"
PY
