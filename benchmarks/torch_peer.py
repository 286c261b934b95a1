"""The same network in PyTorch: a line "go" in, the images per second of one round of work out.

Runs in an environment with only PyTorch, NumPy and, for the mode openvino, OpenVINO. All that can
be prepared is prepared: images are normalised float tensors in memory, channels last, used batch by
batch in their order, without augmentation. In bfloat16, PyTorch's autocast decides what is
computed in it, and OpenVINO computes all in it.

    python torch_peer.py '{"work": "train", "depth": 20, "widths": [16, 32, 64], "batch": 128,
                           "batches": 16, "mode": "eager", "precision": "float32", "threads": 2}'
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):  # type: ignore[misc]
    """He et al.'s basic block with the shortcut of option A."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride, self.added = stride, width - inputs
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        g = torch.relu(self.norm1(self.conv1(x)))
        g = self.norm2(self.conv2(g))
        if self.added:
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))
        return torch.relu(x + g)


def network(depth: int, widths: list[int]) -> nn.Module:
    """The family of `resnet.nets.build`: basic blocks, option A, stem stride 1."""
    blocks = (depth - 2) // (2 * len(widths))
    layers = [nn.Conv2d(3, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0])]
    layers.append(nn.ReLU())
    before = widths[0]
    for group, width in enumerate(widths):
        for number in range(blocks):
            layers.append(Block(before, width, 2 if group and not number else 1))
            before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))


def training(
    net: nn.Module, images: Tensor, labels: Tensor, batch: int, autocast: torch.autocast
) -> Callable[[], None]:
    optimizer = torch.optim.SGD(
        net.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4, fused=True
    )

    def one_round() -> None:
        for x, y in zip(images.split(batch), labels.split(batch), strict=True):
            optimizer.zero_grad(set_to_none=True)
            with autocast:
                loss = functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()

    return one_round


def scoring(
    net: nn.Module, images: Tensor, batch: int, autocast: torch.autocast
) -> Callable[[], None]:
    net.eval()

    def one_round() -> None:
        with torch.inference_mode(), autocast:
            for x in images.split(batch):
                torch.softmax(net(x), dim=1)

    return one_round


def scoring_by_openvino(
    net: nn.Module, images: Tensor, batch: int, spec: dict[str, Any]
) -> Callable[[], None]:
    """The same by OpenVINO, which must compute in the precision that is asked for."""
    import openvino

    scored = nn.Sequential(net, nn.Softmax(dim=1)).eval()
    model = openvino.convert_model(scored, example_input=images[:batch])
    precision = {"float32": "f32", "bfloat16": "bf16"}[spec["precision"]]
    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": spec["threads"],
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.compile_model(model, "CPU", options)
    used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if used != precision:
        raise SystemExit(f"OpenVINO computes in {used} on this CPU, and not in {precision}")
    batches = [x.contiguous().numpy() for x in images.split(batch)]  # (N, C, H, W), as it wants

    def one_round() -> None:
        for x in batches:
            compiled(x)

    return one_round


def main() -> None:
    spec = json.loads(sys.argv[1])
    torch.set_num_threads(spec["threads"])
    torch.manual_seed(0)
    count, batch = spec["batch"] * spec["batches"], spec["batch"]
    images = torch.randn(count, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (count,))
    net = network(spec["depth"], spec["widths"]).to(memory_format=torch.channels_last)
    if spec["mode"] == "compile":
        net = torch.compile(net)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=spec["precision"] == "bfloat16")
    if spec["mode"] == "openvino":
        work = scoring_by_openvino(net, images, batch, spec)
    elif spec["work"] == "train":
        work = training(net, images, labels, batch, autocast)
    else:
        work = scoring(net, images, batch, autocast)
    for _ in sys.stdin:
        started = time.perf_counter()
        work()
        print(count / (time.perf_counter() - started), flush=True)


if __name__ == "__main__":
    main()
