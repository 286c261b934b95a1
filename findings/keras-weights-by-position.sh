#!/bin/sh
# Keras load_weights pays no heed to the names of a functional model's layers.
#
# Guess:    layers named "encoder" and "decoder" get the weights saved for layers
#           of those names, or loading fails.
# Versions: keras 3.15.1, jax 0.10.2, numpy 2.4.6.
# Happens:  a .weights.h5 file holds layers by class and position (dense, dense_1).
#           If the model's code now has the two in the other order, each gets the
#           other's weights, as long as the shapes fit. No error, no warning.
# Seen:     the "encoder" after loading equals the saved: encoder False, decoder True
# Remedy:   compare a known prediction after loading; or keep whole .keras files,
#           which bring their architecture along.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check keras==3.15.1 \
    jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
export KERAS_BACKEND=jax JAX_PLATFORMS=cpu
cd "$tmp"
venv/bin/python - <<'PY'
import h5py
import jax
import keras
import numpy as np

print("keras", keras.__version__, "jax", jax.__version__)


def model(*names):
    inputs = outputs = keras.Input((3,))
    for name in names:
        outputs = keras.layers.Dense(3, name=name)(outputs)
    return keras.Model(inputs, outputs)


saved = model("encoder", "decoder")
saved.save_weights("m.weights.h5")
with h5py.File("m.weights.h5") as file:
    print("layers in the file:", sorted(file["layers"]))
loaded = model("decoder", "encoder")
loaded.load_weights("m.weights.h5")
kernel = np.asarray(loaded.get_layer("encoder").kernel)
equal = {
    name: np.array_equal(kernel, np.asarray(saved.get_layer(name).kernel))
    for name in ("encoder", "decoder")
}
print('the "encoder" after loading equals the saved:', equal)
assert equal == {"encoder": False, "decoder": True}, "behaviour changed"
PY
