#!/bin/sh
# tf2onnx returns a model with TensorFlow's own operations where it cannot convert them.
#
# Guess:    tf2onnx.convert.from_function raises where an operation has no form in ONNX,
#           as torch's exporter and Keras's own save do where something is not supported.
# Versions: tensorflow 2.21.0, tf2onnx 1.17.0, onnx 1.23.2.
# Happens:  of a real Fourier transform whose real part is taken it logs "Unsupported ops",
#           returns a model, and names no error. The operations RFFT and Real stay in it as
#           if they were ONNX's; onnx.checker and every runtime refuse it later, by another
#           message.
# Seen:     no error; in the model: RFFT, Real; checker: No Op registered for RFFT
# Remedy:   call onnx.checker.check_model on what it returns, before it is written.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check \
    tensorflow==2.21.0 tf2onnx==1.17.0 onnx==1.23.2 numpy==2.4.6
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1
cd "$tmp"
cat > convert.py <<'PY'
import logging

import onnx
import tensorflow as tf
import tf2onnx

logging.disable(logging.CRITICAL)
print("tensorflow", tf.__version__, "tf2onnx", tf2onnx.__version__, "onnx", onnx.__version__)
signature = [tf.TensorSpec((None, 8), tf.float32, name="x")]
real_part = tf.function(lambda x: tf.math.real(tf.signal.rfft(x)), input_signature=signature)
try:
    model, _ = tf2onnx.convert.from_function(real_part, input_signature=signature, opset=18)
    error = "no error"
except Exception as raised:
    error = f"{type(raised).__name__}: {raised}"
print(error)
left = [node.op_type for node in model.graph.node if node.op_type in ("RFFT", "Real")]
print("in the model:", ", ".join(left))
try:
    onnx.checker.check_model(model, full_check=True)
    checked = "sound"
except onnx.checker.ValidationError as raised:
    checked = str(raised).split(" with ")[0]
print("checker:", checked)
assert error == "no error", "behaviour changed"
assert left == ["RFFT", "Real"], "behaviour changed"
assert checked == "No Op registered for RFFT", "behaviour changed"
PY
venv/bin/python -W ignore convert.py 2>/dev/null
