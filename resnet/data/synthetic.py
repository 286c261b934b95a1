"""Whether the synthetic data set has to take CIFAR-10's place."""

from pathlib import Path

from resnet import params
from resnet.checkout import stages
from resnet.data import datasets, sources

OVERRIDES = ("data.dataset=generated", "evaluate.annotations=[]")  # it has no annotations


def notice(root: Path, parameters: params.Params) -> str | None:
    """Why CIFAR-10 is not available, as a line for the user; None if it is, or is not wanted."""
    if parameters.data.dataset != "cifar10":
        return None
    reason = sources.why_unavailable(datasets.load("cifar10"), parameters.paths)
    if reason is None or stages.restorable("fetch", root):
        return None
    return (
        f"CIFAR-10 is not available ({reason}): this run uses the synthetic data set and registers "
        "generated-resnet. Set CIFAR10_ARCHIVE to an archive of CIFAR-10 to use the real one."
    )
