"""The same network in PyTorch: a line "go" in, the images per second of one round of work out.

Runs in an environment with only PyTorch and NumPy. All that can be prepared is prepared: images are
normalised float tensors in memory, channels last, used batch by batch in their order, without
augmentation.

    python torch_peer.py '{"work": "train", "depth": 20, "widths": [16, 32, 64], "batch": 128,
                           "batches": 16, "mode": "eager", "threads": 2}'
"""

import json
import sys
import time
from collections.abc import Callable

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


def training(net: nn.Module, images: Tensor, labels: Tensor, batch: int) -> Callable[[], None]:
    optimizer = torch.optim.SGD(
        net.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4, fused=True
    )

    def one_round() -> None:
        for x, y in zip(images.split(batch), labels.split(batch), strict=True):
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(net(x), y).backward()
            optimizer.step()

    return one_round


def scoring(net: nn.Module, images: Tensor, batch: int) -> Callable[[], None]:
    net.eval()

    def one_round() -> None:
        with torch.inference_mode():
            for x in images.split(batch):
                torch.softmax(net(x), dim=1)

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
    train = spec["work"] == "train"
    work = training(net, images, labels, batch) if train else scoring(net, images, batch)
    for _ in sys.stdin:
        started = time.perf_counter()
        work()
        print(count / (time.perf_counter() - started), flush=True)


if __name__ == "__main__":
    main()
