"""Rows whose contenders make short rounds in turn: training steps, scoring, one image.

Each contender is a process of its own: this build, commit f50bffb, PyTorch, OpenVINO.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks import builds, peer
from benchmarks.peer import OURS, Commands
from benchmarks.rounds import NotMeasuredError, best_in_turn
from benchmarks.table import Measurement, Setting

NETS: Mapping[str, dict[str, Any]] = {
    "ResNet-20": {"depth": 20, "widths": [16, 32, 64], "batches": 6},
    "ResNet-56": {"depth": 56, "widths": [16, 32, 64], "batches": 2},
    "ResNet-20 of four times the width": {"depth": 20, "widths": [64, 128, 256], "batches": 1},
}
BATCH = 128  # of the preset paper
QUICK_STEPS = 3  # in a round
PRESET_BATCHES = {"quick": 3, "paper": 12}  # in a round
SCORE = {"depth": 20, "widths": [16, 32, 64], "batch": 256, "batches": 4}
CALLS = 100  # of one image in a round


def training_against_today(setting: Setting) -> Iterator[Measurement]:
    """Steps of ResNet-20."""
    yield _against_today(setting, "images/s", _train("ResNet-20"))


def training_against_torch(setting: Setting, net: str) -> Iterator[Measurement]:
    """Steps of a network of `NETS`."""
    spec = {"work": "train", "batch": BATCH, **NETS[net]}
    torch = peer.in_torch(setting, spec)
    ours = peer.of_build(setting.root, _train(net))
    yield _against_the_best("images/s", {OURS: ours}, torch)


def quick_loop(setting: Setting) -> Iterator[Measurement]:
    """The seconds of `quick`'s loop, from steps and validation batches in their proportion."""
    work = {"work": "epoch", "batches": QUICK_STEPS, "overrides": []}
    speed = _against_today(setting, "epochs/s", work)
    assert speed.theirs is not None
    yield Measurement.ratio("s per epoch", 1 / speed.ours, 1 / speed.theirs)


def scoring_against_today(setting: Setting) -> Iterator[Measurement]:
    yield _against_today(setting, "images/s", {"work": "score"})


def scoring_against_torch(setting: Setting) -> Iterator[Measurement]:
    torch = peer.in_torch(setting, {"work": "score", **SCORE})
    ours = peer.of_build(setting.root, {"work": "score"})
    yield _against_the_best("images/s", {OURS: ours}, torch)


def scoring_against_openvino(setting: Setting) -> Iterator[Measurement]:
    """In bfloat16, on a CPU that has it: elsewhere OpenVINO takes float32."""
    if setting.kind == "neither":
        raise NotMeasuredError("OpenVINO has bfloat16 only on CPUs with instructions for it")
    for module, name in (("torch", "PyTorch"), ("openvino", "OpenVINO")):
        peer.require_module(setting.torch, module, name)
    spec = {"work": "score", "mode": "openvino", "precision": "bfloat16", **SCORE}
    theirs = {"OpenVINO": peer.in_environment_of_torch(setting, "torch_peer.py", spec)}
    ours = peer.of_build(setting.root, {"work": "score"})
    yield _against_the_best("images/s", {OURS: ours}, theirs)


def one_image(setting: Setting) -> Iterator[Measurement]:
    """The milliseconds of a call: the ONNX form of `quick`'s model, and commit f50bffb's model."""
    with builds.clone(builds.TODAY) as today:
        onnx = peer.of_build(setting.root, {"work": "one_image_by_onnx", "calls": CALLS})
        call = peer.of_build(today, {"work": "one_image", "calls": CALLS})
        speed = _against_the_best("calls/s", {OURS: onnx}, {builds.TODAY: call})
    assert speed.theirs is not None
    yield Measurement.ratio("ms", 1e3 / speed.ours, 1e3 / speed.theirs)


def training_against_keras(setting: Setting) -> Iterator[Measurement]:
    ours = peer.of_build(setting.root, _train("ResNet-20"))
    keras = peer.in_keras({"batch": BATCH, **NETS["ResNet-20"]})
    yield _against_the_best("images/s", {OURS: ours}, keras)


def training_against_matrix_peak(setting: Setting) -> Iterator[Measurement]:
    """Operations per second of ResNet-20's steps in float32, and of a product of matrices."""
    ours = peer.of_build(setting.root, _train("ResNet-20", "train.precision=float32", flops=True))
    product = peer.of_build(setting.root, {"work": "matrix_product"})
    yield _against_the_best("GFLOP/s", {OURS: ours}, {"float32 matrix product": product})


def deterministic_steps(setting: Setting, preset: str) -> Iterator[Measurement]:
    """Steps of a preset with deterministic operations, and with any."""
    work = {"work": "train", "preset": preset, "batches": PRESET_BATCHES[preset]}
    deterministic, any_operations = (
        peer.of_build(setting.root, {**work, "overrides": [f"train.deterministic={value}"]})
        for value in ("true", "false")
    )
    yield _against_the_best("images/s", {OURS: deterministic}, {"any operations": any_operations})


def _train(net: str, *overrides: str, **options: Any) -> dict[str, Any]:
    """Training steps of a network of `NETS`, for build_peer.py."""
    spec = NETS[net]
    shape = [f"net.depth={spec['depth']}", f"net.widths={spec['widths']}"]
    return {
        "work": "train",
        "preset": "paper",
        "overrides": [*shape, *overrides],
        "batches": spec["batches"],
        **options,
    }


def _against_today(setting: Setting, unit: str, work: Mapping[str, Any]) -> Measurement:
    """The same `work` by this build and by commit f50bffb, each with its own params.yaml."""
    with builds.clone(builds.TODAY) as today:
        ours = peer.of_build(setting.root, work)
        return _against_the_best(unit, {OURS: ours}, {builds.TODAY: peer.of_build(today, work)})


def _against_the_best(unit: str, ours: Commands, theirs: Commands) -> Measurement:
    """Ours against the fastest of theirs."""
    with peer.running({**ours, **theirs}) as contenders:
        speed = best_in_turn(contenders)
    best = max(theirs, key=speed.__getitem__)
    return Measurement.ratio(unit, speed[OURS], speed[best], best if len(theirs) > 1 else "")
