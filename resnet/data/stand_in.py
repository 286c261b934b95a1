"""Whether the generated stand-in has to take CIFAR-10's place."""

from pathlib import Path

from resnet import params
from resnet.checkout import stages
from resnet.data import sources

OVERRIDE = "data.dataset=generated"  # puts it there


def notice(root: Path, chosen: params.Params) -> str | None:
    """Why CIFAR-10 cannot be had, as a line for the user; None where it can, or is not wanted."""
    if chosen.data.dataset != "cifar10":
        return None
    why = sources.why_not(chosen.data, chosen.paths)
    if why is None or stages.restorable("fetch", root):
        return None
    return (
        f"CIFAR-10 cannot be had ({why}): this run uses the generated stand-in, and registers "
        "generated-resnet. Set CIFAR10_ARCHIVE to an archive of CIFAR-10 to use the real one."
    )
