"""How the int8 form is chosen: real ONNX Runtime, a model that finds the brightest channel."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from resnet.export import onnx_forward, quantization
from resnet.export.onnx_model import OUTPUT

IMAGES, BATCH = 60, 10


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """uint8 images (N, 4, 4, 3) → softmax of the mean of each channel."""
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["means"], keepdims=0),
        helper.make_node("Softmax", ["means"], [OUTPUT]),
    ]
    ends = (
        helper.make_tensor_value_info("images", TensorProto.UINT8, ("N", 4, 4, 3)),
        helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ("N", 3)),
    )
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])
    graph = helper.make_graph(nodes, "brightest", ends[:1], ends[1:], [axes])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


@pytest.fixture
def images_nhwc(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    monkeypatch.setattr(onnx_forward, "BATCH", BATCH)
    return np.random.default_rng(0).integers(0, 256, (IMAGES, 4, 4, 3), np.uint8)


def test_batches_on_all_cores_give_the_bits_of_one_call_in_its_order(
    model: Path, images_nhwc: np.ndarray
) -> None:
    parts = list(onnx_forward.batches(model, images_nhwc[:-3]))
    assert [len(part) for part in parts] == [10, 10, 10, 10, 10, 7]
    assert np.array_equal(np.concatenate(parts), onnx_forward.load(model)(images_nhwc[:-3]))


@pytest.mark.parametrize(("different", "agrees"), [(0, True), (3, True), (4, False)])
def test_predictions_agree_up_to_the_wanted_share_of_all_images(
    model: Path, images_nhwc: np.ndarray, different: int, agrees: bool
) -> None:
    expected_n = onnx_forward.load(model)(images_nhwc).argmax(axis=1)
    expected_n[-different or IMAGES :] += 1
    assert quantization._agrees(model, images_nhwc, expected_n, 0.95) is agrees


def test_a_form_that_differs_too_often_is_given_up_at_once(
    model: Path, images_nhwc: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, seen = onnx_forward.batches, []

    def counted(path: Path, images_nhwc: np.ndarray) -> Iterator[np.ndarray]:
        for part in batches(path, images_nhwc):
            seen.append(len(part))
            yield part

    monkeypatch.setattr(onnx_forward, "batches", counted)
    never = np.full(IMAGES, 3)  # there is no such class
    assert not quantization._agrees(model, images_nhwc, never, 0.75)
    assert sum(seen) == 20
