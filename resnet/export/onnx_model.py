"""A Keras model → ONNX: equal models give equal bytes, in whichever process they are converted."""

from itertools import count
from pathlib import Path
from typing import Any

import onnx
import tensorflow as tf
import tf2onnx
from onnx import numpy_helper

from resnet.model.batchnorm_folding import folded

OPSET = 18  # of ONNX; the newest that tf2onnx writes
OUTPUT, BATCH = "probabilities", "N"


def write(model: Any, path: Path) -> None:
    """Write a `keras.Model` of TensorFlow's backend as ONNX, its batch normalisation folded.

    Samples, uint8 (N, …), by the name of the model's input, say `images` → `probabilities`, float32
    (N, K), of any N. Raises what tf2onnx and ONNX raise where an operation has no form in ONNX.
    """
    inference = folded(model)
    (inputs,) = inference.inputs
    signature = [tf.TensorSpec((None, *inputs.shape[1:]), inputs.dtype, name=inputs.name)]
    call = tf.function(
        lambda samples: inference(samples, training=False), input_signature=signature
    )
    converted, _ = tf2onnx.convert.from_function(call, input_signature=signature, opset=OPSET)
    captures = call.get_concrete_function().graph.captures
    _inline(converted.graph, {inner.name: outer for outer, inner in captures})
    _rename(converted.graph, inputs.name)
    converted.graph.name, converted.graph.doc_string = model.name, ""
    onnx.checker.check_model(converted, full_check=True)
    path.write_bytes(converted.SerializeToString(deterministic=True))


def _inline(graph: Any, captured: dict[str, Any]) -> None:
    """Make constants of what the function has captured, the mean of a Normalization for example.

    tf2onnx makes inputs of them, which every caller would have to give.
    """
    used = {name for node in graph.node for name in node.input}
    for given in list(graph.input):
        if given.name in captured:
            graph.input.remove(given)
            if given.name in used:
                value = numpy_helper.from_array(captured[given.name].numpy(), given.name)
                graph.initializer.append(value)


def _rename(graph: Any, input_name: str) -> None:
    """Name everything by its place in the graph; tf2onnx's names count what it converted before."""
    (samples,), (probabilities,) = graph.input, graph.output
    names = {samples.name: input_name, probabilities.name: OUTPUT, "": ""}
    for node, number in zip(graph.node, count(), strict=False):
        node.name = f"{node.op_type}_{number}"
        for place, name in enumerate(node.input):
            names.setdefault(name, f"{node.name}_input_{place}")  # a constant, used here first
        for place, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}_output_{place}")
        node.input[:], node.output[:] = (
            [names[n] for n in part] for part in (node.input, node.output)
        )
    for constant in graph.initializer:
        constant.name = names[constant.name]
    order = {name: place for place, name in enumerate(names.values())}
    constants = sorted(graph.initializer, key=lambda constant: order[constant.name])
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(constants)
    for value, name in ((samples, input_name), (probabilities, OUTPUT)):
        value.name = name
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
