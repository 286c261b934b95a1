#!/bin/sh
# Keras exports a Normalization layer to ONNX with its mean and variance as inputs.
#
# Guess:    the ONNX file of a model with one input has one input; what a layer has
#           learnt or was given is inside, as the kernels are.
# Versions: keras 3.15.1, tensorflow 2.21.0, tf2onnx 1.17.0, onnx 1.23.2.
# Happens:  Normalization keeps mean and variance as plain tensors, which the traced
#           function captures. tf2onnx makes constants of captured variables, and
#           required inputs, with generated names, of captured tensors. A session
#           that is given the images alone raises "Required inputs … are missing".
# Seen:     Rescaling: 1 input     Normalization: 3 inputs
# Remedy:   make initializers of the graph's inputs that the function has captured,
#           or use Rescaling where the numbers are known.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check keras==3.15.1 \
    tensorflow==2.21.0 tf2onnx==1.17.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1
cd "$tmp"
cat > inputs.py <<'PY'
import logging

import keras
import numpy as np
import onnxruntime

logging.disable(logging.WARNING)
print("keras", keras.__version__)
x = np.ones((1, 4), np.float32)
counts = {}
for layer in keras.layers.Rescaling(0.5, 1.0), keras.layers.Normalization(mean=1.0, variance=4.0):
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(2)])
    model(x)
    model.export("m.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    counts[type(layer).__name__] = len(names)
    print(f"{type(layer).__name__}: {len(names)} inputs: {names}")
    try:
        session.run(None, {names[0]: x})
        answer = "answers"
    except ValueError as error:
        answer = f"ValueError: {str(error)[:40]}"
    print("  given the first alone:", answer)
assert counts == {"Rescaling": 1, "Normalization": 3}, "behaviour changed"
assert answer.startswith("ValueError: Required inputs"), "behaviour changed"
PY
venv/bin/python -W ignore inputs.py 2>/dev/null
