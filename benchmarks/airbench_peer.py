"""airbench94_muon's training step on CPUs: a line "go" in, the images per second of a round out.

The network, the optimizers and the batch of github.com/KellerJordan/cifar10-airbench's
airbench94_muon.py, written anew for a CPU: channels last, in float32 or with bfloat16 by autocast.
Images are prepared and not augmented; its first epochs' gradient of the whitening bias is left out.
Both are in its favour. Runs in an environment with only PyTorch and NumPy.

    python airbench_peer.py '{"batches": 1, "mode": "eager", "precision": "float32", "threads": 2}'
"""

import json
import sys
import time
from collections.abc import Callable, Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH = 2000
WIDTHS = (24, 64, 256, 256)  # after whitening, and of each group
POLYNOMIAL = (3.4445, -4.7750, 2.0315)  # of Muon's iteration
MUON_RATE, MUON_MOMENTUM = 0.24, 0.6


def group(inputs: int, width: int) -> nn.Sequential:
    """Convolution, pooling, convolution, each followed by batch normalisation and GELU."""
    first = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
    second = nn.Conv2d(width, width, 3, padding=1, bias=False)
    return nn.Sequential(
        first, nn.MaxPool2d(2), norm(width), nn.GELU(), second, norm(width), nn.GELU()
    )


def norm(width: int) -> nn.BatchNorm2d:
    """Batch normalisation with a constant scale."""
    layer = nn.BatchNorm2d(width, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad = False
    return layer


def network() -> nn.Sequential:
    """(N, 3, 32, 32) → logits (N, 10), before their scale."""
    whitening = nn.Conv2d(3, WIDTHS[0], 2)
    for parameter in whitening.parameters():
        parameter.requires_grad = False
    groups = [group(*widths) for widths in pairwise(WIDTHS)]
    head = nn.Linear(WIDTHS[-1], 10, bias=False)
    return nn.Sequential(whitening, nn.GELU(), *groups, nn.MaxPool2d(3), nn.Flatten(), head)


def orthogonalised(gradient: Tensor, steps: int = 3) -> Tensor:
    """Muon's approximation of the nearest orthogonal matrix, by the Newton-Schulz iteration."""
    a, b, c = POLYNOMIAL
    matrix = gradient / (gradient.norm() + 1e-7)
    tall = len(matrix) > matrix.shape[1]
    matrix = matrix.T if tall else matrix
    for _ in range(steps):
        square = matrix @ matrix.T
        matrix = a * matrix + (b * square + c * square @ square) @ matrix
    return matrix.T if tall else matrix


class Muon:
    """Of the kernels of convolutions, which it also normalises."""

    def __init__(
        self,
        kernels: Iterable[Tensor],
        precision: torch.dtype,
        orthogonalise: Callable[..., Tensor],
    ) -> None:
        self.velocity = {kernel: torch.zeros_like(kernel) for kernel in kernels}
        self.precision, self.orthogonalise = precision, orthogonalise

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self) -> None:
        for kernel, velocity in self.velocity.items():
            assert kernel.grad is not None
            velocity.mul_(MUON_MOMENTUM).add_(kernel.grad)
            update = kernel.grad.add(velocity, alpha=MUON_MOMENTUM)
            kernel.mul_(len(kernel) ** 0.5 / kernel.norm())
            matrix = update.reshape(len(update), -1).to(self.precision)
            kernel.add_(self.orthogonalise(matrix).view(update.shape), alpha=-MUON_RATE)


def training(spec: dict[str, str]) -> Callable[[Tensor, Tensor], None]:
    """One step."""
    compiled = torch.compile if spec["mode"] == "compile" else lambda work: work
    precision = {"float32": torch.float32, "bfloat16": torch.bfloat16}[spec["precision"]]
    autocast = torch.autocast("cpu", precision, enabled=precision == torch.bfloat16)
    model = network().to(memory_format=torch.channels_last)
    trained = [p for p in model.parameters() if p.requires_grad]
    muon = Muon([p for p in trained if p.ndim == 4], precision, compiled(orthogonalised))
    others = [p for p in trained if p.ndim != 4]
    sgd = torch.optim.SGD(
        others, lr=0.053, momentum=0.85, nesterov=True, weight_decay=0.075, fused=True
    )
    logits = compiled(model)

    def step(images: Tensor, labels: Tensor) -> None:
        model.zero_grad(set_to_none=True)
        with autocast:
            outputs = logits(images) / WIDTHS[-1]
            loss = functional.cross_entropy(outputs, labels, label_smoothing=0.2, reduction="sum")
        loss.backward()
        muon.step()
        sgd.step()

    return step


def main() -> None:
    spec = json.loads(sys.argv[1])
    torch.set_num_threads(spec["threads"])
    torch.manual_seed(0)
    images = torch.randn(BATCH, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (BATCH,))
    step = training(spec)
    for _ in sys.stdin:
        started = time.perf_counter()
        for _ in range(spec["batches"]):
            step(images, labels)
        print(spec["batches"] * BATCH / (time.perf_counter() - started), flush=True)


if __name__ == "__main__":
    main()
