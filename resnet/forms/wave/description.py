"""What a model of recordings takes and is for, in words: the texts of cards and descriptions."""

from collections.abc import Mapping, Sequence

from resnet.forms.names import array
from resnet.forms.wave.sound import OFFSET, RATE

VIEWS: Mapping[int, str] = {1: ""}


def model_input(shape: Sequence[int]) -> str:
    """The recordings that a model takes, of `shape` (T, 2)."""
    return (
        f"recordings of {shape[0] / RATE:g} s, {array(shape)}: 16-bit samples at {RATE:,} Hz plus "
        f"{OFFSET:,}, the high byte first"
    )


def purpose(classes: int) -> str:
    """What a model is for, and what its answers do not mean; 0 `classes` where that is unknown."""
    return (
        f"It was made to compare ways of training on short recordings of {classes or 'a few'} "
        "kinds. It assigns one of these kinds to any sound whatever, with a probability that does "
        "not say whether the recording is of any of them. It knows the speakers and microphones of "
        "its training recordings; with others expect it to be right less often."
    )
