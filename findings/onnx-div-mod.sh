#!/bin/sh
# ONNX: integer Div and Mod do not belong together.
#
# Guess:    quotient and remainder agree, as in Python (both floor) and in C
#           (both truncate): x == Div(x, y) * y + Mod(x, y).
# Versions: onnx 1.23.2 and its reference evaluator, onnxruntime 1.32.0,
#           numpy 2.4.6.
# Happens:  Div truncates as in C, Mod (fmod=0, the default) takes the sign of
#           the divisor as in Python. For operands of unlike signs the identity
#           fails by one divisor: an exported `divmod` (index arithmetic, tiles,
#           calendars) is right for positive numbers only.
# Seen:     -7, 2: Div -3, Mod 1, put together again -5
# Remedy:   export floor(x / y) as (x - Mod(x, y)) / y.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)
info = [helper.make_tensor_value_info(n, TensorProto.INT64, [4]) for n in "xyqr"]
graph = helper.make_graph(
    [helper.make_node("Div", ["x", "y"], ["q"]), helper.make_node("Mod", ["x", "y"], ["r"])],
    "g",
    info[:2],
    info[2:],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
onnx.checker.check_model(model)
session = onnxruntime.InferenceSession(
    model.SerializeToString(), providers=["CPUExecutionProvider"]
)
x, y = np.array([7, -7, 7, -7]), np.array([2, 2, -2, -2])
for name, run in (
    ("onnxruntime", lambda feed: session.run(None, feed)),
    ("reference", lambda feed: ReferenceEvaluator(model).run(None, feed)),
):
    q, r = run({"x": x, "y": y})
    for row in zip(x, y, q, r, q * y + r):
        print(name, "x {}, y {}: Div {}, Mod {}, put together again {}".format(*row))
    if name == "onnxruntime":
        assert q.tolist() == [3, -3, -3, 3] and r.tolist() == [1, 1, -1, -1], "behaviour changed"
PY
