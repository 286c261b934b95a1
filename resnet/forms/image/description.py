"""What a model of images takes and is for, in words: the texts of cards and descriptions."""

from collections.abc import Mapping, Sequence

from resnet.forms.names import array

CHANNELS = {1: "grey", 3: "red, green, blue"}
VIEWS: Mapping[int, str] = {  # by `net.views`: what the published model averages
    1: "",
    2: ", from the mean logits of two views, an image and its mirror image",
    6: ", from the mean logits of six views, an image mirrored or not, shifted by a pixel or not",
}


def model_input(shape: Sequence[int]) -> str:
    """The images that a model takes, of `shape` (H, W, C)."""
    return f"raw images, {array(shape)}, {CHANNELS[shape[-1]]}, 0 to 255"


def purpose(classes: int) -> str:
    """What a model is for, and what its answers do not mean; 0 `classes` where that is unknown."""
    return (
        f"It was made to compare ways of training on small images of {classes or 'a few'} kinds of "
        "things. It assigns one of these kinds to any image whatever, with a probability that does "
        "not say whether the image shows any of them."
    )
