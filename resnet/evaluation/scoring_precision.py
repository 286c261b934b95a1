"""In which precision `predict` scores with a model: its predictions in both in, a record out.

Loads neither keras nor pandas.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resnet.model import backend
from resnet.model.precision import Choice, Precision, has_bfloat16

AGREEMENT = 0.99  # at least: the share of validation samples with the same prediction
LOSS = 0.0005  # of the accuracy on them, at most


@dataclass(frozen=True)
class ScoringPrecision:
    """The precision in which many samples are scored, why, and on which CPU that was found."""

    precision: Precision
    reason: str
    backend: str
    cpu: str  # as `backend.cpu_model` gives it
    images: int = 0  # validation samples that were compared; without a comparison the rest is None
    agreement: float | None = None
    float32_accuracy: float | None = None
    bfloat16_accuracy: float | None = None

    def here(self, backend_name: str) -> Choice:
        """The precision for this machine. Bfloat16 only where it was measured and compared.

        A library may compute otherwise on another CPU, so there it would have to be compared again.
        """
        if self.precision == "float32":
            return Choice("float32", self.reason)
        if not has_bfloat16(backend.cpu_flags()):  # as a hypervisor can hide them
            return Choice("float32", "this CPU has no instructions for bfloat16")
        if (self.backend, self.cpu) != (backend_name, backend.cpu_model()):
            where = f"with {self.backend} on {self.cpu}"
            return Choice("float32", f"bfloat16 was compared with float32 {where} alone")
        return Choice("bfloat16", self.reason)


def uncompared(device: backend.Device, reason: str) -> ScoringPrecision:
    """Float32, because of `reason`."""
    return ScoringPrecision("float32", reason, device.backend, backend.cpu_model())


def compared(
    device: backend.Device,
    labels_n: NDArray[np.uint8],
    float32_nk: NDArray[np.float32],
    bfloat16_nk: NDArray[np.float32],
) -> ScoringPrecision:
    """Bfloat16 if its probabilities (N, K) give float32's predictions and accuracy, N at least 1.

    `device` must be faster in it.
    """
    float32_n, bfloat16_n = float32_nk.argmax(axis=1), bfloat16_nk.argmax(axis=1)
    images, same = len(labels_n), int((float32_n == bfloat16_n).sum())
    float32, bfloat16 = (int((n == labels_n).sum()) for n in (float32_n, bfloat16_n))
    finite = bool(np.isfinite(bfloat16_nk).all())
    admitted = finite and same >= AGREEMENT * images and float32 - bfloat16 <= LOSS * images
    return ScoringPrecision(
        "bfloat16" if admitted else "float32",
        f"in bfloat16 {same / images:.2%} of {images:,} validation samples are predicted as in "
        f"float32, with accuracy {bfloat16 / images:.2%} instead of {float32 / images:.2%}"
        + ("" if finite else ", and some outputs are no numbers"),
        device.backend,
        backend.cpu_model(),
        images,
        same / images,
        float32 / images,
        bfloat16 / images,
    )
